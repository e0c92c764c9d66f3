"""`status`: what runs where. It looks and asks; it starts nothing and makes nothing."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import click

from usage_pipeline import settings
from usage_pipeline.cli import automation, backfill_words, console, graphql, lock, stack
from usage_pipeline.cli.lock import Holder
from usage_pipeline.periods import clock
from usage_pipeline.refusals import ATTENTION, Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import backfills, dagster_instance, dagster_yaml, embedded, policy
from usage_pipeline.warehouse.connections import Warehouse, open_warehouse, server_version
from usage_pipeline.warehouse.failures import Pending
from usage_pipeline.warehouse.roles import Role

_PATIENCE: Final = 5.0  # seconds for one answer of the page
_ONLY_THE_DATABASE_KNOWS: Final = ("migrations", "computed", "backfills")
_FRESH: Final = 120.0  # seconds; the daemon is heard of every half minute


@dataclass(frozen=True)
class Part:
    """One part of a stack: a line for a person, the same as facts for a program."""

    text: str
    facts: dict[str, object]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Say what runs where, and how far it is computed; exit 3 unless the stack runs and answers."""
    found = settings.load()
    parts = dict(_parts(found))
    page = parts["page"].facts.get("answers", False)  # None: it is an operator's, and unknown
    answers = page is not False and bool(parts["daemon"].facts.get("answers"))
    if as_json:
        facts = {name: part.facts for name, part in parts.items()}
        console.emit_json(facts, home=found.home, answers=answers)
    else:
        for name, part in parts.items():
            click.echo(f"{name:<11} {console.printable(part.text)}")
    context.exit(0 if answers else ATTENTION)


def _parts(found: Settings) -> Iterator[tuple[str, Part]]:
    """Every part by its name; one that is down says so itself and does not hide the others."""
    holder = lock.holder(found.home)
    yield "stack", _stack(found, holder)
    yield "page", _told(lambda: _page(found, holder))
    yield "daemon", _told(lambda: _operators_daemon(found) if found.operators_instance else _daemon(holder))
    yield "automation", _told(lambda: _automation(found))
    if found.database_url is None or found.embeds_dagster:
        yield "embedded", _told(lambda: _embedded(found))
    yield "dagster", _told(lambda: _storage(found))
    yield from _database_parts(found)
    yield "settings", Part(str(found.file), {"file": str(found.file), "exists": found.file.exists()})
    yield "logs", Part(str(found.home / "logs"), {"folder": str(found.home / "logs")})


def _told(look: Callable[[], Part]) -> Part:
    """A part, or the one line why it cannot be told."""
    try:
        return look()
    except Pending:
        return _failed("unknown until the migrations have run")
    except Refusal as refusal:
        return _failed(refusal.line(settings.program()))
    except graphql.NO_ANSWER as error:
        return _failed(f"does not answer: {error}")


def _failed(reason: str) -> Part:
    return Part(reason, {"reason": reason})


def _stack(found: Settings, holder: Holder | None) -> Part:
    if holder is None:
        starts = f"{settings.program()} {stack.verb(found)}"
        return Part(f"does not run in {found.home}: {starts}", {"running": False, "start": starts})
    since = f"{holder.since:%Y-%m-%d %H:%M} UTC"
    return Part(
        f"`{holder.verb}` runs in {found.home}: process {holder.pid} since {since}",
        {"running": True, "pid": holder.pid, "verb": holder.verb, "since": holder.since},
    )


def _page(found: Settings, holder: Holder | None) -> Part:
    address = holder.address if holder else None
    if holder is None and found.operators_instance:
        return Part("that of your own instance, wherever it runs", {"address": None, "answers": None})
    if address is None:
        return Part("none yet" if holder else "none", {"address": None, "answers": False})
    is_ours = graphql.is_ready(address, dagster_yaml.artifacts(found), seconds=_PATIENCE)
    text = f"{address} {'answers' if is_ours else 'is not ready'}"
    return Part(text, {"address": address, "answers": is_ours})


def _daemon(holder: Holder | None) -> Part:
    if holder is None or holder.address is None:
        return Part("none yet" if holder else "none", {"answers": False})
    beat = graphql.last_heartbeat(holder.address, seconds=_PATIENCE)
    seconds = round(time.time() - beat)
    if not beat or beat < holder.since.timestamp():
        return Part("was not heard of yet", {"answers": False})
    facts: dict[str, object] = {"answers": seconds < _FRESH, "heartbeat_age_seconds": seconds}
    return Part(f"last heard of {seconds} s ago", facts)


def _operators_daemon(found: Settings) -> Part:
    with dagster_instance.opened(found) as instance:
        beat = dagster_instance.heartbeat(instance)
    if beat is None:
        return Part("was not heard of yet", {"answers": False})
    facts: dict[str, object] = {"answers": beat.is_fresh, "heartbeat_age_seconds": beat.age_seconds}
    return Part(f"last heard of {beat.age_seconds} s ago", facts)


