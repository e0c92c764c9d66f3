"""A source that lost its rows: no run believes it, checks and runs say so, a person may accept it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import dagster as dg
import psycopg
import pytest

from usage_pipeline.definitions import defs
from usage_pipeline.periods.calendar import Grain, midnight, window
from usage_pipeline.refusals import REFUSED, Refusal
from usage_pipeline.sources import specs
from usage_pipeline.warehouse import horizon
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import Chat, tokens_of
from usage_pipeline_tests.rollups.checking import look, number, said, stored, tags
from usage_pipeline_tests.rollups.launching import tokens_daily_checks
from usage_pipeline_tests.serving.history import START, History
from usage_pipeline_tests.stack import Done
from usage_pipeline_tests.verbs import Verbs

pytestmark = pytest.mark.command

DAY: Final = date(2026, 1, 20)
SEALED: Final = date(2026, 1, 14)
TODAY: Final = date(2026, 1, 26)
ADA, GRACE = UUID(int=1), UUID(int=2)
CHECK: Final = ("tokens_daily", "source_holds_messages")
TRUNCATE: Final = "truncate public.chat_messages_v2"


@pytest.fixture
def history(chat: Chat, warehouse: Warehouse) -> History:
    """It is 26 January: a day of the 18th or before is sealed by its next run."""
    chat.connection.execute("insert into auth.users (id) values (%s), (%s)", [ADA, GRACE])
    found = History(chat, warehouse)
    found.clock(TODAY)
    return found


def crowd(chat: Chat, day: date, count: int, user: UUID = ADA) -> None:
    """So many messages of one user, one a second from nine on."""
    chat.connection.execute(
        "insert into public.chat_messages_v2"
        " (id, conversation_id, sender_user_id, role, content, metadata, created_at)"
        " select gen_random_uuid(), gen_random_uuid(), %s, 'assistant', '{}', '{\"tokens\": 5}'::jsonb,"
        " %s + number * interval '1 second' from generate_series(1, %s) number",
        [user, midnight(day) + timedelta(hours=9), count],
    )


def keep(chat: Chat, day: date, count: int) -> None:
    """All but so many messages of a day are deleted, the newest first."""
    chat.connection.execute(
        "delete from public.chat_messages_v2 where created_at >= %s + %s * interval '1 second'"
        " and created_at < %s",
        [midnight(day) + timedelta(hours=9), count + 1, midnight(day) + timedelta(days=1)],
    )


def messages(connection: psycopg.Connection, day: date) -> tuple[str, int]:
    """The state of a day and the messages that are stored of it."""
    found = connection.execute(
        "select ledger.state, (ledger.totals ->> 'message_count')::bigint from usage.rollup_ledger ledger"
        " where ledger.rollup = 'tokens_daily' and ledger.period_start = %s",
        [midnight(day)],
    ).fetchone()
    assert found is not None
    return found


def accept(warehouse: Warehouse, day: date, user: UUID | None = None) -> int:
    """A person accepts the loss of a day; how many rows were written."""
    return tokens_of(Grain.DAILY).compute(warehouse, window(Grain.DAILY, day), "by hand",
        intent="accept", unit=user, reason="they were tests",
    ).changed  # fmt: skip


def call(warehouse: Warehouse, user: UUID, day: date) -> None:
    """The seed's function."""
    period = window(Grain.DAILY, day)
    with warehouse.begin(Role.WRITER) as connection:
        connection.exec_driver_sql(
            "select usage.aggregate_user_token_usage(%s, %s, %s, 'daily')", (user, period.start, period.end)
        )


@pytest.mark.parametrize(
    ("held", "left", "is_refused"),
    [
        (1000, 500, False), (1000, 499, True), (1000, 0, True), (1001, 501, False), (1001, 500, True),
        (999, 0, False), (1500, 1400, False),
    ],
)  # fmt: skip
def test_a_large_day_is_not_made_less_than_half(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection,
    held: int, left: int, is_refused: bool,
) -> None:  # fmt: skip
    """A purge is no correction; a few deleted chats are."""
    crowd(chat, DAY, held)
    history.compute(Grain.DAILY, DAY)
    keep(chat, DAY, left)
    before = stored(superuser)
    if not is_refused:
        history.compute(Grain.DAILY, DAY)
        assert messages(superuser, DAY) == ("open", left)
        return
    with pytest.raises(Refusal) as refused:
        history.compute(Grain.DAILY, DAY)
    assert refused.value.exit_code == REFUSED
    assert refused.value.line() == (
        f"tokens_daily of 2026-01-20 would lose most of its messages: {held} are stored,"
        f" the source has {left}. Fix: usage-pipeline restate tokens_daily --from 2026-01-20 --to 2026-01-20"
        " --reason WHY --accept-loss if they are really to go, usage-pipeline sources horizon 2026-01-21"
        " if raw rows were purged"
    )
    assert stored(superuser) == before


