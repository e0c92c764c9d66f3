"""The two ways of the paper that asked for this: a function a user and day, and a materialized view."""

from typing import Final

from benchmarks.rounds import Side
from benchmarks.sides import equality
from benchmarks.stage import Stage

USERS: Final = 200
"""How many users are sampled where a call is cheap; one where it is not."""


def prepare(stage: Stage) -> None:
    """The messages with their session's user, once for as long as the stage stands."""
    if stage.run("exists", name="seed.user_token_usage") == [(False,)]:
        stage.run("seed_copy")
    for name in ("seed_no_index", "seed_function", "seed_loop_function", "seed_rows", "view_drop"):
        stage.run(name, login="postgres")


def loop(stage: Stage, *, has_index: bool) -> Side:
    """The loop over everybody, made up from a sample of users whose rows are compared each time."""
    ((users, every),) = stage.run("seed_users", count=USERS if has_index else 1)

    def before() -> None:
        stage.run("seed_no_index")
        if has_index:
            stage.run("seed_index")
        stage.run("seed_empty")
        stage.settle()

    def run() -> float:
        seconds, _ = stage.timed("seed_loop", users=users)
        stage.run("seed_expected", login="postgres", users=users)
        equality.require(stage, "the seed's loop", "bench.seed_rows", "bench.seed_expected")
        return seconds * float(every) / len(users)

    return Side(f"the seed's loop, {'with its index' if has_index else 'without'}", run, before)


def view(stage: Stage) -> Side:
    """The first build of the view, without the index that its refresh needs; its rows are compared."""

    def before() -> None:
        stage.run("view_drop", login="postgres")
        stage.settle()

    def run() -> float:
        seconds, _ = stage.timed("view_create")
        stage.run("view_index", login="postgres")
        require_view(stage)
        return seconds

    return Side("the seed's materialized view", run, before)


def refreshed_view(stage: Stage) -> Side:
    """A refresh of the view that keeps nobody from reading."""

    def run() -> float:
        seconds, _ = stage.timed("view_refresh")
        require_view(stage)
        return seconds

    return Side("the seed's view, refreshed concurrently", run, before=stage.settle)


def require_view(stage: Stage) -> None:
    equality.require(stage, "the materialized view", "bench.view_rows", "bench.view_expected")
