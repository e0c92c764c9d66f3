"""The program as a person runs it: a checkout of its own, a process of its own, an empty environment."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LEFT_OUT = (".git", ".venv", ".usage", ".env", "__pycache__", "*_cache", "usage_pipeline_tests", "docs")


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    said: str


@dataclass(frozen=True)
class Checkout:
    """A copy of the project in which a newcomer types."""

    folder: Path

    @property
    def demo_home(self) -> Path:
        return self.folder / ".usage" / "demo"

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the caller's but what programs need to start; the copy goes before the installed one."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "HOME": str(self.folder), "PYTHONPATH": str(self.folder), **more}

    def usage_pipeline(self, *words: str, seconds: float = 120, **more: str) -> Done:
        """One verb of ours, to its end."""
        return self.run([sys.executable, "-m", "usage_pipeline", *words], seconds, **more)

    def run(self, command: list[str], seconds: float = 120, **more: str) -> Done:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment(**more),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)


def copy(folder: Path) -> Checkout:
    """Copy what a clone would hold, short of the tests."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)
    return Checkout(folder)
