"""The column of tokens on a session: whether we may keep it true, what stands in the way, what it takes."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from usage_pipeline.refusals import ATTENTION, REFUSED, Refusal
from usage_pipeline.sources import indexes
from usage_pipeline.sources.access import Grant
from usage_pipeline.sources.adapters import Adapter, SessionTotals
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.roles import Role

ENABLE: Final = "$ sources enable session-totals"


@dataclass(frozen=True)
class State:
    """What the catalogue says of the column; `largest` is None where its type holds no counts.

    It is enabled when our writer holds the right to write this very column: nothing else remembers it.
    """

    table_name: str
    column_name: str
    role: str
    table_exists: bool
    is_table: bool
    column_type: str | None
    largest: Decimal | None
    is_generated: bool
    is_enabled: bool
    has_row_security: bool
    has_policy: bool
    restrictive_policy: str | None
    update_triggers: str | None
    update_rules: str | None

    @property
    def obstacle(self) -> Refusal | None:
        """Why the column must not be written, whoever permits it."""
        return self._unfit() or self._unsafe()

    @property
    def lack(self) -> Refusal | None:
        """What is missing though it is enabled: row-level security was switched on since."""
        if self.has_row_security and not self.has_policy:
            why = f"row-level security is on and the policy `{self.role}_updates` is missing or altered"
            return self._refusal(why, ENABLE, exit_code=ATTENTION)
        return None

    def _unfit(self) -> Refusal | None:
        column = f"its column {self.column_name}"
        if not self.table_exists:
            return self._refusal("the table does not exist", "create it")
        if not self.is_table:
            return self._refusal("it is a view or a foreign table", "keep the column where its rows stand")
        if self.column_type is None:
            return self._refusal(f"it has no column {self.column_name}", "add the column, as bigint")
        if self.is_generated:
            return self._refusal(f"{column} is generated", "nothing has to be kept true there")
        if self.largest is None:
            return self._refusal(f"{column} is of type {self.column_type}", "convert the column to bigint")
        return None

    def _unsafe(self) -> Refusal | None:
        if self.update_triggers:
            return self._refusal(
                f"an update of {self.column_name} fires its trigger {self.update_triggers},"
                " which may write other columns",
                f"declare it `update of` the columns it is about, {self.column_name} left out, or drop it",
                exit_code=REFUSED,
            )
        if self.update_rules:
            return self._refusal(
                f"its rule {self.update_rules} rewrites an update", "drop it", exit_code=REFUSED
            )
        if self.has_row_security and self.restrictive_policy:
            return self._refusal(
                f"the restrictive policy `{self.restrictive_policy}` hides rows from {self.role}",
                "exempt our roles from that policy",
            )
        return None

    def _refusal(self, why: str, fix: str, **exit_code: int) -> Refusal:
        return Refusal(
            f"session totals cannot be written to {self.table_name}", why=why, fix=fix, **exit_code
        )


def of(adapter: Adapter) -> SessionTotals:
    """The column of this application that is meant for them."""
    if adapter.session_totals is None:
        raise Refusal(
            "there is no place for session totals",
            why=f"the adapter `{adapter.name}` knows no column for the tokens of a conversation",
        )
    return adapter.session_totals


def read(connection: Connection, totals: SessionTotals) -> State:
    """What the catalogue says now; any role may ask."""
    row = statements.run(connection, "sources.sql", "session_totals_state", **_binds(totals)).mappings().one()
    return State(**row)


def require(connection: Connection, totals: SessionTotals) -> State:
    """Refuse to write what nobody enabled, or what would write more than the column."""
    state = read(connection, totals)
    if not state.is_enabled:
        raise Refusal(
            "session totals are off",
            why=f"nobody has enabled that {state.table_name}.{state.column_name} is written",
            fix=ENABLE,
        )
    refusal = state.obstacle or state.lack
    if refusal:
        raise refusal
    return state


def grants(connection: Connection, totals: SessionTotals) -> list[Grant]:
    """The statements that our writer still needs to keep the column true."""
    return _statements(connection, "session_totals_grants", totals)


def revocations(connection: Connection, totals: SessionTotals) -> list[Grant]:
    """The statements that undo all of that."""
    return _statements(connection, "session_totals_revocations", totals)


def lacks_index(connection: Connection, totals: SessionTotals, adapter: Adapter) -> bool:
    """Whether the history of a conversation is found only by reading the whole chat."""
    name, column = totals.searched
    (table,) = (each for each in adapter.tables if each.name == name)
    return indexes.leading(connection, table, column) is None


def _statements(connection: Connection, name: str, totals: SessionTotals) -> list[Grant]:
    rows = statements.run(connection, "sources.sql", name, **_binds(totals)).mappings()
    return [Grant(str(row["statement"]), bool(row["is_permitted"])) for row in rows]


def _binds(totals: SessionTotals) -> dict[str, str]:
    return {"table_name": totals.table, "column_name": totals.column, "role": Role.WRITER.value}
