"""What the system tells of a process: the words it was started with, and when."""

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


def started(number: int) -> str:
    """When it started, on which start of the machine; empty if there is none that works."""
    if _HAS_PROC:
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            state, *more = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            return "" if state in "ZX" else f"{boot} {more[18]}"
        return ""
    return _shown(number, "lstart").strip()


def _shown(number: int, column: str) -> str:
    shown = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(number)], capture_output=True, text=True, check=False
    )
    return shown.stdout