def _automation(found: Settings) -> Part:
    state = automation.state(found)
    return Part(str(state), state.document())


def _embedded(found: Settings) -> Part:
    server = embedded.of(found.home)
    exists, runs = server.data.exists(), server.answers()
    asleep = "does not run; a command that needs it starts it" if exists else "not made yet"
    text = f"{server.data} {'runs' if runs else asleep}"
    return Part(text, {"data": str(server.data), "exists": exists, "running": runs})


def _storage(found: Settings) -> Part:
    place = dagster_yaml.storage(found).words
    facts: dict[str, object] = {"place": place, "embedded": found.embeds_dagster}
    if home := found.operators_instance:
        return Part(f"{place}, of your instance in {home} (DAGSTER_HOME)", facts | {"instance": str(home)})
    return Part(f"{place}{' (embedded)' if found.embeds_dagster else ''}", facts)


def _database_parts(found: Settings) -> Iterator[tuple[str, Part]]:
    """The database, and what only it can tell."""
    if found.database_url is None and not embedded.of(found.home).answers():
        part = Part("the embedded server, which does not run", {"reachable": False})
        yield from (("database", part), *((name, _failed("unknown")) for name in _ONLY_THE_DATABASE_KNOWS))
        return
    warehouse = open_warehouse(found, read_only=True)
    database = _told(lambda: _database(warehouse))
    yield "database", database
    if not database.facts.get("reachable"):
        yield from ((name, _failed("unknown")) for name in _ONLY_THE_DATABASE_KNOWS)
    else:
        yield "migrations", _told(lambda: _migrations(found, warehouse))
        yield "computed", _told(lambda: _computed(found, warehouse))
        yield "backfills", _told(lambda: _backfills(warehouse))
    warehouse.dispose()


def _database(warehouse: Warehouse) -> Part:
    with warehouse.begin(Role.LOGIN) as connection:
        version = server_version(connection)
    pooler = warehouse.pooler
    text = f"{warehouse.place}, PostgreSQL {version}"
    text += f", through a pooler by {pooler}" if pooler else ""
    facts = {"place": warehouse.place, "reachable": True, "server_version": version, "pooler": pooler}
    return Part(text, facts)


def _migrations(found: Settings, warehouse: Warehouse) -> Part:
    from usage_pipeline.rollups import functions
    from usage_pipeline.sources import access
    from usage_pipeline.warehouse.migrations import engine

    with warehouse.begin(Role.LOGIN) as connection:
        adapter = access.active(connection, found.token_source)
        grants = len(access.grants(connection, adapter))
    state = engine.status(warehouse, functions.wanted(adapter))
    pending = [*state.waiting, *([f"{grants} rights on the source"] if grants else [])]
    text = f"pending: {', '.join(pending)}: {settings.program()} migrate apply" if pending else "current"
    return Part(text, {"current": not pending, "pending": pending})


def _computed(found: Settings, warehouse: Warehouse) -> Part:
    """From the ledger: the first and the newest day, and how many of those up to yesterday are missing."""
    from usage_pipeline.serving import tokens

    yesterday = clock.yesterday()
    with warehouse.begin(Role.READER) as connection:
        begins, newest = policy.known(connection).first_day, tokens.latest_day(connection, "tokens_daily")
        if newest is None:
            fix = f"{settings.program()} backfill all --from {begins} --to yesterday"
            return Part(f"no day yet: {fix}", {"first_day": None, "newest_day": None, "missing_days": None})
        covered = tokens.coverage(connection, begins, max(newest, begins))
        missing = tokens.coverage(connection, begins, max(yesterday, begins)).missing
    days = (covered.first + timedelta(days=number) for number in range((newest - covered.first).days + 1))
    gaps = set(covered.missing)
    first = next((day for day in days if day not in gaps), newest)
    lacking = f"{len(missing)} days up to yesterday are" if missing else "no day up to yesterday is"
    text = f"{first} to {newest}, {lacking} missing"
    return Part(text, {"first_day": first, "newest_day": newest, "missing_days": len(missing)})


def _backfills(warehouse: Warehouse) -> Part:
    """Those that run, and those that were interrupted and wait for somebody to give their command again."""
    with warehouse.begin(Role.READER) as connection:
        known = backfills.not_ended(connection)
    open_ones = [each for each in known if each.state in ("running", "interrupted")]
    told = (
        f"{each.id} {each.state}, {each.finished_count} of {each.asked.period_count} periods of"
        f" {', '.join(each.asked.assets)}, {each.asked.first} to {each.asked.last}"
        for each in open_ones
    )
    return Part(
        "; ".join(told) or "none is running", {"open": [backfill_words.document(each) for each in open_ones]}
    )
