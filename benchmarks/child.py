"""The product's commands as processes of their own: how long, how much memory."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_OURS: Final = ("USAGE_", "DAGSTER_", "PG")


@dataclass(frozen=True)
class Ran:
    """How long a command took, from its start to its end, and what it printed."""

    seconds: float
    printed: str


class Broken(Exception):  # noqa: N818 - the product failed, and the benchmark with it
    """A command that ended with an error, and its last lines."""


def verb(home: Path, *words: str, variables: Mapping[str, str] | None = None) -> Ran:
    """`usage-pipeline WORDS` on the stack in this folder."""
    return python(home, "-m", "usage_pipeline", *words, variables=variables)


def python(home: Path, *words: str, variables: Mapping[str, str] | None = None) -> Ran:
    """Our interpreter with these words, seeing the stack and no setting of the person who measures."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words],
            env={**kept, "USAGE_HOME": str(home), "CI": "1", **(variables or {})},
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
        last = printed.splitlines()[-12:]
        raise Broken("\n".join([f"{' '.join(words)}: exit code {code}", *last]))
    return Ran(seconds, printed)
