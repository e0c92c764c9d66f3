"""What a check of a database's health is, and what it finds; the checks stand where their knowledge is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, TypeAlias

from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import Pending

Explained: TypeAlias = Callable[[Warehouse], AbstractContextManager[None]]
"""Says what a statement of the body missed."""
APPLIED: Final = "`$ migrate apply` has run"
LET_IN: Final = "the database lets us in"


@dataclass(frozen=True)
class Finding:
    """What was found, and the commands or SQL that mend it, a line each; where all is well they are advice.

    A `$ ` stands before a verb of ours, as in a refusal. `waits_for`: what must be before there is anything
    to look at; a person is told that once for all that wait for the same.
    """

    ok: bool
    found: str
    fix: str | None = None
    waits_for: str | None = None


@dataclass(frozen=True)
class Check:
    """One thing to look at; a new one is a function and an entry in the tuple of its module."""

    name: str
    look: Callable[[Settings, Warehouse], Finding]
    asks_database: bool = True

    def finding(self, found: Settings, warehouse: Warehouse, explained: Explained) -> Finding:
        """What it finds; a check that is refused says so itself and does not hide the others."""
        try:
            with explained(warehouse):
                return self.look(found, warehouse)
        except Refusal as refusal:
            why = f": {refusal.why}" if refusal.why else ""
            waits_for = APPLIED if isinstance(refusal, Pending) else None
            return Finding(False, f"{refusal.what}{why}", refusal.fix or None, waits_for)