def test_the_day_that_is_not_over_follows_its_source(
    history: History, chat: Chat, superuser: psycopg.Connection
) -> None:
    """Until it is, nothing is promised of it; once it is, what its last run left is protected."""
    crowd(chat, TODAY, 1000)
    history.clock(TODAY, 23)
    history.compute(Grain.DAILY, TODAY)
    keep(chat, TODAY, 10)
    history.compute(Grain.DAILY, TODAY)
    assert messages(superuser, TODAY) == ("open", 10)
    crowd(chat, TODAY, 1000)
    history.compute(Grain.DAILY, TODAY)
    chat.connection.execute(TRUNCATE)
    history.clock(TODAY + timedelta(days=1), 2)
    with pytest.raises(Refusal) as refused:
        history.compute(Grain.DAILY, TODAY)
    assert refused.value.why == (
        "1010 are stored, the source has 0; it is computed until 2026-01-26 23:00 UTC only:"
        " its week, month and year wait for it"
    )


def test_the_last_free_run_of_a_day_does_not_seal_a_loss(
    history: History, chat: Chat, superuser: psycopg.Connection
) -> None:
    """Sealed as empty, the day would be empty for ever; it stays due until somebody decides."""
    crowd(chat, DAY, 1000)
    history.compute(Grain.DAILY, DAY)
    chat.connection.execute(TRUNCATE)
    history.clock(DAY + timedelta(days=8))
    with pytest.raises(Refusal, match="would lose most"):
        history.compute(Grain.DAILY, DAY)
    assert messages(superuser, DAY) == ("open", 1000)


