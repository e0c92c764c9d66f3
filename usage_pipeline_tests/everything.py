"""`python3 dev.py test --all`: every test, on every server and by every way that this machine has."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from usage_pipeline_tests import servers
from usage_pipeline_tests.servers import USUAL, Kind

STACKS_AT_ONCE: Final = 4
"""More than there are cores, for they wait; with six, two cores are too slow for their time limits."""


def sessions(kinds: list[Kind]) -> Iterator[list[str]]:
    """The arguments of each pytest that runs; SQL everywhere, the rest once."""
    yield ["-n", "auto", "-m", "not stack"]
    yield ["-n", str(STACKS_AT_ONCE), "--no-loadscope-reorder", "-m", "stack"]
    for kind in kinds:
        if kind != USUAL:
            yield ["-n", "auto", "-m", "sql", f"--postgres={kind.version}", f"--over={kind.way}"]


def main() -> None:
    """Ends with 1 where one session failed; the others run all the same."""
    every = [Kind(version, way) for version in servers.PROGRAMS for way in servers.WAYS]
    for kind in every:
        if lack := kind.lack():
            print(f"not on PostgreSQL {kind.version} over {kind.way}: {lack}", file=sys.stderr)
    pytest = str(Path(sys.executable).parent / "pytest")
    failed = []
    for arguments in sessions([kind for kind in every if not kind.lack()]):
        print("tests:", *arguments, file=sys.stderr, flush=True)
        if subprocess.call([pytest, *arguments]):
            failed.append(" ".join(arguments))
    sys.exit("\n".join(f"failed: pytest {each}" for each in failed) or 0)


if __name__ == "__main__":
    main()
