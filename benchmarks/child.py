"""The product's commands as processes of their own: how long each takes, and what it prints."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from usage_pipeline.refusals import Refusal

_OURS: Final = ("USAGE_", "DAGSTER_", "PG")


@dataclass(frozen=True)
class Ran:
    """How long a command took, from its start to its end, and what it printed."""

    seconds: float
    printed: str


class Broken(Refusal):
    """A command of the product's that ended with an error, and its last line."""


def run(home: Path, module: str, words: Sequence[str], variables: Mapping[str, str]) -> Ran:
    """A module with these words, seeing the stack and no setting of the person who measures."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            env={**kept, "USAGE_HOME": str(home), "CI": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()  # it holds the stack's server, which is stopped by whoever leaves last
            raise
        seconds = time.perf_counter() - began
        said.seek(0)
        printed = said.read().decode(errors="replace")
    if code:
        last = printed.splitlines() or ["it said nothing"]
        raise Broken(f"`{' '.join(words)}` ended with exit code {code}", why=last[-1])
    return Ran(seconds, printed)
