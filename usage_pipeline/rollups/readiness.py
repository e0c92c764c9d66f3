"""Before a run reads: the schema and the policy are this process's, and the source hides nothing."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal
from usage_pipeline.rollups import functions
from usage_pipeline.settings import Settings
from usage_pipeline.sources import access
from usage_pipeline.sources.adapters import Adapter
from usage_pipeline.warehouse import failures, policy
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.failures import Denied, Missing
from usage_pipeline.warehouse.functions import FunctionFile
from usage_pipeline.warehouse.migrations import state
from usage_pipeline.warehouse.roles import Role


def code_version(own: str, adapter: Adapter) -> str:
    """The code that a range is computed by: the rollup's own version and the functions it reads through."""
    marks = "".join(file.mark for file in _of_numbers(adapter))
    return f"{own}+{hashlib.sha256(marks.encode()).hexdigest()[:12]}"


def require(warehouse: Warehouse, found: Settings) -> Adapter:
    """The active adapter, once everything a run needs has been checked."""
    with warehouse.begin(Role.LOGIN) as connection:  # our roles may not exist yet; the source comes first
        adapter = access.active(connection, found.token_source)
        access.require_tables(connection, adapter)
    with warehouse.begin(Role.WRITER) as connection:
        _require_current(connection, _of_numbers(adapter))
        policy.require(connection, found)
        access.require_readable(connection, adapter, Role.WRITER)
    return adapter


@contextmanager
def explained(warehouse: Warehouse, role: Role = Role.READER) -> Iterator[None]:
    """Name what a statement of the body missed: a function of ours, or the application's table or column."""
    try:
        yield
    except (Missing, Denied) as missing:
        raise _explanation(warehouse, role) or missing from None


def _explanation(warehouse: Warehouse, role: Role) -> Refusal | None:
    """The same checks as before a run; None if they find nothing."""
    try:
        with warehouse.begin(role) as connection:
            adapter = access.active(connection, settings.load().token_source)
            _require_current(connection, functions.wanted(adapter), with_rights=True)
            access.require_tables(connection, adapter)
    except Refusal as refusal:
        return refusal
    return None


def _of_numbers(adapter: Adapter) -> list[FunctionFile]:
    """The functions that a number needs; names are read by others."""
    return [file for file in functions.wanted(adapter) if file != adapter.directory.functions]


def _require_current(
    connection: Connection, wanted: Sequence[FunctionFile], *, with_rights: bool = False
) -> None:
    """Refuse what `migrate apply` has not made, or what was altered since."""
    found = state.read(connection, wanted, with_rights=with_rights)
    if not found.is_current:
        raise failures.pending(f"not applied yet: {', '.join(found.waiting)}")
