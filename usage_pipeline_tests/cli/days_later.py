"""Verbs typed at other times than now: both clocks are moved, this machine's and the database's.

`python -m usage_pipeline_tests.cli.days_later STEPS`, where STEPS is JSON: [instant, [word, …]] each.
"""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO

import psycopg

from usage_pipeline import settings
from usage_pipeline.cli import program
from usage_pipeline.periods import clock
from usage_pipeline_tests.factories import set_clock


def typed(instant: datetime, words: list[str]) -> tuple[int, str, str]:
    """One verb: its exit code, what it wrote and what it said."""
    clock.now = lambda: instant
    with psycopg.connect(str(settings.given_database_url()), autocommit=True) as connection:
        set_clock(connection, instant)
    sys.argv = ["usage-pipeline", *words]
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as said:
        code = program.run()
    return code, out.getvalue(), said.getvalue()


if __name__ == "__main__":
    print(json.dumps([typed(datetime.fromisoformat(at), words) for at, words in json.loads(sys.argv[1])]))
