"""dev.py in a copy of the checkout, under an installer that only takes notes; and the locks it installs."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import psycopg
import pytest
from packaging.requirements import Requirement

from benchmarks.peers import dbt, sqlmesh
from usage_pipeline_tests import everything
from usage_pipeline_tests.servers import Kind

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, DEV = "requirements.lock", "requirements-dev.lock"
PEERS = {"benchmarks/peers/dbt.lock": dbt.VERSION, "benchmarks/peers/sqlmesh.lock": sqlmesh.VERSION}

# Writes down how it was called; its `venv` makes a .venv whose programs say what they were given.
INSTALLER = f"""#!/bin/sh
echo "$*" >> "$NOTES"
case "$*" in *"${{FAIL_AT:-nowhere}}"*) echo "no route to host" >&2; exit 2 ;; esac
/bin/sleep "${{SLOWLY:-0}}"
[ "$1" = venv ] || exit 0
for last; do :; done
/bin/mkdir -p "$last/bin"
/bin/ln -s "{sys.executable}" "$last/bin/python"
for program in usage-pipeline ruff mypy pytest; do
  printf '#!/bin/sh\\necho "%s $*"\\necho "$$ $USAGE_PROGRAM" >&2\\n' "$program" > "$last/bin/$program"
  printf '[ "$1" != "${{STOP_AT:-nowhere}}" ] || exit 7\\n' >> "$last/bin/$program"
  /bin/chmod +x "$last/bin/$program"
done
"""

# Stands in for pip, as the installer above for uv: the environment is a real one, the network is not asked.
PIP = """import os, pathlib, sys
if __name__ == "__main__":
    with open(os.environ["NOTES"], "a") as notes:
        print(*sys.argv[1:], file=notes)
    program = pathlib.Path(sys.argv[sys.argv.index("--python") + 1]).with_name("usage-pipeline")
    program.write_text("#!/bin/sh\\necho usage-pipeline $*\\n")
    program.chmod(0o755)
