"""`demo`: from nothing to a filled Dagster page, always on a server of its own."""

import gc
import shutil
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from usage_pipeline import settings
from usage_pipeline.cli import backfill, backfill_job, backfill_words, console, graphql, lock, migrate, stack
from usage_pipeline.cli.lock import Lock
from usage_pipeline.cli.page import Page, no_open_option, port_option, served, until_ended
from usage_pipeline.periods import clock
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.settings import Settings

if TYPE_CHECKING:
    from usage_pipeline.demo.story import Story
    from usage_pipeline.rollups.rollup import Span
    from usage_pipeline.warehouse.connections import Warehouse
    from usage_pipeline.warehouse.embedded import Server

DAYS: Final = 400


@click.command()
@click.option("--once", is_flag=True, help="Do everything, verify it, stop; exit 0 or 1.")
@click.option("--reset", is_flag=True, help="Throw the demo's data away first.")
@click.option(
    "--days",
    type=click.IntRange(14, 1000),
    help=f"How many days of data, when it is made; {DAYS} if left out. Each later start adds the days since.",
)
@no_open_option
@port_option
def demo(once: bool, reset: bool, days: int | None, no_open: bool, port: int) -> None:
    """Fill an embedded database with 400 days of a chat application and show them in Dagster."""
    from usage_pipeline.warehouse import embedded

    if settings.given_database_url():
        console.narrate("USAGE_DATABASE_URL is set; the demo leaves that database alone and uses its own.")
    home = settings.demo_home()
    server = embedded.of(home)
    with stack.ending_on_signals(), lock.alone(home, "demo") as held:
        if reset:
            _reset(home, server)
        days = _claim(home, days, anew=reset)
        _leave_the_old(home, server)
        with ExitStack() as running:
            with console.step("PostgreSQL (embedded, socket only)") as words:
                running.enter_context(embedded.held(server))
                words.append(_version(server))
            _run(server, held, days, port=port, once=once, open_page=not (no_open or once))


def _run(server: "Server", held: Lock, days: int, *, port: int, once: bool, open_page: bool) -> None:
    from usage_pipeline.warehouse.connections import open_warehouse

    found = _settings(server.home, days)
    warehouse = open_warehouse(found)
    stack.prepare(found)
    stack.create_storage(found)
    with served(found, port) as page:  # it gets ready while we work
        story = _application(server, found, days)
        migrate.everything(found, warehouse)
        _backfill(found, warehouse, "backfill", _first_due(warehouse, story), clock.yesterday())
        _late_batch(server, found, warehouse, story)
        page.stand(held)
        stack.make_current(found)
        stack.write_env_file(found)
        if once:
            _verify(warehouse, story, page)
            form = settings.program()
            console.narrate(f"All verified; the data stay in {server.folder}. Try: {form} usage tokens")
            return
        with until_ended():
            _greet(server, page, story)
            if open_page:
                page.show()
            page.wait()


def _claim(home: Path, days: int | None, *, anew: bool) -> int:
    """Mark the folder as the demo's, so that nothing else is ever taken for it, or deleted as it.

    The mark says how many days the demo has; a file from before it did means the usual number.
    """
    if home.exists() and any(home.glob("*")) and not (home / settings.DEMO_MARKER).exists():
        strangers = {each.name for each in home.iterdir()} - {lock.FILE, settings.CURRENT}
        if strangers:
            raise Refusal(
                f"{home} holds something that is not the demo's",
                why=f"it contains {min(strangers)}",
                fix="unset USAGE_HOME, or name an empty folder",
                exit_code=REFUSED,
            )
    home.mkdir(parents=True, exist_ok=True)
    marker = home / settings.DEMO_MARKER
    if anew or not marker.exists():
        marker.write_text(f"{days or DAYS}\n", encoding="utf-8")
    text = marker.read_text(encoding="utf-8").strip()
    there = int(text) if text.isdecimal() else DAYS
    if days not in (None, there):
        raise Refusal(
            f"the demo in {home} was made with {there} days",
            why="what it has stays, and each start adds the days since",
            fix=f"$ demo --reset --days {days}",
            exit_code=REFUSED,
        )
    return there


def _reset(home: Path, server: "Server") -> None:
    from usage_pipeline.warehouse import embedded

    if not (home / settings.DEMO_MARKER).exists():
        return
    with console.step("the old demo is removed"):
        embedded.remove(server)
        kept = {
            lock.FILE,
            "starting.lock",
            "users.lock",
            settings.DEMO_MARKER,
        }  # the marker says whose the rest is
        for each in home.iterdir():
            if each.name not in kept:
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()


def _leave_the_old(home: Path, server: "Server") -> None:
    """The data of a demo that was deleted, perhaps with its clone, or moved: a demo makes its own anew."""
    from usage_pipeline.warehouse import embedded

    if settings.is_demos_own(home) and embedded.estranged(server):
        with console.step("the data of an earlier demo are removed"):
            embedded.remove(server)


def _version(server: "Server") -> str:
    with server.connect() as connection:
        return f"{connection.info.server_version // 10_000}.{connection.info.server_version % 10_000}"


