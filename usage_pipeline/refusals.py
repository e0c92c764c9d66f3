"""The one shape of an error that a person can mend: what, why, and the command that fixes it."""

import errno
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
        fix = as_typed(self.fix, program)
        parts = [self.what, f": {self.why}" if self.why else "", f". Fix: {fix}" if fix else ""]
        return " ".join("".join(parts).split())


def as_typed(fix: str, program: str = "usage-pipeline") -> str:
    """A fix with our verbs in the form the person types."""
    return fix.replace("$ ", f"{program} ")


def as_fix(hint: str) -> str:
    """A hint of the database's as a fix: it names our verbs in full, a fix in the form the person types."""
    return hint.replace("usage-pipeline ", "$ ")


def of_system(error: OSError, *, place: str = "", elsewhere: str = "USAGE_HOME") -> Refusal:
    """What the operating system did not let us do, at which place, and how another one is named."""
    at = place or ("the output" if error.filename is None else f"{error.filename}")
    why = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refusal(f"no room is left for {at}", why=why, fix="make room, then run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return Refusal(
            f"{at} is closed to this account",
            why=why,
            fix=f"give it the right to read and write there, or name another folder with {elsewhere}",
        )
    if place:
        return Refusal(f"{at} cannot be written", why=why, fix=f"name another folder with {elsewhere}")
    return Refusal(str(error), fix="see that it can be read and written")
