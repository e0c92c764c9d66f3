"""What a person reads of a source that lost its rows, and of days that were sealed by an older rule."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
import pytest

from usage_pipeline.periods.calendar import Grain
from usage_pipeline.rollups import functions, metadata
from usage_pipeline.sources.adapters import SUPABASE_CHAT
from usage_pipeline.warehouse import embedded, statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.migrations import engine
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests import stack
from usage_pipeline_tests.cli.test_own_database import TODAY, Own
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.factories import Chat, set_clock
from usage_pipeline_tests.rollups.checking import look, number, said
from usage_pipeline_tests.serving.history import History
from usage_pipeline_tests.stack import Checkout, Done
from usage_pipeline_tests.verbs import Verbs

YESTERDAY: Final = TODAY - timedelta(days=1)
LOST: Final = (TODAY - timedelta(days=3), TODAY - timedelta(days=2))
FIRST: Final = TODAY - timedelta(days=4)
SEALED: Final = date(2026, 1, 14)
OLD_RULE: Final = {
    "in (listed.total_tokens, listed.spent_tokens)": "in (listed.total_tokens)",
    "pg_catalog.sum(call.total_tokens), pg_catalog.sum(call.total_tokens) filter (where call.is_spent))":
        "pg_catalog.sum(call.total_tokens))",
}  # fmt: skip
USAGES: Final = {"contextual_awareness": 334, "intent_classification": 201, "final_response": 1801}
COUNTED_TWICE: Final = {
    "tokens": 2002,
    "processingDetails": {
        "contextual_awareness": {"from_cache": True},
        "llm_calls": [
            {"stage": stage, "response": {"usage": {"prompt_tokens": count, "completion_tokens": 0}}}
            for stage, count in USAGES.items()
        ],
    },
}


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    folder = Path(tempfile.mkdtemp(prefix="usage-losses-"))
    yield stack.copy(folder)
    embedded.remove(embedded.of(folder / ".usage"))
    shutil.rmtree(folder, ignore_errors=True)


def crowd(connection: psycopg.Connection, day: date, count: int) -> None:
    """So many messages of a day."""
    connection.execute(
        "insert into public.chat_messages_v2"
        " (id, conversation_id, sender_agent_id, role, content, metadata, created_at)"
        " select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'assistant', '{}',"
        " '{\"tokens\": 5}'::jsonb, %s from generate_series(1, %s)",
        [datetime.combine(day, time(9), UTC), count],
    )


def lines(done: Done, start: str) -> list[str]:
    return [line for line in done.said.splitlines() if line.startswith(start)]


@pytest.mark.stack
def test_a_source_that_was_truncated(checkout: Checkout, server: Server) -> None:
    """Refused, reported, nothing lost; with the loss accepted, as the source says, and green again."""
    with cloned(server, TEMPLATE) as name:
        own = Own(checkout, server, name)
        own.begin(FIRST)
        backfill = ("backfill", "all", "--from", str(FIRST), "--to", str(YESTERDAY))
        with own.connect() as connection:
            set_clock(connection, datetime.combine(TODAY, time(12), UTC))
            for day in LOST:
                crowd(connection, day, 1200)
            for day in (FIRST, YESTERDAY, TODAY):
                crowd(connection, day, 20)
        assert own(*backfill).code == 0
        assert "✓ messages       the source holds those that are stored of large days" in own("doctor").out
        with own.connect() as connection:
            connection.execute("truncate public.chat_messages_v2")
            crowd(connection, FIRST, 30)
            crowd(connection, YESTERDAY, 10)
        refused = own(*backfill)
        period = f"--from {LOST[0]} --to {LOST[0]}"
        range_ = f"--from {LOST[0]} --to {LOST[1]} --reason WHY --accept-loss if they are really to go"
        assert refused.code == 1
        (line,) = lines(refused, "2 days not computed; 2 days, ")
        assert line.partition(" stay: ")[2] == (
            f"tokens_daily of {LOST[0]} would lose most of its messages: 1200 are stored, the source has 0."
            f" Fix: usage-pipeline restate tokens_daily {period} --reason WHY --accept-loss if they are"
            f" really to go, usage-pipeline sources horizon {LOST[1]} if raw rows were purged; then"
            " usage-pipeline backfill tokens_daily tokens_weekly tokens_monthly tokens_yearly"
            f" --from {LOST[0]} --to {LOST[1]}"
        )
        purged = f"usage-pipeline sources horizon {YESTERDAY} if raw rows were purged"
        assert lines(refused, "  tokens_daily source_holds_messages") == [
            f"  tokens_daily source_holds_messages: {LOST[0]}: 1200 messages are stored, the source has 0;"
            f" also {LOST[1]}. Fix: usage-pipeline restate tokens_daily {range_}; {purged}"
        ]
        examined = own("doctor")
        assert examined.code == 3
        assert (
            f"! messages       {LOST[0]}: 1200 messages are stored, the source has 0; also {LOST[1]}\n"
            f"  Fix: usage-pipeline restate tokens_daily {range_}\n  Fix: {purged}\n"
        ) in examined.out
        assert stored(own) == 30 + 1200 + 1200 + 10
        restate = ("restate", "tokens_daily", *backfill[2:], "--reason", "tests", "--accept-loss")
        planned = own(*restate, "--dry-run").out
        assert "periods   4, 0 of them sealed, 2 open of which the source has lost most" in planned
        assert "left out  2 open: " in planned
        assert "loses     2,400 messages, 12,000 tokens that the source no longer has" in planned
        done = own(*restate, "--yes")
        assert done.code == 0, done.said
        assert stored(own) == 40
        shown = json.loads(own("restatements", "--json").out)["data"]
        assert [(each["period"], each["messages_before"], each["reason"]) for each in shown] == [
            (str(day), 1200, "tests") for day in reversed(LOST)
        ]
        again = own(*backfill)
        assert again.code == 0, again.said
        assert "source_holds_messages" not in again.said
        assert "! messages" not in own("doctor").out


def stored(own: Own) -> int:
    """The messages of the days that were asked for, as a reader gets them."""
    shown = own("usage", "tokens", "--json", "--from", str(FIRST), "--to", str(YESTERDAY))
    return int(json.loads(shown.out)["data"]["totals"]["messages"])


@pytest.fixture
def old(chat: Chat, warehouse: Warehouse) -> tuple[History, UUID]:
    """Days computed and sealed while the spent calls of Ada's answer were counted with a helper twice."""
    history = History(chat, warehouse)
    history.clock(date(2026, 1, 26))
    text = SUPABASE_CHAT.functions.text
    for new, old in OLD_RULE.items():
        assert new in text
        text = text.replace(new, old)
    with warehouse.begin(Role.OWNER) as connection:
        statements.run_script(connection, text)
    ada = chat.user("Ada Lovelace")
    conversation = chat.session(user_id=ada).conversation_id
    chat.answer(COUNTED_TWICE, at=datetime.combine(SEALED, time(9), UTC), conversation_id=conversation)
    history.compute_all(date(2026, 1, 26))
    return history, ada


