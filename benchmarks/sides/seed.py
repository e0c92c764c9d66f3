"""The two ways of the paper that asked for this: a function a user and day, and a materialized view."""

import time
from typing import Final

from benchmarks import stage as stages
from benchmarks.sides import equality
from benchmarks.stage import Stage

USERS: Final = 200
"""How many users are sampled where a call is cheap; one where it is not."""


def prepare(stage: Stage) -> None:
    """The messages with their session's user, once for as long as the stage stands."""
    if stage.run("exists", name="seed.user_token_usage") == [(False,)]:
        stage.run("seed_copy")
    for name in ("seed_no_index", "seed_function", "view_drop"):
        stage.run(name, login="postgres")


def loop(stage: Stage, *, has_index: bool) -> float:
    """The seconds of the loop over everybody, made up from a sample of users; its rows are compared."""
    stage.run("seed_index" if has_index else "seed_no_index")
    stage.run("seed_empty")
    ((users, every),) = stage.run("seed_users", count=USERS if has_index else 1)
    seconds = _timed(stage, "seed_loop", users=users, first=stage.first, day_count=stage.size.day_count)
    stage.run("seed_expected", login="postgres", users=users)
    equality.require(stage, "the seed's loop", "bench.seed_rows", "bench.seed_expected")
    return seconds * float(every) / len(users)


def make_view(stage: Stage) -> float:
    """The first build of the view, without the index that its refresh needs."""
    stage.run("view_drop", login="postgres")
    seconds = _timed(stage, "view_create")
    stage.run("view_index", login="postgres")
    equality.require(stage, "the materialized view", "bench.view_rows", "bench.view_expected")
    return seconds


def refresh_view(stage: Stage) -> float:
    """A refresh that keeps nobody from reading."""
    return _timed(stage, "view_refresh")


def _timed(stage: Stage, name: str, **binds: object) -> float:
    with stage.connect() as connection:
        began = time.perf_counter()
        connection.execute(stages.statement(name), binds or None)
        return time.perf_counter() - began
