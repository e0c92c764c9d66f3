"""`migrate rollback`, `migrate restore FILE…`: down by revisions, with what they drop in files; and back."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline import settings
from usage_pipeline.cli import asked, console
from usage_pipeline.warehouse import session

if TYPE_CHECKING:
    from usage_pipeline.warehouse.functions import FunctionFile
    from usage_pipeline.warehouse.migrations.rollback import RolledBack
    from usage_pipeline.warehouse.migrations.way_down import WayDown

_FOLDER: Final = "rolled-back"
_EXAMPLES: Final = """\b
Examples:
  usage-pipeline migrate rollback
  usage-pipeline migrate rollback --to 0002_user_token_usage --yes
  usage-pipeline migrate rollback --to base --yes --into /backup
"""


@click.command(epilog=_EXAMPLES)
@click.option("--to", metavar="REVISION", help="The revision that stays, or base; else one down.")
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
    help=f"Where the rows go; else {_FOLDER} in the stack's folder.",
)  # fmt: skip
@click.option("--yes", "-y", is_flag=True, help="Do not ask, also where tables hold rows.")
def rollback(to: str | None, into: Path | None, yes: bool) -> None:
    """Undo revisions, the newest first, in one transaction.

    What they drop is written to files before it is dropped, a file a table, for their owner alone;
    `migrate restore` puts it back. The application's tables are not touched.
    """
    from usage_pipeline.warehouse.migrations import rollback as way_back

    with session.opened() as (found, warehouse):
        wanted = _functions()
        way = way_back.plan(warehouse, wanted, to)
        if way is None:
            console.narrate("There is nothing to roll back.")
            return
        if way.filled and not (yes or asked.is_terminal()):
            raise way_back.not_agreed(way, into)
        folder = (into or found.home / _FOLDER).absolute()
        _tell(way, folder)
        if not yes and asked.is_terminal() and not asked.agrees("Go on?", default=not way.filled):
            console.narrate("Nothing was rolled back.")
            return
        with console.step("rolled back") as words:
            done = way_back.perform(warehouse, wanted, to, folder, way)
            words.append(f"stands at {way.target}")
    _tell_way_back(done)


@click.command(no_args_is_help=True)
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE…",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
def restore(files: tuple[Path, ...]) -> None:
    """Put back what `migrate rollback` saved, all FILEs in one transaction.

    The tables must exist and be empty: `migrate apply` comes first. While no period is computed, the first
    day and the grace that it recorded are replaced by those in the files. A file that was cut off or altered
    is refused, and nothing is written. Of several rollbacks, one after the other, give all files at once.
    """
    from usage_pipeline.warehouse.migrations import restore as putting_back

    with session.opened() as (_, warehouse), console.step("restored") as words:
        for each in putting_back.perform(warehouse, files):
            there = f" ({each.rows - each.written:,} stood already)" if each.rows > each.written else ""
            words.append(f"{each.table} {asked.count(each.rows, 'row')}{there}")


def _functions() -> "list[FunctionFile]":
    """Of every adapter: the one in force may have no tables any more."""
    from usage_pipeline.rollups import functions
    from usage_pipeline.sources.adapters import ADAPTERS

    return [file for adapter in ADAPTERS.values() for file in functions.wanted(adapter)]


def _tell(way: "WayDown", folder: Path) -> None:
    console.narrate(f"from {way.current} down to {way.target}")
    for name, text in _facts(way, folder):
        console.narrate(f"  {name:<10} {text}")


def _facts(way: "WayDown", folder: Path) -> Iterator[tuple[str, str]]:
    yield "undoes", ", ".join(way.revisions) or "the schemas and the roles"
    for loss in way.losses:
        yield "drops", f"{loss.what}, {asked.count(loss.rows, 'row')}"
    if way.filled:
        yield "saves", f"these rows in {folder}"
    yield "functions", "those from files go too; migrate apply makes them anew"
    for right in way.rights_lost:
        yield "rights", f"goes: {right}"
    for right in way.rights_left:
        yield "rights", f"stays on a table that is not ours: {right}"


def _tell_way_back(done: "RolledBack") -> None:
    """The files on standard output, and how their rows come back."""
    program = settings.program()
    for file in done.files:
        click.echo(str(file))
    console.narrate(f"Back again: {program} migrate apply")
    if done.files:
        console.narrate(f"then: {program} migrate restore {shlex.join(map(str, done.files))}")