@pytest.mark.once
def test_a_day_that_was_sealed_by_the_old_rule(
    old: tuple[History, UUID], warehouse: Warehouse, verbs: Verbs, server: Server, database: str
) -> None:
    """The number is kept, as that of a deleted chat is, and reported; a person corrects it, and all above."""
    history, _ = old
    assert tokens_by_grain(warehouse) == {"daily": 2203, "weekly": 2203, "monthly": 2203, "yearly": 2203}
    assert engine.install(warehouse, functions.wanted(SUPABASE_CHAT)) == ("supabase_chat",)
    (kept,) = history.compute(Grain.DAILY, SEALED)
    assert (kept.changed, kept.entry.kept_rows, kept.entry.kept_sum("total_tokens")) == (0, 0, 201)
    assert metadata.of_period(kept)["kept_total_tokens"].value == 201
    checked = look(warehouse, "tokens_daily", "conservation", SEALED)
    assert (checked.passed, number(checked, "kept_total_tokens")) == (True, 201)
    assert said(checked) == "it holds; 0 messages, 201 tokens are stored that the source no longer has"
    url = server.url(database).set(drivername="postgresql").render_as_string()

    def typed(*words: str) -> Done:
        done = verbs(*words, USAGE_DATABASE_URL=url, USAGE_START="2025-12-24", USAGE_TOKENS_GRACE_DAYS="7")
        assert done.code == 0, done.said
        return done

    (row,) = json.loads(typed("restatements", "--kept", "--json").out)["data"]
    assert (row["period"], row["label"], row["messages"], row["tokens"]) == (
        str(SEALED), "Ada Lovelace", 0, 201,
    )  # fmt: skip
    restate = ("restate", "tokens_daily", "--from", str(SEALED), "--to", str(SEALED), "--reason", "new rule")
    looked = typed(*restate)
    assert "tokens_daily keeps 0 messages, 201 tokens that the source no longer has" in looked.said
    assert tokens_by_grain(warehouse)["daily"] == 2203
    corrected = typed(*restate, "--accept-loss", "--yes")
    assert "loses     0 messages, 201 tokens that the source no longer has" in corrected.said
    assert tokens_by_grain(warehouse) == {"daily": 2002, "weekly": 2002, "monthly": 2002, "yearly": 2002}
    assert typed("restatements", "--kept").said.startswith("No sealed period keeps more")


def tokens_by_grain(warehouse: Warehouse) -> dict[str, int]:
    """All that is stored, by grain: one answer of one day."""
    with warehouse.begin(Role.READER) as connection:
        rows = connection.exec_driver_sql("select period_type, total_tokens from usage.user_token_usage")
        return dict(rows.tuples().all())
