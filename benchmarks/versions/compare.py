"""`bench --against REVISION`: medians of both, taken in turn, and their ratio."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final, TypeAlias

from benchmarks.versions.delay import delayed
from benchmarks.versions.revision import LAST, NEVER, ROOT, Side, checked_out, opened
from usage_pipeline.refusals import Refusal
from usage_pipeline_tests.servers import Kind, TcpServer

ENGINE_REWRITTEN: Final = "0d5db7c"
"""The last revision whose engine was one function of the database."""
LATENCY: Final = 0.02
NEAR: Final = "2025-02-09"
"""The last of the 40 days that are computed from afar."""
DAILY: Final = "tokens_daily"
COARSER: Final = ("tokens_weekly", "tokens_monthly", "tokens_yearly")
TURNS: Final = 15
TURNS_OF_RANGE: Final = 7
Sides: TypeAlias = tuple[Side, Side]
Figures: TypeAlias = tuple[float, ...]
Line: TypeAlias = tuple[str, Figures]


def compare(revision: str, versions: Sequence[str], say: Callable[[str], None]) -> None:
    """This checkout and the revision on each server, a line for each thing that was measured."""
    with checked_out(revision) as folder:
        for version in versions:
            lack = Kind(version, "tcp").lack()
            say(f"{f'PostgreSQL {version}':<44} {revision[:9]:>9} {'now':>9} {'ratio':>6}")
            for line in [f"left out: {lack}"] if lack else _on(version, folder):
                say(line)


def _on(version: str, folder: Path) -> Iterator[str]:
    """Both on one server of this version."""
    with ExitStack() as running:
        server = running.enter_context(Kind(version, "tcp").started())
        assert isinstance(server, TcpServer)
        before = running.enter_context(opened("before", folder, server))
        now = running.enter_context(opened("now", ROOT, server))
        prove((before, now))
        for what, (old, new) in lines((before, now)):
            yield f"{what:<44} {old:9.2f} {new:9.2f} {new / old:6.2f}"


def prove(sides: Sides) -> None:
    """Everything once: both store the same rows before a time is printed."""
    for side in sides:
        for asset in (DAILY, *COARSER):
            side.span(asset)
    before, now = (side.stored() for side in sides)
    if before != now:
        raise Refusal("the revisions store different rows", why=f"{before} before, {now} now")


def lines(sides: Sides) -> Iterator[Line]:
    """What was measured, in milliseconds of the server's processor or in seconds."""
    yield from measured(sides, fresh(DAILY), "day of 20,000 answers, fresh, ms CPU")
    yield from measured(sides, unchanged, "the same, unchanged")
    yield from measured(sides, sealed, "the same, sealed")
    for side in sides:
        side.seal_after(NEVER)
    yield from measured(
        sides, ranged(), "400 days, s", "the same, s CPU of the server", "the same, s CPU of the client",
        turns=TURNS_OF_RANGE,
    )  # fmt: skip
    for asset in COARSER:
        yield from measured(sides, fresh(asset), f"{asset} from what is below, ms CPU")
        for side in sides:
            side.span(asset)
    with delayed(sides[0].server.port, LATENCY) as port:
        away = f"40 days, {1000 * LATENCY:.0f} ms away, s"
        yield from measured(sides, ranged(NEAR, port), away, turns=TURNS_OF_RANGE)


def measured(
    sides: Sides, take: Callable[[Side], Figures], *whats: str, turns: int = TURNS
) -> Iterator[Line]:
    """The medians of both, taken in turn, of each figure that has a name."""
    taken: dict[str, list[Figures]] = {side.name: [] for side in sides}
    for turn in range(turns):
        for side in sides if turn % 2 else sides[::-1]:
            taken[side.name].append(take(side))
    for number, what in enumerate(whats):
        yield what, tuple(median(each[number] for each in taken[side.name]) for side in sides)


def fresh(asset: str) -> Callable[[Side], Figures]:
    """The period that holds the busy day, as if it was never computed."""

    def take(side: Side) -> Figures:
        side.forget(asset)
        found = side.period(asset)
        assert found["changed"]
        return (found["cpu"],)

    return take


def unchanged(side: Side) -> Figures:
    found = side.period(DAILY)
    assert (found["changed"], found["state"]) == (0, "open")
    return (found["cpu"],)


def sealed(side: Side) -> Figures:
    side.seal_after(7)
    found = side.period(DAILY)
    assert (found["changed"], found["state"]) == (0, "sealed")
    return (found["cpu"],)


def ranged(last: str = LAST, port: int | None = None) -> Callable[[Side], Figures]:
    """A range of days that were never computed."""

    def take(side: Side) -> Figures:
        side.forget(DAILY)
        found = side.span(DAILY, last, port)
        return found["seconds"], found["server"], found["client"]

    return take