"""


class Checkout:
    """A copy of what dev.py works on, and the ways to run it there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tools = folder.parent / "tools"
        self.notes = folder.parent / "notes"
        folder.mkdir()
        self.tools.mkdir()
        for name in ("dev.py", "pyproject.toml", RUNTIME, DEV):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        (folder / "dev.py").chmod(0o755)
        self.tool("uv", INSTALLER)

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def environment(self, **extra: str) -> dict[str, str]:
        return {"PATH": str(self.tools), "NOTES": str(self.notes), **extra}

    def run(
        self, *words: str, python: str = sys.executable, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        command = [python, str(self.folder / "dev.py"), *words]
        return subprocess.run(
            command,
            env=self.environment(**extra),
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def run_as(self, version: tuple[int, int], *words: str) -> subprocess.CompletedProcess[str]:
        program = str(self.folder / "dev.py")
        code = (
            f"import runpy, sys; sys.version_info = ({version[0]}, {version[1]}, 0, 'final', 0);"
            f"sys.argv = {[program, *words]!r}; runpy.run_path({program!r}, run_name='__main__')"
        )
        return subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def steps(self) -> list[str]:
        """What the installer was asked for since the last time: `venv`, a lock's name, or `-e`."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        words = [line.split() for line in lines]
        return [
            "venv" if line[0] == "venv" else "-e" if "-e" in line else line[line.index("-r") + 1]
            for line in words
        ]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a checkout")


def test_an_old_python_can_parse_the_door() -> None:
    """Otherwise its user sees a traceback instead of the version that is needed."""
    ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6), (3, 10), (3, 15)])
def test_an_unsupported_python_is_told_which_one_is_needed(
    checkout: Checkout, version: tuple[int, int]
) -> None:
    done = checkout.run_as(version, "demo")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"needs Python 3.11 to 3.14, and this is 3.{version[1]}" in done.stderr
    assert checkout.steps() == []


def test_an_unsupported_python_gives_way_to_a_supported_one_that_starts(checkout: Checkout) -> None:
    """A version manager leaves names on PATH that start nothing."""
    checkout.tool("python3.14", "#!/bin/sh\nexit 127\n")
    checkout.tool("python3.12", '#!/bin/sh\n[ "$1" = -c ] || echo "3.12 goes on with $2 $3"\n')
    done = checkout.run_as((3, 9), "demo", "--once")
    assert (done.returncode, done.stdout) == (0, "3.12 goes on with demo --once\n")


def test_supported_versions_are_those_of_the_package() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert requires == ">=3.11,<3.15"
    assert "(3, 11) <= (major, minor) <= (3, 14)" in (ROOT / "dev.py").read_text(encoding="utf-8")


def test_help_installs_nothing(checkout: Checkout) -> None:
    asked, bare = checkout.run("--help"), checkout.run()
    assert (asked.returncode, bare.returncode) == (0, 2)
    assert asked.stdout == bare.stderr != ""
    assert checkout.steps() == []


def test_first_run_installs_the_pins_then_the_checkout_and_says_so_on_stderr(checkout: Checkout) -> None:
    done = checkout.run("demo", "--once")
    assert done.stdout == "usage-pipeline demo --once\n"
    assert f"Installing {len(pins(RUNTIME))} pinned packages into .venv …" in done.stderr
    notes = checkout.notes.read_text()
    assert "--no-deps --require-hashes -r requirements.lock" in notes
    assert "--no-deps --no-build-isolation --no-index -e" in notes
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


def test_an_unchanged_checkout_goes_straight_to_work(checkout: Checkout) -> None:
    """With neither uv nor pip any more: nothing may be asked of them."""
    checkout.run("demo")
    checkout.steps()
    (checkout.tools / "uv").unlink()
    done = checkout.run("demo", PYTHONPATH=without(checkout, "pip"))
    assert (done.returncode, done.stdout) == (0, "usage-pipeline demo\n")
    assert "Installing" not in done.stderr


def test_the_development_pins_also_serve_every_other_verb(checkout: Checkout) -> None:
    checkout.run("demo")
    assert checkout.steps() == ["venv", RUNTIME, "-e"]
    checkout.run("test")
    assert checkout.steps() == [DEV, "-e"]
    checkout.run("demo")
    assert checkout.steps() == []


@pytest.mark.parametrize(
    ("name", "steps"),
    [(RUNTIME, ["venv", RUNTIME, "-e"]), ("pyproject.toml", [RUNTIME, "-e"]), (DEV, [])],
)
def test_a_changed_file_is_noticed(checkout: Checkout, name: str, steps: list[str]) -> None:
    """A changed lock starts afresh: what it no longer pins must not stay importable."""
    checkout.run("demo")
    checkout.steps()
    with (checkout.folder / name).open("a") as file:
        file.write("# changed\n")
    assert checkout.run("demo").returncode == 0
    assert checkout.steps() == steps


def test_a_failed_installation_says_why_and_the_next_run_starts_afresh(checkout: Checkout) -> None:
    done = checkout.run("demo", FAIL_AT="--require-hashes")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no route to host" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("dev.py: the packages could not be installed")
    checkout.steps()
    assert checkout.run("demo").returncode == 0
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


def test_an_installation_that_broke_off_is_not_taken_for_the_one_before(checkout: Checkout) -> None:
    checkout.run("demo")
    assert checkout.run("test", FAIL_AT=DEV).returncode == 1
    checkout.steps()
    checkout.run("demo")
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


def test_an_environment_without_its_python_is_made_again(checkout: Checkout) -> None:
    checkout.run("demo")
    checkout.steps()
    python = checkout.folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert checkout.run("demo").returncode == 0
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


def test_a_moved_checkout_does_not_run_the_old_one(checkout: Checkout) -> None:
    """Its programs name their interpreter, and the editable installation its source, by full path."""
    checkout.run("demo")
    checkout.steps()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    assert checkout.run("demo").returncode == 0
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


def test_two_at_once_install_once(checkout: Checkout) -> None:
    command = [sys.executable, str(checkout.folder / "dev.py"), "demo"]
    environment = checkout.environment(SLOWLY="0.15")
    quiet = subprocess.DEVNULL
    both = [subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) for _ in range(2)]
    assert [one.wait(30) for one in both] == [0, 0]
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


@pytest.mark.parametrize("module", ["pip", "venv"])
def test_without_uv_the_missing_module_is_named(checkout: Checkout, module: str) -> None:
    (checkout.tools / "uv").unlink()
    done = checkout.run("demo", PYTHONPATH=without(checkout, module))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"no uv on PATH, and no {module} in" in done.stderr


def test_without_ensurepip_the_environment_is_made_anyway(checkout: Checkout) -> None:
    """Debian keeps it in python3-venv, which a bare machine has not."""
    (checkout.tools / "uv").unlink()
    hidden = without(checkout, "ensurepip")
    Path(hidden, "pip.py").write_text(PIP)
    done = checkout.run("demo", PYTHONPATH=hidden)
    assert (done.returncode, done.stdout) == (0, "usage-pipeline demo\n"), done.stderr
    assert checkout.steps() == [RUNTIME, "-e"]
    made = [str(checkout.folder / ".venv" / "bin" / "python"), "-c", "import sys; print(sys.prefix)"]
    assert subprocess.check_output(made, text=True).strip() == str(checkout.folder / ".venv")
    assert not list((checkout.folder / ".venv").rglob("pip*"))  # venv asks it out of reach of our shadow


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_closed_streams_do_not_break_the_door(checkout: Checkout, closed: str) -> None:
    """Started by a supervisor that closes them, Python has no stream to write to."""
    command = [sys.executable, str(checkout.folder / "dev.py"), "demo"]
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {closed}', "sh", *command],
        env=checkout.environment(),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert checkout.steps() == ["venv", RUNTIME, "-e"]


def test_a_verb_takes_over_the_process_and_its_exit_code(checkout: Checkout) -> None:
    """Otherwise a signal stops dev.py and leaves what it started."""
    checkout.run("demo")
    command = [sys.executable, str(checkout.folder / "dev.py"), "doctor"]
    environment = checkout.environment(STOP_AT="doctor")
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=subprocess.PIPE, text=True) as verb:
        _, said = verb.communicate(timeout=30)
    assert said.startswith(f"{verb.pid} ")
    assert verb.returncode == 7


def test_hints_can_repeat_what_was_typed(checkout: Checkout) -> None:
    (checkout.tools / "python3").symlink_to(sys.executable)
    checkout.run("demo")
    for words, known, expected in (
        (["python3", "dev.py"], "/usr/bin/python3", "python3 dev.py"),
        (["./dev.py"], "./dev.py", "./dev.py"),
    ):
        done = subprocess.run(
            ["/usr/bin/env", *words, "demo"],
            env=checkout.environment(_=known),
            cwd=checkout.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert done.stderr.split(maxsplit=1)[1] == expected + "\n"


def test_the_checks_run_in_order_before_the_tests(checkout: Checkout) -> None:
    done = checkout.run("test")
    checks = ["ruff check .", "ruff format --check .", "mypy "]
    assert done.stdout.splitlines() == [*checks, "pytest -n auto -m not stack and not slow"]
    assert "types: mypy\n" in done.stderr
    (checkout.folder / "usage_pipeline_tests").mkdir()
    (checkout.folder / "usage_pipeline_tests" / "everything.py").write_text("print('everything')")
    assert checkout.run("test", "--all").stdout.splitlines() == [*checks, "everything"]


def test_all_is_every_test_on_every_server() -> None:
    """A test that no tier runs is no test."""
    kinds = [Kind(version, way) for version in ("18", "15") for way in ("socket", "tcp")]
    first, second, *elsewhere = everything.sessions(kinds)
    assert (first[-1], second[-1]) == ("not stack", "stack")
    assert {tuple(each[-2:]) for each in elsewhere} == {
        ("--postgres=18", "--over=tcp"), ("--postgres=15", "--over=socket"), ("--postgres=15", "--over=tcp"),
    }  # fmt: skip
    assert all(each[2:4] == ["-m", "sql"] for each in elsewhere)


def test_the_first_failing_check_ends_the_tests(checkout: Checkout) -> None:
    done = checkout.run("test", STOP_AT="format")
    assert done.returncode == 7
    assert done.stdout.splitlines() == ["ruff check .", "ruff format --check ."]


def test_arguments_go_to_pytest_alone(checkout: Checkout) -> None:
    done = checkout.run("test", "-k", "some words", STOP_AT="-k")
    assert (done.returncode, done.stdout) == (7, "pytest -k some words\n")


def environment(checkout: Checkout, **extra: str) -> subprocess.CompletedProcess[str]:
    """As a benchmark asks for one, in its own process."""
    Path(checkout.folder.parent, "other.lock").write_text("one==1\n")
    code = (
        "import dev; from pathlib import Path\n"
        "try: dev.install_environment(Path('environments/other').resolve(), Path('other.lock').resolve())\n"
        "except dev.NotInstalled as error: print(error, error.said)"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env=checkout.environment(PYTHONPATH=str(checkout.folder), **extra),
        cwd=checkout.folder.parent,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )


def test_another_environment_holds_its_lock_alone_and_is_made_once(checkout: Checkout) -> None:
    done = environment(checkout)
    assert "Installing 1 pinned packages into other …" in done.stderr
    assert checkout.steps() == ["venv", str(checkout.folder.parent / "other.lock")]
    assert not (checkout.folder / ".venv").exists()
    assert environment(checkout).stderr == ""
    assert checkout.steps() == []


def test_another_environment_that_cannot_be_made_is_told_to_who_asked(checkout: Checkout) -> None:
    """An exit here would end a whole benchmark for the sake of one of its peers."""
    done = environment(checkout, FAIL_AT="--require-hashes")
    assert "the packages could not be installed" in done.stdout
    assert done.stdout.splitlines()[0].endswith("no route to host")
    checkout.steps()
    environment(checkout)
    assert checkout.steps() == ["venv", str(checkout.folder.parent / "other.lock")]


def without(checkout: Checkout, module: str) -> str:
    """A folder for PYTHONPATH that makes this module look absent."""
    folder = checkout.folder.parent / f"without {module}"
    folder.mkdir()
    (folder / f"{module}.py").write_text("raise ImportError")
    return str(folder)


def pins(lock: str) -> dict[str, str]:
    """Each pinned line with its hashes, by its `name==version ; marker`."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    return {entry.split(" \\\n")[0]: entry for entry in entries}


def versions(lock: str, name: str) -> set[str]:
    """The versions of the packages whose name this pattern matches as a whole."""
    pinned = (pin.split(" ;")[0].partition("==") for pin in pins(lock))
    return {version for package, _, version in pinned if re.fullmatch(name, package)}


@pytest.mark.parametrize("lock", [RUNTIME, DEV, *PEERS])
def test_every_pin_is_exact_and_hashed_and_names_no_index(lock: str) -> None:
    line = re.compile(r"[a-z0-9-]+==[^\s;]+( ; [^\n]+)?( \\\n {4}--hash=sha256:[0-9a-f]{64})+")
    assert [pin for pin, entry in pins(lock).items() if not line.fullmatch(entry)] == []
    assert re.search(r"://|--[a-z-]*index|--find-links|file:", (ROOT / lock).read_text()) is None


def test_the_development_lock_holds_the_whole_runtime_lock() -> None:
    """Otherwise the tests would speak about other packages than the demo runs."""
    runtime, development = pins(RUNTIME), pins(DEV)
    assert {pin: development.get(pin) for pin in runtime} == runtime


@pytest.mark.parametrize("lock", [RUNTIME, DEV])
def test_the_locks_satisfy_the_project(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["checkout"], *(extras["dev"] if lock == DEV else [])]
    for requirement in map(Requirement, wanted):
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        found = versions(lock, name)
        assert found, name
        assert all(requirement.specifier.contains(version) for version in found), name


@pytest.mark.parametrize("lock", PEERS)
def test_a_peers_lock_satisfies_what_was_asked_and_is_the_version_it_says(lock: str) -> None:
    lines = (ROOT / lock).with_suffix(".in").read_text().splitlines()
    for requirement in map(Requirement, (line.partition("#")[0] for line in lines if line[0] != "#")):
        (found,) = versions(lock, requirement.name)
        assert requirement.specifier.contains(found)
        assert f"=={found}" not in str(requirement) or found in PEERS[lock]


@pytest.mark.parametrize("lock", [RUNTIME, DEV])
def test_dagster_is_one_release(lock: str) -> None:
    """Its packages are released together and break apart when their versions differ."""
    found = versions(lock, "dagster(-.*)?")
    assert {version.rpartition(".")[0] for version in found} == {"1.13", "0.29"}
    assert len({version.rpartition(".")[2] for version in found}) == 1


@pytest.mark.parametrize("lock", [RUNTIME, DEV])
def test_pandas_is_the_third(lock: str) -> None:
    assert {version.partition(".")[0] for version in versions(lock, "pandas")} == {"3"}


def test_psycopg_brings_its_own_client_library() -> None:
    """The pure Python build needs a libpq that a bare machine has not."""
    assert psycopg.pq.__impl__ == "binary"
    assert versions(RUNTIME, "psycopg-binary")
