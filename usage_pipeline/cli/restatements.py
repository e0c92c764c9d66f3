"""`restatements`: what was restated and why; `--kept`: what is stored and the source lost."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Final
from uuid import UUID

import click

from usage_pipeline.cli import asked, console
from usage_pipeline.cli.table import Column, Table
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    from usage_pipeline.serving.restatements import Kept, Restatement

_EXAMPLES: Final = """\b
Examples:
  usage-pipeline restatements tokens_daily --from 2026-03-01 --to 2026-03-31
  usage-pipeline restatements --kept --user "Ada Lovelace"
"""
_SHOWN: Final = 50


@click.command(epilog=_EXAMPLES)
@click.argument("asset", required=False)
@click.option("--from", "first", type=console.DAY, help="First day, UTC, of the periods.")
@click.option("--to", "last", type=console.DAY, help="Last day, inclusive.")
@click.option("--user", "who", metavar="NAME-OR-ID", help="One user alone.")
@click.option("--kept", is_flag=True, help="What is stored and the source no longer has.")
@click.option("--all", "all_of_them", is_flag=True, help=f"Every one, not only the first {_SHOWN}.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with every one.")
def restatements(
    asset: str | None, first: date | None, last: date | None, who: str | None,
    kept: bool, all_of_them: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show what changed in sealed periods, newest first: before and after, why, when, and by which run.

    Also the rows of open periods whose loss somebody accepted.
    """
    from usage_pipeline.serving import restatements as serving

    rollup = asked.rollup(asset).name if asset is not None else None
    asked.check_order(first, last)
    most = None if all_of_them or as_json else _SHOWN
    with session.opened() as (_, warehouse):
        user_id = _user(warehouse, who) if who is not None else None
        chosen = serving.Chosen(rollup, user_id, first, last)
        with warehouse.begin(Role.READER) as connection:
            read = serving.kept if kept else serving.restatements
            lines, count = read(connection, chosen, most)
    if as_json:
        console.emit_json([asdict(each) for each in lines], kept=kept, timezone="UTC")
    elif lines:
        _show_kept(lines) if kept else _show(lines)  # type: ignore[arg-type]
    if not as_json:
        console.narrate(_words(len(lines), count, kept=kept))


def _user(warehouse: Warehouse, who: str) -> UUID:
    """An id is taken as it is: who was restated away may be known nowhere else."""
    try:
        return UUID(who)
    except ValueError:
        return asked.person(warehouse, who).user_id


def _words(shown: int, count: int, *, kept: bool) -> str:
    if not count:
        return "No sealed period keeps more than its source." if kept else "No period was restated."
    what = "kept" if kept else "restated"
    rest = f", {shown:,} of them shown (--all: every one)" if shown < count else ""
    return f"{asked.count(count, 'row')} {what}{rest}."


def _show(lines: "Sequence[Restatement]") -> None:
    columns = [
        Column("Restated (UTC)", goes=3), Column("Asset", goes=2), Column("Period"),
        Column("User", is_name=True), Column("Messages", is_number=True, goes=4),
        Column("Tokens", is_number=True), Column("Reason", is_name=True, goes=5), Column("Run", goes=1),
    ]  # fmt: skip
    rows = [
        [
            f"{each.restated_at:%Y-%m-%d %H:%M}", each.rollup, each.period, _name(each),
            _change(each.messages_before, each.messages_after),
            _change(each.tokens_before, each.tokens_after), each.reason, each.run_id or "",
        ]
        for each in lines
    ]  # fmt: skip
    Table(columns, rows).show()


def _show_kept(lines: "Sequence[Kept]") -> None:
    columns = [
        Column("Asset", goes=2), Column("Period"), Column("User", is_name=True),
        Column("Messages", is_number=True, goes=3), Column("Tokens", is_number=True),
        Column("Looked at (UTC)", goes=1),
    ]  # fmt: skip
    rows = [
        [
            each.rollup, each.period, _name(each), f"{each.messages:,}", f"{each.tokens:,}",
            f"{each.looked_at:%Y-%m-%d %H:%M}",
        ]
        for each in lines
    ]  # fmt: skip
    Table(columns, rows).show()


def _name(each: "Restatement | Kept") -> str:
    from usage_pipeline.serving import people

    return people.label_of(each.user_id, each.label)


def _change(before: int | None, after: int | None) -> str:
    """From nothing to something and back are changes too."""
    return " → ".join("none" if each is None else f"{each:,}" for each in (before, after))
