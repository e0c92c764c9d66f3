"""`doctor`: looks at the database and the stack, and says how to mend what it finds. It changes nothing."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline import refusals, settings
from usage_pipeline.cli import console
from usage_pipeline.refusals import ATTENTION
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.poolers import Mode

if TYPE_CHECKING:
    from usage_pipeline.warehouse.findings import Finding

_MARKS: Final = {True: "✓", False: "!"}
_REMEDIES: Final = {True: "Advice", False: "Fix"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Look for what hinders the database or the stack, and say how to mend it; exit 3 if anything does."""
    told = []
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    with session.opened(read_only=True) as (found, warehouse):
        for name, finding in _findings(found, warehouse):
            if finding.waits_for:
                waiting[finding.waits_for].append(name)
            elif not as_json:
                _show(name, finding)
            told.append({"name": name, "ok": finding.ok, "found": finding.found, "fix": _typed(finding.fix)})
    is_sound = all(each["ok"] for each in told)
    if as_json:
        console.emit_json(told, needs_attention=not is_sound)
    else:
        _show_waiting(waiting)
    context.exit(0 if is_sound else ATTENTION)


def _findings(found: Settings, warehouse: Warehouse) -> Iterator[tuple[str, "Finding"]]:
    """Every check with what it finds; a database that does not let us in is asked no further."""
    from usage_pipeline.rollups import health as schema
    from usage_pipeline.rollups import losses, readiness
    from usage_pipeline.sources import health as source
    from usage_pipeline.warehouse import capacity, health
    from usage_pipeline.warehouse.findings import LET_IN, Finding

    way = health.WAY.finding(found, warehouse, readiness.explained)
    yield health.WAY.name, way
    lets_in = way.ok or warehouse.pooler is Mode.TRANSACTION
    unknown = Finding(False, "not looked at: the database does not let us in", waits_for=LET_IN)
    known = (*health.CHECKS, *schema.CHECKS, *source.CHECKS, *losses.CHECKS, *capacity.CHECKS)
    for check in known:
        can_ask = lets_in or not check.asks_database
        yield check.name, check.finding(found, warehouse, readiness.explained) if can_ask else unknown


def _show(name: str, finding: "Finding") -> None:
    click.echo(f"{_MARKS[finding.ok]} {name:<14} {console.printable(finding.found)}")
    for line in (_typed(finding.fix) or "").splitlines():
        click.echo(f"  {_REMEDIES[finding.ok]}: {console.printable(line)}")


def _show_waiting(waiting: Mapping[str, Sequence[str]]) -> None:
    """One line for all that would say the same; the fix stands below the finding that holds them up."""
    for reason, names in waiting.items():
        click.echo(
            f"{_MARKS[False]} {'not yet':<14} {', '.join(names)}: to be looked at once {_typed(reason)}"
        )


def _typed(fix: str | None) -> str | None:
    """A fix with our verbs in the form the person types."""
    return None if fix is None else refusals.as_typed(fix, settings.program())
