"""`init`: a stack for a database of one's own; what is there is looked at, and the settings are written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy import URL

from usage_pipeline import refusals, settings
from usage_pipeline.cli import asked, console, stack
from usage_pipeline.refusals import REFUSED, USAGE, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import urls

if TYPE_CHECKING:
    from usage_pipeline.sources.access import Grant
    from usage_pipeline.warehouse.findings import Finding


@click.command()
@click.option(
    "--database-url",
    metavar="URL",
    help="The application's database; USAGE_DATABASE_URL if left out, else you are asked.",
)
def init(database_url: str | None) -> None:
    """Write the settings of a stack for your own database, once it answers and has a source."""
    before = settings.given_database_url()
    found = _settings(database_url)
    with console.step("your database") as words:
        seen, grants, lacks, neighbours = _look_at(found)
        words.extend(seen)
    url = urls.read(str(found.database_url))
    place, former = urls.without_secrets(url).render_as_string(hide_password=False), settings.stored(found)
    stale = settings.OF_DATABASE & former.keys() if former.get("database_url") not in (None, place) else set()
    settings.store(found, database_url=place, **dict.fromkeys(stale))
    found = settings.load()
    stack.make_current(found)
    if stale:
        console.narrate(
            f"Removed, as set for the former database: {', '.join(sorted(stale))}.", style="yellow"
        )
    for note in (*_notes(found, url, before), *neighbours):
        console.narrate(note, style="yellow")
    console.narrate(_what_apply_does(grants))
    for lack in lacks:
        console.narrate(_in_the_way(lack), style="yellow")
    console.narrate(_next_commands(found, comes_first=bool(lacks)))


def _settings(database_url: str | None) -> Settings:
    """The settings in force once the database is named; a demo's folder is never made another's."""
    if database_url is not None and not database_url.strip():
        raise Refusal("--database-url is empty", fix="give a URL, or leave it out", exit_code=USAGE)
    if database_url is None and not settings.load().database_url and asked.is_terminal():
        database_url = _asked()
    if database_url is not None:
        settings.export({"USAGE_DATABASE_URL": database_url})
    found = settings.load()
    if found.is_demo:
        raise Refusal(
            f"{found.home} is the demo's",
            why="the demo never touches another database than its own",
            fix="$ init --database-url URL makes a stack beside it; unset USAGE_HOME if that names the demo",
            exit_code=REFUSED,
        )
    if found.database_url is None:
        raise Refusal(
            "no database is named",
            fix="$ init --database-url postgresql://user@host:5432/database, or set USAGE_DATABASE_URL",
            exit_code=USAGE,
        )
    return found


def _asked() -> str:
    """A URL is known to whoever made the database; the form of one may not be."""
    console.narrate("Where does the application's database stand? postgresql://user@host:5432/database")
    return str(click.prompt("URL", err=True))


def _look_at(found: Settings) -> "tuple[list[str], Sequence[Grant], Sequence[Finding], list[str]]":
    """What exists there, what must be granted, what keeps this login from going on, who shares our roles.

    What cannot work is refused first.
    """
    from usage_pipeline.sources import access, directory
    from usage_pipeline.warehouse import health
    from usage_pipeline.warehouse.connections import open_warehouse, server_version
    from usage_pipeline.warehouse.roles import Role

    warehouse = open_warehouse(found)
    try:
        with warehouse.begin(Role.LOGIN) as connection:
            adapter = access.active(connection, found.token_source)
            access.require_tables(connection, adapter)
            version = server_version(connection)
            needed, for_names = access.grants(connection, adapter), directory.grants(connection, adapter)
            grants = list(dict.fromkeys([*needed, *for_names]))
        beside = health.neighbours(found, warehouse)
        looked = [look(found, warehouse) for look in (health.server, health.roles)]
    finally:
        warehouse.dispose()
    read = ", ".join(each.name for each in adapter.tables)
    seen = [warehouse.place, f"PostgreSQL {version}", f"source {adapter.name}: {read}"]
    lacks = [each for each in looked if not (each.ok or each.waits_for)]
    return seen, grants, lacks, [f"{beside.found}."] if beside != health.ALONE else []


def _what_apply_does(grants: "Sequence[Grant]") -> str:
    """What will be run on somebody's own tables is shown before it is."""
    form = settings.program()
    if not grants:
        return "The rights on the application's tables are there already."
    ours = "\n".join(f"    {each.statement};" for each in grants if each.is_permitted) or "    nothing"
    theirs = "".join(f"\n    {each.statement};" for each in grants if not each.is_permitted)
    owner = f"\n  Their owner has to run:{theirs}" if theirs else ""
    return (
        f"`{form} migrate apply` makes the schemas usage, usage_private and usage_parts, and on the"
        f" application's tables runs no more than:\n{ours}{owner}\n  `{form} migrate sql` prints all of it."
    )


def _in_the_way(lack: "Finding") -> str:
    """What has to be done first, mostly by somebody else: this login would be refused."""
    fix = refusals.as_typed(lack.fix or "", settings.program())
    return "\n    ".join([f"{lack.found}. Fix:", *fix.splitlines()])


def _notes(found: Settings, url: URL, in_environment: str | None) -> Iterator[str]:
    """What a person must know before the next command."""
    if urls.holds_secret(url):
        yield (
            f"The password is not in {found.file}: USAGE_DATABASE_URL or ~/.pgpass must supply it,"
            " to every command."
        )
    elsewhere = urls.read(in_environment) if in_environment else url
    if urls.without_secrets(elsewhere) != urls.without_secrets(url):
        yield "USAGE_DATABASE_URL is set to another database, and wins over the file: unset it."
    meant = settings.home_of_env_file()
    if meant and Path(meant) != found.home:
        yield f"Dagster's own commands typed in this folder mean {meant} until `up` runs: its .env says so."
    if not settings.is_under_root(found.home):
        yield f"{found.home} is not where our commands look by themselves: export USAGE_HOME for each."


def _next_commands(found: Settings, *, comes_first: bool) -> str:
    form = settings.program()
    first = str(found.start or "DAY")
    which = "" if found.start else "   (the first day, which `migrate apply` finds)"
    return (
        f"The settings stand in {found.file}. {'That comes first; then' if comes_first else 'Next'}:\n"
        f"  {form} migrate apply\n"
        f"  {form} backfill all --from {first} --to yesterday{which}\n"
        f"  {form} up"
    )
