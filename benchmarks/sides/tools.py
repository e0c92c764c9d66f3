"""SQLMesh and dbt as sides: each at the best of its settings, its rows compared."""

from collections.abc import Callable, Sequence
from datetime import date
from types import ModuleType
from typing import Final

from benchmarks import rounds
from benchmarks.peers import dbt, sqlmesh
from benchmarks.peers.place import Failed, Unavailable, Variant
from benchmarks.rounds import Side
from benchmarks.sides import equality
from benchmarks.stage import Stage
from usage_pipeline.periods.calendar import midnight

TOOLS: Final[dict[str, ModuleType]] = {"SQLMesh": sqlmesh, "dbt": dbt}


def best(stage: Stage, say: Callable[[str], None]) -> list[Side]:
    """First fills: each setting is tried once; the times are told when the rows of all were compared."""
    sides: list[Side] = []
    said: list[str] = []
    for name, tool in TOOLS.items():
        try:
            tried = {variant: _tried(stage, name, variant) for variant in tool.VARIANTS}
        except (Unavailable, Failed) as reason:
            sides.append(Side.missing(name, reason))
            continue
        working = {variant: side for variant, side in tried.items() if side.seconds is not None}
        chosen = min(working, key=lambda each: working[each].times[0]) if working else tool.VARIANTS[0]
        said += [f"{name}, {variant.name}: {side.times[0]:.1f} s" for variant, side in working.items()]
        sides.append(tried[chosen] if not working else _fill(stage, name, chosen))
    for line in said:
        say(line)
    return sides


def nights(stage: Stage, day: date) -> list[Side]:
    """The day once more, where it was not; no tool here has weeks, months and years."""
    sides = []
    for name, tool in TOOLS.items():
        variant = tool.VARIANTS[0]
        try:
            tool.prepare(stage.place(), variant)
        except (Unavailable, Failed) as reason:
            sides.append(Side.missing(name, reason))
            continue
        fill = _fill(stage, name, variant)
        rounds.prove([fill])
        if not fill.failure:
            equality.require(stage, name, tool.RESULT)
        sides.append(_night(stage, name, variant, day, fill.failure))
    return sides


def require(stage: Stage, sides: Sequence[Side]) -> None:
    """The rows that each tool left, of those that still take part."""
    for name, tool in TOOLS.items():
        if any(side.name.startswith(name) and not side.failure for side in sides):
            equality.require(stage, name, tool.RESULT)


def _tried(stage: Stage, name: str, variant: Variant) -> Side:
    TOOLS[name].prepare(stage.place(), variant)
    side = _fill(stage, name, variant)
    rounds.alternate([side], 1, lambda _: None)
    if not side.failure:
        equality.require(stage, name, TOOLS[name].RESULT)
    return side


def _fill(stage: Stage, name: str, variant: Variant) -> Side:
    tool, place = TOOLS[name], stage.place()

    def before() -> None:
        tool.empty(place, variant)
        stage.settle()

    return Side(f"{tool.VERSION}, {variant.name}", rounds.timed(lambda: tool.fill(place, variant)), before)


def _night(stage: Stage, name: str, variant: Variant, day: date, failure: str) -> Side:
    tool, place = TOOLS[name], stage.place()

    def before() -> None:
        stage.run("forget_day", names={"result": tool.RESULT}, day=midnight(day))
        stage.settle()

    return Side(tool.VERSION, rounds.timed(lambda: tool.night(place, day, variant)), before, failure=failure)
