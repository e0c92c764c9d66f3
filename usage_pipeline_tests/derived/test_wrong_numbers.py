"""What would store a wrong number is refused where it would be stored, and nothing of it stands."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final
from uuid import UUID

import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain, midnight, window
from usage_pipeline.refusals import Refusal
from usage_pipeline.warehouse import horizon
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.conftest import cloned
from usage_pipeline_tests.factories import Chat, tokens_of
from usage_pipeline_tests.rollups.checking import alter_rows, look, stored
from usage_pipeline_tests.serving.history import START, History, made_once

TODAY: Final = date(2026, 1, 26)
SEALED: Final = date(2026, 1, 14)
OPEN: Final = date(2026, 1, 21)
ADA: Final = UUID(int=1)
SPOIL: Final = """
create function public.spoil() returns trigger language plpgsql as $$ begin {fault}; return new; end $$;
create trigger spoil before insert or update on usage.user_token_usage
for each row execute function public.spoil()
"""


def fill(found: History) -> None:
    """An answer of Ada's and one of nobody's every day; days and weeks up to 18 January are sealed."""
    found.chat.connection.execute("insert into auth.users (id) values (%s)", [ADA])
    found.clock(TODAY)
    every = [START + timedelta(days=number) for number in range((TODAY - START).days + 1)]
    found.answers(every, user=ADA)
    found.answers(every)
    found.compute_all(TODAY)


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[str]:
    with made_once(server, fill) as name:
        yield name


@pytest.fixture
def database(server: Server, filled: str) -> Iterator[str]:
    with cloned(server, filled) as name:
        yield name


@pytest.fixture
def history(chat: Chat, warehouse: Warehouse) -> History:
    return History(chat, warehouse)


def restate(warehouse: Warehouse, intent: str, user: UUID | None = None) -> None:
    period = window(Grain.DAILY, SEALED)
    tokens_of(Grain.DAILY).compute(warehouse, period, "test", intent=intent, unit=user, reason="altered")


@pytest.mark.parametrize(
    "change",
    [
        f"message_count = 3 where user_id = '{ADA}'",
        "total_tokens = total_tokens + 1",
        "total_prompt_tokens = 1000",
        f"unmetered_message_count = 1 where user_id = '{ADA}'",
    ],
)
def test_days_that_were_altered_do_not_climb(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, change: str
) -> None:
    """Once in the week, the month and the year, a wrong number is everywhere."""
    alter_rows(superuser, "tokens_daily", OPEN, change)
    before = stored(superuser)
    for grain in (Grain.WEEKLY, Grain.MONTHLY):
        with pytest.raises(Refusal) as refused:
            history.compute(grain, OPEN)
        assert "the rows of tokens_daily hold" in refused.value.line("usage-pipeline")
        assert "Fix: usage-pipeline backfill tokens_daily --from 2026-01-" in refused.value.line(
            "usage-pipeline"
        )
        assert "--to 2026-01-2" in refused.value.line("usage-pipeline")
    assert stored(superuser) == before
    history.compute(Grain.DAILY, OPEN)
    history.compute(Grain.WEEKLY, OPEN)
    assert look(warehouse, "tokens_weekly", "ladder", OPEN).passed


@pytest.mark.parametrize("intent", ["run", "restate"])
def test_a_sealed_day_that_was_altered_is_not_sealed_anew(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection, intent: str
) -> None:
    """More than the source has looks like what the source lost: it would be kept, under a new checksum."""
    alter_rows(superuser, "tokens_daily", SEALED, f"total_tokens = 1000 where user_id = '{ADA}'")
    before = stored(superuser)
    with pytest.raises(Refusal) as refused:
        restate(warehouse, intent)
    altered = "tokens_daily of 2026-01-14 holds rows that were altered since its last run"
    held = "its 2 rows have 1015 tokens, that run left 2 rows and 30 tokens"
    fix = "restate tokens_daily --from 2026-01-14 --to 2026-01-14 --reason WHY --accept-loss"
    then = "makes them what the source says, and with --dry-run shows it first"
    said = f"{altered}: {held}. Fix: usage-pipeline {fix} {then}"
    assert refused.value.line("usage-pipeline") == said
    assert stored(superuser) == before
    assert not look(warehouse, "tokens_daily", "sealed_unchanged", SEALED).passed


def test_what_its_source_says_takes_its_place_and_is_recorded(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """For all of its users: of one alone, what was altered of another would be sealed."""
    alter_rows(superuser, "tokens_daily", SEALED, f"total_tokens = 1000 where user_id = '{ADA}'")
    with pytest.raises(Refusal, match="altered since"):
        restate(warehouse, "accept", UUID(int=0))
    restate(warehouse, "accept")
    assert look(warehouse, "tokens_daily", "sealed_unchanged", SEALED).passed
    changes = superuser.execute(
        "select (key ->> 'user_id')::uuid, before ->> 'total_tokens', after ->> 'total_tokens'"
        " from usage.restatements"
    )
    assert changes.fetchall() == [(ADA, "1000", "15")]


def test_a_sealed_day_whose_source_is_gone_stays_red(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """A run that leaves the day as it stands must not take what stands for what was sealed."""
    with warehouse.begin(Role.WRITER) as connection:
        horizon.declare(connection, "tokens", midnight(SEALED + timedelta(days=1)))
    history.compute(Grain.DAILY, SEALED)
    alter_rows(superuser, "tokens_daily", SEALED, "gone")
    with pytest.raises(Refusal, match="altered since") as refused:
        history.compute(Grain.DAILY, SEALED)
    assert refused.value.line("usage-pipeline").endswith(
        "Fix: its source is gone: restore its rows from a backup"
    )


def test_a_call_for_one_user_vouches_for_no_other(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """It makes one row anew, and what it records is the sum of all."""
    alter_rows(superuser, "tokens_daily", OPEN, f"total_tokens = 1000 where user_id = '{ADA}'")
    with pytest.raises(Refusal, match="altered since its last run") as refused:
        tokens_of(Grain.DAILY).compute(
            warehouse, window(Grain.DAILY, OPEN), "test", intent="user", unit=UUID(int=2)
        )
    assert refused.value.line("usage-pipeline").endswith(f"tokens_daily --from {OPEN} --to {OPEN}")
    history.compute(Grain.DAILY, OPEN)
    tokens_of(Grain.DAILY).compute(
        warehouse, window(Grain.DAILY, OPEN), "test", intent="user", unit=UUID(int=2)
    )


def test_an_altered_day_that_the_horizon_has_passed_is_not_sealed(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """It stands as it is from then on: what it is must be what was computed."""
    alter_rows(superuser, "tokens_daily", OPEN, f"total_tokens = 1000 where user_id = '{ADA}'")
    with warehouse.begin(Role.WRITER) as connection:
        horizon.declare(connection, "tokens", midnight(OPEN + timedelta(days=1)))
    history.clock(OPEN + timedelta(days=30))
    with pytest.raises(Refusal, match="altered since its last run"):
        history.compute(Grain.DAILY, OPEN)


def test_an_answer_of_somebody_else_that_became_another_kind_hinders_nobody(
    history: History, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """One user is restated: of the others the source says something new, and that is no fault of the run."""
    other = UUID(int=2)
    history.chat.connection.execute("insert into auth.users (id) values (%s)", [other])
    history.answers([SEALED], user=other)
    change = (
        "update public.chat_messages_v2 set metadata = %s where sender_user_id = %s and created_at::date = %s"
    )
    history.chat.connection.execute(change, ['{"tokens": 0}', ADA, SEALED])
    restate(warehouse, "accept")
    history.chat.connection.execute(change, ["{}", ADA, SEALED])
    history.answers([SEALED], user=other)
    restate(warehouse, "restate", other)
    assert look(warehouse, "tokens_daily", "conservation", SEALED).passed
    restate(warehouse, "restate")
    assert look(warehouse, "tokens_daily", "conservation", SEALED).passed


@pytest.mark.parametrize(
    "fault",
    [
        "new.unmetered_message_count := 1",
        "new.refused_message_count := 1",
        "new.user_id := case new.user_id when '00000000-0000-0000-0000-000000000000' then gen_random_uuid()"
        " else new.user_id end",
    ],
)
def test_an_answer_is_stored_as_what_it_is(
    history: History, superuser: psycopg.Connection, fault: str
) -> None:
    """As many answers as the source has, and one of them as another: the first sum alone says nothing."""
    superuser.execute("set session_replication_role = origin")
    superuser.execute(SPOIL.format(fault=fault).encode())
    tomorrow = TODAY + timedelta(days=1)
    history.clock(tomorrow)
    for user in (ADA, None):
        history.answers([tomorrow], user=user)
    before = stored(superuser)
    with pytest.raises(Refusal) as refused:
        history.compute(Grain.DAILY, tomorrow)
    assert "was not stored: the source has 2 messages, 2 were computed" in refused.value.line(
        "usage-pipeline"
    )
    assert stored(superuser) == before
