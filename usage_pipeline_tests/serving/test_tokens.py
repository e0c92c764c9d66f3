"""Tokens as a person asks for them: names, shares, and what is incomplete."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from usage_pipeline.periods.calendar import Grain, windows
from usage_pipeline.refusals import Refusal
from usage_pipeline.serving import lines, people, tokens
from usage_pipeline.warehouse import statements
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import BY_GRAIN, NOON, Chat, set_clock

FIRST = NOON.date()


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def compute(warehouse: Warehouse, first: date, last: date) -> None:
    days = list(windows(Grain.DAILY, first, last))
    BY_GRAIN[Grain.DAILY].ensure_partitions(warehouse, days[0], days[-1])
    for each in days:
        BY_GRAIN[Grain.DAILY].compute(warehouse, each, "test")


def test_conversations_of_a_range_are_counted_once(chat: Chat, warehouse: Warehouse) -> None:
    """A conversation that lasts three days is one; the days' counts add up to three."""
    user = chat.user("Ada Lovelace")
    session = chat.session(user_id=user)
    for number in range(3):
        chat.answer(at=NOON + timedelta(days=number), conversation_id=session.conversation_id)
    compute(warehouse, FIRST, day(2))
    with warehouse.begin(Role.READER) as connection:
        (line,) = lines.by_user(connection, FIRST, day(2))
        assert (line.label, line.conversations, line.messages, line.total_tokens) == (
            "Ada Lovelace",
            1,
            3,
            45,
        )
        assert [each.conversations for each in lines.by_period(connection, user, FIRST, day(2))] == [1, 1, 1]
        assert lines.conversation_count(connection, None, FIRST, day(2)) == 1


def test_what_belongs_to_nobody_stands_last(chat: Chat, warehouse: Warehouse) -> None:
    """The unattributed line is often the biggest; on top it would look like a user."""
    small = chat.session(user_id=chat.user("Small"))
    chat.answer(conversation_id=small.conversation_id)
    for _ in range(5):
        chat.answer()
    unnamed = uuid4()
    chat.answer(sender_user_id=unnamed)
    compute(warehouse, FIRST, FIRST)
    with warehouse.begin(Role.READER) as connection:
        labels = [line.label for line in lines.by_user(connection, FIRST, FIRST)]
    assert set(labels[:2]) == {"Small", str(unnamed)}
    assert labels[2:] == ["(unattributed)"]


def test_a_person_is_found_by_id_name_or_part_of_it(chat: Chat, warehouse: Warehouse) -> None:
    ada, grace, gracie = chat.user("Ada Lovelace"), chat.user("Grace"), chat.user("Gracie 100% O'Hara")
    emile = chat.user("Émile Borel")
    unnamed = uuid4()
    chat.answer(sender_user_id=unnamed)
    chat.answer()
    compute(warehouse, FIRST, FIRST)
    with warehouse.begin(Role.READER) as connection:

        def found(wanted: str) -> UUID:
            return people.person(connection, wanted).user_id

        assert found(str(ada)) == found("LOVELACE") == ada
        assert found("émile") == found("ÉMILE") == emile
        assert found("grace") == grace, "a whole name wins over a part of another"
        assert found("100%") == found("O'Hara") == gracie
        assert found(str(unnamed)) == unnamed
        assert found("unattributed") == UUID(int=0)
        for wanted, said in (("%", "100%"), ("_", "no user is called"), ("Gra", "stands for 2 users")):
            if wanted == "%":
                assert found(wanted) == gracie, "a wildcard is a letter like any other"
                continue
            with pytest.raises(Refusal, match=said):
                found(wanted)
        with pytest.raises(Refusal, match="no user is called"):
            found(str(uuid4()))


def test_coverage_names_what_was_never_computed(chat: Chat, warehouse: Warehouse) -> None:
    """A total over a range with a hole looks like any other total."""
    compute(warehouse, FIRST, FIRST)
    compute(warehouse, day(3), day(3))
    with warehouse.begin(Role.READER) as connection:
        covered = tokens.coverage(connection, FIRST, day(3))
        assert covered.missing == (day(1), day(2))
        assert not covered.is_complete
        assert covered.partial == ()
        whole = tokens.coverage(connection, FIRST, FIRST)
        assert whole.is_complete
        assert whole.as_of == datetime.combine(day(1), datetime.min.time(), UTC)
        assert tokens.latest_day(connection, "tokens_daily") == day(3)


def test_a_day_read_in_part_makes_a_range_incomplete(
    chat: Chat, warehouse: Warehouse, server: Server, database: str
) -> None:
    """A day computed at noon and never again misses its afternoon, however complete the day after it is."""
    with server.connect(database) as connection:
        set_clock(connection, NOON)
        compute(warehouse, FIRST, FIRST)
        set_clock(connection, NOON + timedelta(days=5))
        compute(warehouse, day(1), day(1))
    with warehouse.begin(Role.READER) as connection:
        covered = tokens.coverage(connection, FIRST, day(1))
    assert not covered.is_complete
    assert covered.partial == (FIRST,)
    assert covered.as_of == NOON


def test_a_name_that_stands_twice_in_the_directory(chat: Chat, warehouse: Warehouse) -> None:
    """Two profiles of one id would show one user's tokens twice."""
    user = chat.user("Ada")
    chat.connection.execute("alter table public.profiles drop constraint profiles_pkey")
    chat.connection.execute("insert into public.profiles (id, full_name) values (%s, 'Augusta Ada')", [user])
    chat.answer(conversation_id=chat.session(user_id=user).conversation_id)
    compute(warehouse, FIRST, FIRST)
    with warehouse.begin(Role.READER) as connection:
        assert [line.label for line in lines.by_user(connection, FIRST, FIRST)] == ["Ada"]


def test_the_reader_reads_and_nothing_else(warehouse: Warehouse) -> None:
    insertion = (
        "insert into usage.rollup_ledger (rollup, period_start, period_end)"
        " values ('tokens_daily', '2026-03-04 00:00:00+00', '2026-03-05 00:00:00+00')"
    )
    with pytest.raises(Refusal, match="42501"), warehouse.begin(Role.READER) as connection:
        statements.run_script(connection, insertion)
