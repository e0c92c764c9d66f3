"""A process in somebody's deployment: the installed package, environment variables, and nothing beside."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from usage_pipeline_tests.stack import PATIENCE, ROOT, Done, heeding_interrupts


@dataclass(frozen=True)
class Pod:
    """Its folders: the packages, where commands are typed, and the Dagster instance of an operator."""

    folder: Path
    environment: dict[str, str]

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def typed_in(self) -> Path:
        return self.folder / "typed in"

    @property
    def dagster_home(self) -> Path:
        return self.folder / "dagster"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", *words]

    def given(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        ours = {
            "HOME": str(self.dagster_home), "PYTHONPATH": str(self.site), "PYTHONDONTWRITEBYTECODE": "1",
            "DAGSTER_HOME": str(self.dagster_home),
        }  # fmt: skip
        return {**kept, **ours, **self.environment, **more}

    def __call__(self, *words: str, seconds: float = PATIENCE, **more: str) -> Done:
        """One module of Python to its end, with these words: `usage_pipeline` or one of Dagster's."""
        done = subprocess.run(
            self.command(*words), cwd=self.typed_in, env=self.given(**more), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *words: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A module that goes on until the body ends; what it says goes to a file beside."""
        with (self.folder / "said.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(*words), cwd=self.typed_in, env=self.given(**more),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=heeding_interrupts,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    @property
    def said(self) -> str:
        return (self.folder / "said.log").read_text(errors="replace")

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The operator's own look at the instance."""
        with dg.DagsterInstance.from_config(str(self.dagster_home)) as found:
            yield found

    def files(self) -> list[str]:
        """Everything outside the instance; a process that only has variables must leave it as it was."""
        outside = [path for path in self.folder.rglob("*") if not path.is_relative_to(self.dagster_home)]
        return sorted(str(path.relative_to(self.folder)) for path in outside)


def make(folder: Path, **environment: str) -> Pod:
    """A deployment without a settings file, a `.env` or a stack's folder."""
    pod = Pod(folder, environment)
    package = ROOT / "usage_pipeline"
    shutil.copytree(package, pod.site / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for each in (pod.typed_in, pod.dagster_home):
        each.mkdir()
    return pod
