"""dev.py in copies of the checkout, with an installer that only takes notes; and the locks it installs."""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, DEV = "requirements.lock", "requirements-dev.lock"

# A `uv` that writes down how it was called; `uv venv` makes a .venv whose programs say what they were given.
INSTALLER = f"""#!/bin/sh
echo "$*" >> "$NOTES"
case "$1 $*" in
  *"$FAIL_AT"*) echo "no network" >&2; exit 2 ;;
esac
if [ "$1" = venv ]; then
  for last; do :; done
  /bin/mkdir -p "$last/bin"
  /bin/ln -s "{sys.executable}" "$last/bin/python"
  for program in usage-pipeline ruff mypy pytest; do
    printf '#!/bin/sh\\necho "%s $*|$USAGE_PROGRAM|$PWD"\\n[ "$1" != "$STOP_AT" ] || exit 7\\n' $program \\
      > "$last/bin/$program"
    /bin/chmod +x "$last/bin/$program"
  done
fi
/bin/sleep "${{SLOWLY:-0}}"
"""

type Door = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "a checkout"
    (folder / "tools").mkdir(parents=True)
    for name in ("dev.py", "pyproject.toml", RUNTIME, DEV):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "dev.py").chmod(0o755)
    (folder / "tools" / "uv").write_text(INSTALLER)
    (folder / "tools" / "uv").chmod(0o755)
    return folder
