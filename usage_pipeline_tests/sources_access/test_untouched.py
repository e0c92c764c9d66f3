"""What `migrate apply` leaves as it was: the application's own tables."""

from typing import Final

import pytest

from usage_pipeline.demo import loading
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server

THEIRS: Final = "('public'::regnamespace, 'auth'::regnamespace)"
DEFINITIONS: Final = {
    "columns": "select attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod), attnotnull,"
    " pg_get_expr(adbin, adrelid) from pg_class join pg_attribute on attrelid = pg_class.oid"
    " left join pg_attrdef on adrelid = attrelid and adnum = attnum"
    " where relnamespace in {theirs} and attnum > 0",
    "indexes": "select pg_get_indexdef(indexrelid) from pg_index join pg_class on pg_class.oid = indrelid"
    " where relnamespace in {theirs}",
    "constraints": "select conrelid::regclass::text, conname::text, pg_get_constraintdef(pg_constraint.oid)"
    " from pg_constraint where connamespace in {theirs}",
    "triggers": "select tgrelid::regclass::text, tgname::text from pg_trigger"
    " join pg_class on pg_class.oid = tgrelid where relnamespace in {theirs} and not tgisinternal",
    "tables": "select pg_class.oid::regclass::text, relowner::regrole::text, relrowsecurity,"
    " relforcerowsecurity from pg_class where relnamespace in {theirs}",
}


def definitions(server: Server, database: str, kind: str) -> list[str]:
    statement = DEFINITIONS[kind].replace("{theirs}", THEIRS)
    with server.connect(database) as connection:
        return sorted(str(row) for row in connection.execute(statement.encode()))


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_the_application_keeps_its_tables(
    server: Server, database: str, bare_database: str, kind: str
) -> None:
    """A column, a trigger or an index of ours in their tables is in the way of their next migration."""
    with server.connect(bare_database, embedded.LOGIN) as connection:
        loading.create_application(connection)
    assert definitions(server, database, kind) == definitions(server, bare_database, kind)


@pytest.mark.parametrize("schema", ["public", "auth"])
def test_our_roles_read_the_application_and_nothing_else(server: Server, database: str, schema: str) -> None:
    """Messages are theirs to keep and to delete: a role of ours that may write them could lose one."""
    with server.connect(database) as connection:
        found = connection.execute(
            "select distinct held.grantee::regrole::text, held.privilege_type"
            " from pg_class cross join aclexplode(relacl) held"
            " where relnamespace = %s::regnamespace and held.grantee::regrole::text like 'usage\\_%%'",
            [schema],
        ).fetchall()
    readers = {"public": {("usage_reader", "SELECT"), ("usage_writer", "SELECT")}, "auth": set[object]()}
    assert set(found) == readers[schema]