def _settings(home: Path, days: int) -> Settings:
    """The demo's own settings; its first day is decided once."""
    settings.export({"USAGE_HOME": str(home)})
    found = settings.load()
    if found.start:
        return found
    settings.store(found, start=clock.yesterday() - timedelta(days=days - 1))
    return settings.load()


def _application(server: "Server", found: Settings, days: int) -> "Story":
    """The application's tables and their rows, made once; each start adds the days up to yesterday."""
    from usage_pipeline.demo import loading, story
    from usage_pipeline.warehouse import failures

    with console.step("demo data") as words:
        told = story.tell(found.first_day + timedelta(days=days - 1), days)
        gc.freeze()  # it stays to the end: the collector need not walk its million objects again and again
        with (
            failures.told(f"usage at {server.sockets}"),
            server.connect("usage", "usage") as connection,
            connection.transaction(),
        ):
            is_new = not loading.is_loaded(connection)
            if is_new:
                loading.create_application(connection)
                loading.load(connection, told)
            elif not loading.is_there(connection, told):
                raise Refusal(
                    f"{server.folder} holds the data of another demo",
                    why="they are of other days or of an earlier version",
                    fix="$ demo --reset",
                    exit_code=REFUSED,
                )
            since = told.last_day + timedelta(days=1)
            told = story.continued(told, clock.yesterday())
            added = loading.load_since(connection, told, since)
        answers = sum(message.role == "assistant" for message in told.messages)
        count = (told.last_day - told.first_day).days + 1
        words.append(
            f"{len(told.users)} users, {len(told.agents)} agents, {answers:,} answers in {count} days"
        )
        if added and not is_new:
            words.append(f"{added} of them new since the last start")
    return told


def _first_due(warehouse: "Warehouse", story: "Story") -> date:
    """The first day that was never computed, at the latest the first of the late batch.

    Where a coarser period lacks, everything: it is due from its first day, and may lie anywhere.
    """
    from usage_pipeline.serving import periods, tokens
    from usage_pipeline.warehouse.roles import Role

    with warehouse.begin(Role.READER) as connection:
        days, *coarser = (
            tokens.coverage(connection, story.first_day, story.last_day, grain=each)
            for each in periods.GRAINS
        )
    late = story.chapter("offline")
    if late is None or any(each.missing for each in coarser):
        return story.first_day
    return min([*days.missing, *days.partial, late.first_day])


def _spans(story: "Story") -> "list[Span]":
    """The periods of every asset that hold the story's days."""
    from usage_pipeline.rollups.rollup import ROLLUPS, Span

    return [Span.holding(each, story.first_day, story.last_day) for each in ROLLUPS.values()]


def _late_batch(server: "Server", found: Settings, warehouse: "Warehouse", story: "Story") -> None:
    """What comes in after its days were computed; whoever was interrupted here goes on here."""
    from usage_pipeline.demo import loading

    late = story.chapter("offline")
    with server.connect("usage", "usage") as connection:
        if late is None or loading.is_late_there(connection, story):
            return
        with connection.transaction():
            loading.load_late(connection, story)
    _backfill(found, warehouse, "late batch", late.first_day, late.last_day)


def _backfill(found: Settings, warehouse: "Warehouse", name: str, first: date, last: date) -> None:
    """Days, and the weeks, months and years that hold them."""
    with console.step(name) as words:
        outcomes = backfill.run(found, warehouse, [backfill_job.ALL], first, last)
        words.append(backfill_words.counts(each.rollup for each in outcomes))
        words.append(f"{sum(each.changed for each in outcomes):,} rows written")


def _verify(warehouse: "Warehouse", story: "Story", page: Page) -> None:
    """Compare what is stored with a computation in plain Python, and what the page shows with both."""
    from usage_pipeline.demo import verification
    from usage_pipeline.warehouse.roles import Role

    with console.step("verified against plain Python") as words:
        with warehouse.begin(Role.READER) as connection:
            difference = verification.difference(connection, story, now=clock.now())
        if difference:
            raise Refusal("the stored numbers are wrong", why=difference)
        words.append("every row of every grain agrees")
    with console.step("Dagster shows every period") as words:
        for span in _spans(story):
            count = graphql.materialized_count(page.address, span.rollup.name)
            if count < len(span.windows):
                why = f"{count} of {len(span.windows)} are green"
                raise Refusal(f"the page does not show all of {span.rollup.name}", why=why)
            words.append(backfill_words.count(span.rollup.grain, count))
    with console.step("Dagster's daemon"):
        page.wait_for_daemon()


def _greet(server: "Server", page: Page, story: "Story") -> None:
    form = settings.program()
    last = story.last_day
    console.narrate(
        f"\n  {page.lineage}\n\n  What the data tell:\n{_chapters(story)}\n\n  Try in another terminal:\n"
        f"    {form} usage tokens\n"
        f'    {form} usage tokens --user "Ada Lovelace"\n'
        f"    {form} backfill tokens_monthly --from {last.replace(day=1)} --to {last}\n"
        f"    {form} backfill all --from {last - timedelta(days=6)} --to {last}\n\n"
        f"  Ctrl-C stops everything; the data stay in {server.folder} (--reset starts over)."
    )


def _chapters(story: "Story") -> str:
    return "\n".join(f"    {each.first_day} to {each.last_day}  {each.sentence}" for each in story.chapters)
