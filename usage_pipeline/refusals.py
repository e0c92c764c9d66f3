"""The one shape of an error that a person can mend: what, why, and the command that fixes it."""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
ATTENTION: Final = 3
REFUSED: Final = 4
INTERRUPTED: Final = 130


class Refusal(Exception):  # noqa: N818 - it is not an error: the code says no
    """Something was not done, on purpose; nothing is half-written."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", exit_code: int = FAILED) -> None:
        self.what = what
        self.why = why
        self.fix = fix
        self.exit_code = exit_code
        super().__init__(self.line())

    def line(self, program: str = "usage-pipeline") -> str:
        """One line; a `$ ` in the fix stands before a verb of ours, shown in the form the person types."""
        fix = self.fix.replace("$ ", f"{program} ")
        parts = [self.what, f": {self.why}" if self.why else "", f". Fix: {fix}" if fix else ""]
        return " ".join("".join(parts).split())
