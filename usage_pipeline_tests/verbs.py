"""Verbs in the test's own process: the same lines and exit codes as a person gets, without the wait."""

import os
from dataclasses import dataclass

import pytest

from usage_pipeline.cli import program
from usage_pipeline_tests.stack import Done


@dataclass(frozen=True)
class Verbs:
    """Types verbs that only read or migrate; what runs Dagster needs a process of its own."""

    patch: pytest.MonkeyPatch
    output: pytest.CaptureFixture[str]

    def __call__(self, *words: str, **environment: str) -> Done:
        before = os.environ.copy()  # a verb exports what its own processes need
        with self.patch.context() as patch:
            patch.setattr("sys.argv", ["usage-pipeline", *words])
            for name, value in environment.items():
                patch.setenv(name, value)
            self.output.readouterr()
            code = program.run()
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
        said = self.output.readouterr()
        return Done(code, said.out, said.err)