def test_the_seeds_function_is_no_way_around(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """User by user the ledger would follow: each call compares with the source of the whole day."""
    users = [UUID(int=number) for number in range(1, 21)]
    chat.connection.execute(
        "insert into auth.users (id) select unnest(%s::uuid[]) on conflict do nothing", [users]
    )
    for user in users:
        crowd(chat, DAY, 100, user)
    history.compute(Grain.DAILY, DAY)
    chat.connection.execute(TRUNCATE)
    before = stored(superuser)
    for user in users:
        with pytest.raises(Refusal, match="2000 are stored, the source has 0") as refused:
            call(warehouse, user, DAY)
        assert refused.value.exit_code == REFUSED
        assert "--accept-loss" in refused.value.fix
    assert stored(superuser) == before


def test_the_seeds_function_follows_a_source_that_holds_most(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """One user's chats may go while the day holds; a day that is small or not over follows as before."""
    for user in (ADA, GRACE):
        crowd(chat, DAY, 600, user)
        crowd(chat, TODAY, 600, user)
    history.compute(Grain.DAILY, DAY)
    history.clock(TODAY, 23)
    history.compute(Grain.DAILY, TODAY)
    chat.connection.execute("delete from public.chat_messages_v2 where sender_user_id = %s", [ADA])
    call(warehouse, ADA, DAY)
    assert messages(superuser, DAY) == ("open", 600)
    chat.connection.execute(TRUNCATE)
    call(warehouse, ADA, TODAY)
    call(warehouse, GRACE, TODAY)
    assert messages(superuser, TODAY) == ("open", 0)


def test_messages_that_moved_to_another_user_need_no_loss(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """The source has them all; the row of one user alone cannot say so, a run can."""
    crowd(chat, DAY, 1000)
    history.compute(Grain.DAILY, DAY)
    chat.connection.execute("update public.chat_messages_v2 set sender_user_id = %s", [GRACE])
    with pytest.raises(Refusal, match="1000 are stored, 0 would remain") as refused:
        call(warehouse, ADA, DAY)
    assert refused.value.fix == "$ backfill tokens_daily --from 2026-01-20 --to 2026-01-20"
    history.compute(Grain.DAILY, DAY)
    assert messages(superuser, DAY) == ("open", 1000)


def test_a_loss_that_is_accepted_is_what_the_source_says_and_is_recorded(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """An auditor finds before, after, why and which run; the next runs have nothing more to say."""
    crowd(chat, DAY, 900)
    crowd(chat, DAY, 600, GRACE)
    for grain in (Grain.DAILY, Grain.WEEKLY):
        history.compute(grain, date(2026, 1, 19), date(2026, 1, 25))
    chat.connection.execute("delete from public.chat_messages_v2 where sender_user_id = %s", [ADA])
    keep(chat, DAY, 400)
    with pytest.raises(Refusal, match="is not sealed"):
        accept(warehouse, DAY, ADA)
    assert accept(warehouse, DAY) == 2
    assert messages(superuser, DAY) == ("open", 400)
    recorded = superuser.execute(
        "select (key ->> 'user_id')::uuid, (before ->> 'message_count')::int,"
        " (after ->> 'message_count')::int, reason, run_id"
        " from usage.restatements order by key"
    ).fetchall()
    assert recorded == [
        (ADA, 900, None, "they were tests", "by hand"), (GRACE, 600, 400, "they were tests", "by hand"),
    ]  # fmt: skip
    (week,) = history.compute(Grain.WEEKLY, DAY)
    assert week.entry.totals["message_count"] == 400
    before = stored(superuser)
    assert [each.changed for each in history.compute(Grain.DAILY, DAY)] == [0]
    assert stored(superuser)[0] == before[0]  # type: ignore[index]
    history.clock(DAY + timedelta(days=8))
    history.compute(Grain.DAILY, DAY)
    assert messages(superuser, DAY) == ("sealed", 400)


def test_the_loss_of_one_user_of_an_open_day_names_the_command_that_helps(
    history: History, chat: Chat, verbs: Verbs, server: Server, database: str, superuser: psycopg.Connection
) -> None:
    """Runs refuse the day, so to send a person back to them would lead in a circle."""
    url = server.url(database).set(drivername="postgresql").render_as_string()

    def typed(day: date, *words: str) -> Done:
        range_ = ("restate", "tokens_daily", "--from", str(day), "--to", str(day), "--accept-loss", *words)
        return verbs(*range_, USAGE_DATABASE_URL=url, USAGE_START=str(START))

    small = DAY + timedelta(days=1)
    for day in (DAY, small):
        crowd(chat, day, 900 if day == DAY else 90)
        crowd(chat, day, 600 if day == DAY else 60, GRACE)
    history.compute(Grain.DAILY, DAY, small)
    chat.connection.execute("delete from public.chat_messages_v2 where sender_user_id = %s", [ADA])
    refused = typed(DAY, "--user", str(ADA), "--reason", "she left", "--yes")
    assert refused.code == 1
    assert refused.said == (
        "tokens_daily of 2026-01-20 is not sealed: until it is, a loss is accepted for all users at once."
        " Fix: usage-pipeline restate tokens_daily --from 2026-01-20 --to 2026-01-20 --accept-loss"
        " --reason WHY\n"
    )
    assert "Fix: usage-pipeline backfill" in typed(small, "--user", str(ADA), "--reason", "she left").said
    assert typed(DAY, "--reason", "she left", "--yes").code == 0
    assert messages(superuser, DAY) == ("open", 600)


def test_what_was_never_computed_has_no_loss_to_accept(
    history: History, chat: Chat, warehouse: Warehouse
) -> None:
    crowd(chat, DAY, 10)
    with pytest.raises(Refusal, match="is not sealed"):
        accept(warehouse, DAY)
    tokens_of(Grain.DAILY).ensure_partitions(warehouse, window(Grain.DAILY, DAY), window(Grain.DAILY, DAY))
    call(warehouse, ADA, DAY)
    with pytest.raises(Refusal, match="is not sealed"):
        accept(warehouse, DAY)


def test_the_day_that_is_not_over_has_no_loss_to_accept(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection
) -> None:
    """Each run makes it what its source says: nothing of it is worth a restatement."""
    crowd(chat, TODAY, 1000)
    history.clock(TODAY, 23)
    history.compute(Grain.DAILY, TODAY)
    chat.connection.execute(TRUNCATE)
    before = stored(superuser)
    with pytest.raises(Refusal, match="tokens_daily of 2026-01-26 is not sealed") as refused:
        accept(warehouse, TODAY)
    assert refused.value.fix == "$ backfill tokens_daily --from 2026-01-26 --to 2026-01-26"
    assert stored(superuser) == before
    history.compute(Grain.DAILY, TODAY)
    assert messages(superuser, TODAY) == ("open", 0)


def test_other_days_of_the_run_go_on_and_its_page_is_red(
    history: History, chat: Chat, warehouse: Warehouse, superuser: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One refused day is no reason to compute none, and nobody reads a run that only failed."""
    monkeypatch.setenv("USAGE_START", str(START))
    lost, other = DAY, DAY + timedelta(days=1)
    for day in (lost, other):
        crowd(chat, day, 1200)
    history.compute(Grain.DAILY, lost, other)
    keep(chat, lost, 3)
    crowd(chat, other, 5, GRACE)
    with dg.DagsterInstance.ephemeral() as instance:
        run = launched(warehouse, instance, [lost, other])
        assert not run.success
        keys = instance.get_materialized_partitions(dg.AssetKey("tokens_daily"))
        key = dg.AssetCheckKey(dg.AssetKey(CHECK[0]), CHECK[1])
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert keys == {str(other)}
    assert (messages(superuser, lost), messages(superuser, other)) == (("open", 1200), ("open", 1205))
    assert latest.event
    evaluation = latest.event.get_dagster_event().asset_check_evaluation_data
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert str(evaluation.description).startswith(
        "2026-01-20: 1200 messages are stored, the source has 3. Fix:"
    )


def launched(
    warehouse: Warehouse, instance: dg.DagsterInstance, days: Sequence[date]
) -> dg.ExecuteInProcessResult:
    asset = defs.get_assets_def("tokens_daily")
    return dg.materialize(
        [asset, tokens_daily_checks, *specs.specs()],
        selection=[asset],
        instance=instance,
        resources={"warehouse": warehouse},
        tags=tags("tokens_daily", days[0], days[-1]),
        raise_on_error=False,
    )


def test_the_check_is_red_until_somebody_decides(history: History, chat: Chat, warehouse: Warehouse) -> None:
    """Of a sealed day nothing else says that its source is gone; the fix has both ways out."""
    for day, count in ((SEALED, 1500), (DAY, 1000), (DAY + timedelta(days=1), 999), (TODAY, 5000)):
        crowd(chat, day, count)
    history.compute(Grain.DAILY, SEALED, TODAY)
    green = look(warehouse, *CHECK)
    assert (green.passed, number(green, "periods_looked_at"), number(green, "lost_rows")) == (True, 2, 0)
    keep(chat, DAY, 600)
    assert look(warehouse, *CHECK).passed
    chat.connection.execute(TRUNCATE)
    red = look(warehouse, *CHECK, TODAY)
    assert (red.passed, red.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert said(red) == (
        "2026-01-14: 1500 messages are stored, the source has 0; also 2026-01-20."
        " Fix: usage-pipeline restate tokens_daily --from 2026-01-14 --to 2026-01-20 --reason WHY"
        " --accept-loss if they are really to go; usage-pipeline sources horizon 2026-01-21"
        " if raw rows were purged"
    )
    assert number(red, "lost_rows") == 2500
    accept(warehouse, SEALED)
    assert said(look(warehouse, *CHECK)).startswith("2026-01-20: 1000 messages are stored, the source has 0.")
    accept(warehouse, DAY)
    assert look(warehouse, *CHECK).passed


def test_a_purge_that_is_declared_is_no_loss(history: History, chat: Chat, warehouse: Warehouse) -> None:
    crowd(chat, SEALED, 1500)
    crowd(chat, DAY, 1500)
    history.compute(Grain.DAILY, SEALED, DAY)
    keep(chat, SEALED, 0)
    assert not look(warehouse, *CHECK).passed
    with warehouse.begin(Role.WRITER) as connection:
        horizon.declare(connection, "tokens", datetime(2026, 1, 15, tzinfo=UTC))
    again = look(warehouse, *CHECK)
    assert (again.passed, number(again, "periods_looked_at")) == (True, 1)
    chat.connection.execute(TRUNCATE)
    assert said(look(warehouse, *CHECK)).startswith("2026-01-20: 1500 messages are stored, the source has 0.")


def test_the_check_looks_at_the_newest_days_and_no_longer_than_it_may(
    history: History, chat: Chat, warehouse: Warehouse
) -> None:
    """After every run it costs the same; what it has not counted it does not call sound."""
    for day in (SEALED, DAY):
        crowd(chat, day, 1500)
    history.compute(Grain.DAILY, SEALED, DAY)
    chat.connection.execute(TRUNCATE)
    hasty = look(warehouse, *CHECK, patience_ms=0)
    assert (hasty.passed, number(hasty, "periods_skipped")) == (True, 2)
    assert said(hasty) == "2 not looked at: counting them takes too long: the newest days were counted"
    assert number(look(warehouse, *CHECK, newest_days=10), "periods_broken") == 1
    history.clock(SEALED + timedelta(days=36))
    assert number(look(warehouse, *CHECK), "periods_broken") == 1
    history.clock(DAY + timedelta(days=36))
    small = look(warehouse, *CHECK)
    assert said(small) == "none of the last 35 days holds 1000 messages: fewer are not compared"


def test_a_day_that_was_found_lost_stays_red_until_it_is_seen_to_hold(
    history: History, chat: Chat, warehouse: Warehouse
) -> None:
    """Neither a time limit that is used up nor the 36th day is a reason for green."""
    for day in (SEALED, DAY):
        crowd(chat, day, 1500)
    history.compute(Grain.DAILY, SEALED, DAY)
    keep(chat, SEALED, 3)
    with dg.DagsterInstance.ephemeral() as instance:
        assert number(look(warehouse, *CHECK, instance=instance), "periods_broken") == 1
        hasty = look(warehouse, *CHECK, TODAY, instance=instance, patience_ms=0)
        assert said(hasty).startswith("2026-01-14: 1500 messages are stored, the source has 3.")
        assert (hasty.passed, number(hasty, "periods_skipped")) == (False, 1)
        history.clock(SEALED + timedelta(days=50))
        late = look(warehouse, *CHECK, TODAY, instance=instance)
        assert (late.passed, number(late, "periods_broken")) == (False, 1)
        crowd(chat, SEALED, 1000)
        assert look(warehouse, *CHECK, TODAY, instance=instance).passed


@pytest.mark.parametrize("way", ["accepted", "declared"])
def test_a_day_that_somebody_decided_is_red_no_longer(
    history: History, chat: Chat, warehouse: Warehouse, way: str
) -> None:
    crowd(chat, SEALED, 1500)
    history.compute(Grain.DAILY, SEALED, DAY)
    keep(chat, SEALED, 3)
    with dg.DagsterInstance.ephemeral() as instance:
        assert not look(warehouse, *CHECK, instance=instance).passed
        history.clock(SEALED + timedelta(days=50))
        assert not look(warehouse, *CHECK, TODAY, instance=instance).passed
        if way == "accepted":
            accept(warehouse, SEALED)
        else:
            with warehouse.begin(Role.WRITER) as connection:
                horizon.declare(connection, "tokens", datetime(2026, 1, 15, tzinfo=UTC))
        assert look(warehouse, *CHECK, TODAY, instance=instance).passed


def test_a_source_that_is_hidden_is_not_called_lost(
    history: History, chat: Chat, warehouse: Warehouse
) -> None:
    """Row-level security makes no error: rows that are hidden look like rows that are gone."""
    crowd(chat, DAY, 1500)
    history.compute(Grain.DAILY, DAY)
    chat.connection.execute("alter table public.chat_messages_v2 enable row level security")
    assert said(look(warehouse, *CHECK)).startswith(
        "it could not be looked at: the source table public.chat_"
    )


def test_a_source_that_is_whole_is_counted_by_half(
    history: History, chat: Chat, warehouse: Warehouse
) -> None:
    """What proves a day is enough: the check stands behind every run of the hour."""
    crowd(chat, DAY, 5000)
    history.compute(Grain.DAILY, DAY)
    chat.connection.execute("analyze public.chat_messages_v2")
    with warehouse.begin(Role.READER) as connection:
        connection.exec_driver_sql("set local enable_seqscan = off")
        connection.exec_driver_sql(
            "select from usage_private.source_losses('tokens_daily', '2026-01-01', '2026-01-26', null)"
        )
        read = connection.exec_driver_sql(
            "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
            " from pg_stat_xact_user_tables where relname = 'chat_messages_v2'"
        ).scalar_one()
    assert read <= 2510


def test_an_empty_source_is_not_fresh(history: History, chat: Chat, warehouse: Warehouse) -> None:
    """The ledger remembers this morning's messages; the source was emptied at noon."""
    empty = look(warehouse, "tokens_daily", "source_fresh")
    assert (empty.passed, empty.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert said(empty).startswith("2026-01-26: the source holds no message: ")
    history.answers([TODAY - timedelta(days=number) for number in range(10)])
    history.compute(Grain.DAILY, TODAY - timedelta(days=9), TODAY)
    assert look(warehouse, "tokens_daily", "source_fresh").passed
    chat.connection.execute(TRUNCATE)
    lost = look(warehouse, "tokens_daily", "source_fresh")
    assert not lost.passed
    last = "; the last that were computed are of 2026-01-26 09:00 UTC: "
    assert said(lost).startswith(f"2026-01-26: the source holds no message{last}")
    history.answers([TODAY])
    assert look(warehouse, "tokens_daily", "source_fresh").passed
