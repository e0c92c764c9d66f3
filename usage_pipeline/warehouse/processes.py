"""What the system tells of a process: the words it was started with, and when."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_HAS_PROC: Final = Path("/proc/self/cmdline").exists()


def command_line(number: int) -> str:
    """The words it was started with; empty if there is none."""
    if _HAS_PROC:
        with suppress(OSError):
            return Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    return _shown(number, "command")


def started(number: int) -> str | None:
    """When it started, on which start of the machine; empty if none works, None if it is not known."""
    if not _HAS_PROC:
        return _shown(number, "lstart").strip()
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        state, *more = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if _is_hidden(number) else ""
    except OSError:
        return None
    return "" if state in "ZX" else f"{boot} {more[18]}"


def _is_hidden(number: int) -> bool:
    """A /proc may show nobody but its own."""
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _shown(number: int, column: str) -> str:
    words = [
        "env",
        "TZ=UTC",
        "LC_ALL=C",
        "ps",
        "-o",
        f"{column}=",
        "-p",
        str(number),
    ]  # a time is words of both
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout
