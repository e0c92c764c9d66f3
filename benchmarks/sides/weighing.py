"""Runs a verb of ours and tells how much memory its process held at most, in bytes.

By the kernel's word on this program alone: what `wait` tells of a child also holds its parent's peak.
"""

import re
import resource
import sys
from pathlib import Path

from usage_pipeline.cli import main


def peak() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    try:
        main()
    finally:
        print(peak(), flush=True)
