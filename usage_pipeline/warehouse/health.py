"""Checks of the database itself: the way to it, the server, our login, its clock, and Dagster's own place."""

from datetime import UTC, datetime, timedelta
from typing import Final

from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_instance, dagster_yaml, failures, statements
from usage_pipeline.warehouse.connections import OLDEST_SERVER, Warehouse, server_version
from usage_pipeline.warehouse.findings import APPLIED, Check, Finding
from usage_pipeline.warehouse.poolers import Mode
from usage_pipeline.warehouse.roles import Role

_ROLES: Final = tuple(role for role in Role if role is not Role.LOGIN)
_LARGEST_SKEW: Final = timedelta(seconds=5)
ALONE: Final = Finding(True, "our roles serve no other database of this server")
_SECOND: Final = timedelta(seconds=1)


def connection(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether a session is to be had; one that a pooler shares with others is refused by name."""
    with warehouse.begin(Role.LOGIN):
        pooler = warehouse.pooler
    if pooler is Mode.TRANSACTION:
        shared = failures.shared_session(warehouse.place, reads=True)
        return Finding(False, f"{shared.what}: {shared.why}", shared.fix)
    way = "through a pooler that keeps sessions" if pooler else "directly"
    return Finding(True, f"{warehouse.place}, {way}")


def server(found: Settings, warehouse: Warehouse) -> Finding:
    """Its version, and whether it takes what we write."""
    with warehouse.begin(Role.LOGIN) as connection:
        version = f"PostgreSQL {server_version(connection)}"
        closed = statements.run(connection, "warehouse.sql", "closed_to_writers").scalar_one()
    if closed:
        fix = "point USAGE_DATABASE_URL at the primary server, without default_transaction_read_only"
        return Finding(False, f"{version}, {closed}: it can be read, and nothing can be computed", fix)
    return Finding(True, f"{version}; {OLDEST_SERVER} or newer is needed")


def roles(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether the login may become each of our roles, and what it may do beyond that."""
    with warehouse.begin(Role.LOGIN) as connection:
        wanted = [role.value for role in _ROLES]
        rows = statements.run(connection, "warehouse.sql", "role_rights", roles=wanted).mappings().all()
    login, powers = rows[0]["login"], rows[0]["powers"]
    if closed := [row for row in rows if row["role_exists"] and not row["may_become"]]:
        names = ", ".join(str(row["role"]) for row in closed)
        remedy = "\n".join(f"{row['remedy']};" for row in closed)
        return Finding(False, f"{login} may not act as {names}; their maker or a superuser lets it", remedy)
    if missing := [str(row["role"]) for row in rows if not row["role_exists"]]:
        return _unmade(missing, may_make=bool(rows[0]["may_make"]))
    if not rows[0]["may_found"]:
        return _not_ours(f"{login} may not make our schemas (CREATE on the database)")
    more = f"; it is {powers}, which is not needed" if powers else ""
    return Finding(True, f"{login} may act as {', '.join(wanted)}{more}")


def neighbours(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether our roles, which belong to the server, serve other databases: advice, nothing fails by it."""
    with warehouse.begin(Role.LOGIN) as connection:
        wanted = [role.value for role in _ROLES]
        seen = statements.run(connection, "warehouse.sql", "role_neighbours", roles=wanted).mappings().one()
    if not seen["databases"]:
        return ALONE
    others = f"our roles also serve {', '.join(seen['databases'])} of this server"
    if not seen["logins"]:
        return Finding(True, f"{others}; no other login that may become one of them can connect here")
    found_here = (
        f"{others}: {', '.join(seen['logins'])} may become one of them, and so may read or write here too;"
        " docs/back-up.md says how to keep two products apart"
    )
    return Finding(True, found_here, str(seen["remedy"]))


def clock(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether this machine and the database agree on the time, but for the time the question takes."""
    with warehouse.begin(Role.READER) as connection:
        asked = datetime.now(UTC)
        there = statements.run(connection, "warehouse.sql", "clock").scalar_one()
        answered = datetime.now(UTC)
    assert isinstance(there, datetime)
    apart = max(asked - there, there - answered)
    if apart <= _LARGEST_SKEW:
        return Finding(True, f"{there:%Y-%m-%d %H:%M:%S} UTC, as on this machine")
    way = "behind" if there < asked else "ahead of"
    return Finding(
        False,
        f"the database's is {apart // _SECOND:,} s {way} this machine's, and the database's decides the day",
        "set the clock of whichever is wrong (on Linux: timedatectl set-ntp true)",
    )


def dagster(found: Settings, warehouse: Warehouse) -> Finding:
    """Whether Dagster's own storage answers, where it has a place of its own."""
    if found.embeds_dagster:
        return Finding(True, "keeps its own tables on the stack's embedded server")
    place = dagster_yaml.storage(found).words
    if home := found.operators_instance:
        place = f"your instance in {home} (DAGSTER_HOME) keeps its tables in {place}"
    there = "" if dagster_instance.has_tables(found) else ", without tables yet; the first use makes them"
    return Finding(True, f"{place}{there}")


def _unmade(missing: list[str], *, may_make: bool) -> Finding:
    names = f"not made yet: {', '.join(missing)}"
    if may_make:
        return Finding(False, names, "$ migrate apply", APPLIED)
    return _not_ours(f"{names}; this login may not make them (CREATEROLE, and CREATE on the database)")


def _not_ours(told: str) -> Finding:
    """What another login has to do."""
    return Finding(False, told, "$ migrate sql prints what a login with the right may run")


WAY: Final = Check("connection", connection)
"""Where it finds no way in, there is nothing to ask the others."""
CHECKS: Final = (
    Check("server", server),
    Check("roles", roles),
    Check("neighbours", neighbours),
    Check("clock", clock),
    Check("dagster", dagster, asks_database=False),
)
