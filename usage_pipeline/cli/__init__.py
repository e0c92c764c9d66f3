"""The verbs a person types: `usage-pipeline VERB`, or `python3 dev.py VERB` in a checkout.

Standard output carries data, standard error narration. A refusal is one line: what, why, and the command
that fixes it. Exit codes: 0 done, 1 failed, 2 usage, 3 attention, 4 refused for safety, 130 interrupted.
"""

import gc
import os
import re
import shlex
import sys
import warnings
from pathlib import Path

from usage_pipeline import refusals


def main() -> None:
    """Run one verb; whatever goes wrong on purpose ends in one line and its exit code."""
    _keep_standard_streams()
    # Dagster warns of parts of itself; by their text, because its classes would have to be loaded to be named
    warnings.filterwarnings("ignore", message=r"(?s).* is currently in (beta|preview)")
    gc.set_threshold(100_000, 20, 20)  # a thousand modules are loaded; a look for garbage finds none
    try:  # the imports too: they take long enough to be interrupted
        from usage_pipeline.cli import program

        code = program.run()
    except KeyboardInterrupt:
        typed = again(Path(sys.argv[0]).name)
        print(f"interrupted; what is committed stays. Go on: {typed}", file=sys.stderr)
        code = refusals.INTERRUPTED
    gc.freeze()  # the end would look through all that was loaded for garbage, for a second
    sys.exit(code)


def again(program: str) -> str:
    """What was typed, to be typed again; of a URL no more than where it leads, the rest may be a secret."""
    words = (re.sub(r"(://)[^/]*@|[?].*", r"\1", each) if "://" in each else each for each in sys.argv[1:])
    return shlex.join([*shlex.split(program), *words])


def _keep_standard_streams() -> None:
    """The number of a closed one would go to the next file that is opened, and what is said into it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for as long as we run
            os.set_inheritable(getattr(sys, name).fileno(), True)
