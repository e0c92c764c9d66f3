#!/usr/bin/env python3
"""The door: `python3 dev.py VERB …` makes `.venv` hold what the lock pins, then runs VERB inside it.

Standard library only, in syntax that Python 3.6 parses: an old Python gets a sentence, not a traceback.
"""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = "Scripts" if sys.platform == "win32" else "bin"
PROGRAMS = VENV / BIN
PYTHON = str(PROGRAMS / "python")
STAMP = "installed"
RUNTIME, DEV, PROJECT = FILES = "requirements.lock", "requirements-dev.lock", "pyproject.toml"
MODULES = {"soak": "usage_pipeline_tests.soak", "bench": "benchmarks"}
ALL = "usage_pipeline_tests.everything"
QUICK = ["-n", "auto", "-m", "not stack and not slow"]
CHECKS = {"lint": "ruff check .", "format": "ruff format --check .", "types": "mypy"}
HELP = """usage: python3 dev.py VERB [ARGUMENTS]

  python3 dev.py demo          the whole stack with demo data; Ctrl-C stops it
  python3 dev.py test          lint, format, types, then the tests that take minutes
  python3 dev.py test --all    the checks, then every test on every server that is installed: an hour
  python3 dev.py test ARGS     pytest with these arguments
  python3 dev.py soak          thousands of random histories of runs, on every core (--help)
  python3 dev.py bench         how fast, beside what one would use instead (--help)
  python3 dev.py VERB …        init, doctor, up, status, automation, migrate, sources, backfill, usage,
                               restate, restatements, recalc, sql: what it does
  python3 dev.py VERB --help   what a verb takes

The first run installs the pinned packages into .venv, beside this file."""


class NotInstalled(Exception):  # noqa: N818 - a state to report, not a fault of ours
    """Why an environment could not be made; `said` is the end of what the installer printed."""

    def __init__(self, why: str, said: str = "") -> None:
        super().__init__(why)
        self.said = said


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def keep_standard_streams() -> None:
    """A closed one is nowhere: its number must not go to the next file that is opened."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
            os.set_inheritable(getattr(sys, name).fileno(), True)


def answers(python: str, code: str) -> bool:
    """Whether this interpreter starts and runs the code without an error."""
    with contextlib.suppress(OSError):
        null = subprocess.DEVNULL
        return subprocess.call([python, "-c", code], cwd=str(ROOT), stdout=null, stderr=null) == 0
    return False


def is_version(python: str, minor: int) -> bool:
    return answers(python, f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))")


def become(command: "list[str]") -> None:
    """Go on as this command, so that its signals and its exit code are ours."""
    if sys.platform == "win32":
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)  # noqa: S606


def require_python() -> None:
    """Go on under a Python that the pinned packages support, or say which one is missing."""
    major, minor = sys.version_info[:2]
    if (3, 11) <= (major, minor) <= (3, 14):
        return
    for other in (14, 13, 12, 11):
        path = shutil.which(f"python3.{other}")
        if path and is_version(path, other):
            become([path, *sys.argv])
    say(
        f"dev.py needs Python 3.11 to 3.14, and this is {major}.{minor}: install one, then run this again"
        " (uv python install 3.13, brew install python@3.13, apt install python3.11)."
    )
    sys.exit(2)


def installers(folder: Path) -> "tuple[list[str], list[str]]":
    """The command that makes the environment in this folder, and the one that installs into it."""
    python = str(folder / BIN / "python")
    inside = Path(sys.prefix) == VENV
    base = getattr(sys, "_base_executable", sys.executable) if inside else sys.executable
    quiet = [] if sys.stderr.isatty() else ["--quiet"]  # uv draws a short bar, pip would print every package
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        create = [uv, "venv", "--quiet", "--python", base, str(folder)]
        return create, [uv, "pip", "install", *quiet, "--python", python]
    for module in ("venv", "pip"):
        if not answers(base, f"import {module}"):
            raise NotInstalled(
                f"dev.py needs uv, or pip and venv: there is no uv on PATH, and no {module} in {base}"
                f" (apt install python3-{module})."
            )
    pip = [base, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--no-user"]
    return [base, "-m", "venv", "--without-pip", str(folder)], [*pip, "--quiet"]


def take_lock() -> "IO[str]":
    """One dev.py at a time changes `.venv`; the others wait here until the file is closed."""
    lock = (ROOT / ".venv.lock").open("w")
    os.set_inheritable(lock.fileno(), True)  # an installer that outlives us keeps the others waiting
    said = False
    while True:
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        if not said:
            say("Waiting for another dev.py that is installing into .venv …")
        said = True
        time.sleep(0.2)


def installed(folder: Path) -> "set[str]":
    """What the last finished installation wrote, if its interpreter still starts."""
    stamp = folder / STAMP
    if stamp.exists() and is_version(str(folder / BIN / "python"), sys.version_info[1]):
        return set(stamp.read_text(encoding="utf-8").splitlines())
    return set()


def digest(file: Path) -> str:
    return f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}"


def run(command: "list[str]", folder: Path) -> None:
    """One step of an installation: a terminal sees that of `.venv` go on, a log only the end of a failure."""
    log = None if folder == VENV and sys.stderr.isatty() else subprocess.PIPE
    done = subprocess.run(
        command,
        cwd=str(ROOT),
        env=dict(os.environ, PIP_REQUIRE_HASHES="0", UV_REQUIRE_HASHES="0"),  # the checkout itself has none
        stdout=log or sys.stderr,
        stderr=log and subprocess.STDOUT,
        close_fds=False,
        check=False,
    )
    if done.returncode:
        said = (done.stdout or b"").decode(errors="replace").splitlines()[-9:]
        afresh = f"see above; the next run starts {folder.name} afresh."
        raise NotInstalled(f"dev.py: the packages could not be installed, {afresh}", "\n".join(said))


def install(folder: Path, lock: str, *more: "list[str]", fresh: bool) -> None:
    """What the lock pins, then whatever more is named in an installer's words."""
    create, add = installers(folder)
    pins = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    count = sum("==" in line for line in pins if not line.startswith(" "))
    say(f"Installing {count} pinned packages into {folder.name} … (half a minute with pip, seconds with uv)")
    started = time.monotonic()
    (folder / STAMP).unlink(missing_ok=True)
    if fresh:
        if folder.exists():
            shutil.rmtree(folder)
        run(create, folder)
    for words in (["--require-hashes", "-r", lock], *more):
        run([*add, "--no-deps", *words], folder)
    say(f"{folder.name} is ready after {time.monotonic() - started:.0f} s.")


def prepare(lock: str) -> None:
    """Make `.venv` hold what the lock pins, unless it does."""
    now = {name: digest(ROOT / name) for name in FILES}
    place = f"{sys.implementation.cache_tag} {ROOT}"
    wanted = {place, now[PROJECT], now[lock]}
    if wanted <= installed(VENV):
        return
    with take_lock():
        have = installed(VENV)
        if wanted <= have:
            return
        stale = {line for line in have if not line.startswith(PROJECT)} - {place, *now.values()}
        checkout = ["--no-build-isolation", "--no-index", "-e", str(ROOT)]
        install(VENV, lock, checkout, fresh=bool(stale) or not have)
        (VENV / STAMP).write_text("\n".join(wanted | {now[RUNTIME]}), encoding="utf-8")


def install_environment(folder: Path, lock: Path) -> None:
    """Make this folder an environment of what the lock pins and nothing else, or raise NotInstalled."""
    wanted = {f"{sys.implementation.cache_tag} {folder}", digest(lock)}
    if installed(folder) != wanted:
        install(folder, str(lock), fresh=True)
        (folder / STAMP).write_text("\n".join(wanted), encoding="utf-8")


def typed() -> str:
    """The words that started this file: the program's hints repeat them."""
    if Path(os.environ.get("_", "")).name == Path(__file__).name:
        return shlex.quote(sys.argv[0])
    python = sys.orig_argv[0].replace(".exe", "")
    name = Path(python).name
    return shlex.join([name if shutil.which(name) else python, sys.argv[0]])


def test(arguments: "list[str]") -> None:
    """Each check in turn, up to the first that fails; then the tests. With other arguments, pytest alone."""
    os.chdir(str(ROOT))
    is_all = arguments == ["--all"]
    for name, line in CHECKS.items() if is_all or not arguments else ():
        say(f"{name}: {line}")
        program, *rest = line.split()
        code = subprocess.call([str(PROGRAMS / program), *rest])
        if code:
            sys.exit(code)
    if is_all:
        run_module(ALL, [])
    command = ["pytest", *(arguments or QUICK)]
    say("tests: " + shlex.join(command))
    become([str(PROGRAMS / command[0]), *command[1:]])


def run_module(name: str, arguments: "list[str]") -> None:
    os.chdir(str(ROOT))
    become([PYTHON, "-m", name, *arguments])


def main(arguments: "list[str]") -> None:
    keep_standard_streams()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, file=sys.stdout if arguments else sys.stderr)
        sys.exit(0 if arguments else 2)
    require_python()
    try:
        verb, *rest = arguments
        prepare(DEV if verb in ("test", "soak") else RUNTIME)
        if verb == "test":
            test(rest)
        if verb in MODULES:
            run_module(MODULES[verb], rest)
        os.environ["USAGE_PROGRAM"] = typed()
        become([str(PROGRAMS / "usage-pipeline"), *arguments])
    except NotInstalled as error:
        sys.exit("\n".join(part for part in (error.said, str(error)) if part))
    except OSError as error:
        sys.exit(f"dev.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1:])
