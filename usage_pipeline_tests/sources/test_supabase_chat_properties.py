"""Metadata, owners and instants nobody thought of: the source agrees with plain Python on all of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from usage_pipeline.demo import oracle, verification
from usage_pipeline.periods.calendar import Grain, Window, window
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.factories import tokens_of
from usage_pipeline_tests.sources.conftest import opened
from usage_pipeline_tests.sources.reading import Source, event, imbalance
from usage_pipeline_tests.sources.shapes import ACCEPTED_VALUES, REFUSED_VALUES

# Each example empties the tables, so one database serves them all.
# A failure names the answers that differ, so nothing is shrunk for minutes; how long the drawing takes
# says something of the machine, not of the strategies.
REPEATED = settings(
    derandomize=True,
    deadline=None,
    max_examples=25,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
DAYS = tuple(date(2026, 2, 27) + timedelta(days=number) for number in range(3))
NOW = datetime(2026, 3, 20, tzinfo=UTC)

# Small counts, so that a sum equals `tokens` now and then; one in twenty makes no sense.
USUAL = [str(number) for number in (0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8, 10)]
UNUSUAL = REFUSED_VALUES[:: len(REFUSED_VALUES) // 10]
COUNTS: Final = st.sampled_from([*(USUAL * 20), *ACCEPTED_VALUES, "null", "null", *UNUSUAL])
ODDITIES: Final = st.sampled_from(("null", "{}", "[]", '"x"', "7", "true", "[1]", '{"tokens": 3}'))
STAGES = st.sampled_from(('"contextual_awareness"', '"intent_classification"', '"final_response"'))
MODELS = st.sampled_from(('"small"', '"large"'))
CACHED = st.sampled_from(("true", "true", "false", '"true"', "null"))


def mostly(usual: st.SearchStrategy[str], unusual: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.integers(0, 9).flatmap(lambda die: unusual if die == 7 else usual)


def members(**values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A JSON object with most of these members, as text: only text can hold 12.0 and 1e400."""
    drawn = {key: mostly(value, st.just("")) for key, value in values.items()}
    return st.fixed_dictionaries(drawn).map(
        lambda found: "{" + ", ".join(f'"{key}": {value}' for key, value in found.items() if value) + "}"
    )


USAGE = st.one_of(
    members(prompt_tokens=COUNTS, completion_tokens=COUNTS, total_tokens=COUNTS),
    members(prompt=COUNTS, completion=COUNTS, total=COUNTS),
    members(input_tokens=COUNTS, output_tokens=COUNTS),
    members(prompt_tokens=COUNTS, prompt=COUNTS, output_tokens=COUNTS, total=COUNTS),
    members(total=COUNTS),
)
CALL = members(
    stage=mostly(STAGES, ODDITIES),
    request=mostly(members(model=MODELS), ODDITIES),
    response=mostly(members(usage=mostly(USAGE, ODDITIES)), ODDITIES),
)
CALLS = st.lists(mostly(CALL, ODDITIES), min_size=1, max_size=3).map(lambda calls: f"[{', '.join(calls)}]")
STAGE = mostly(members(from_cache=CACHED), ODDITIES)
LOGGED = members(llm_calls=CALLS, contextual_awareness=STAGE, intent_classification=STAGE)
DOCUMENTED = members(prompt_tokens=COUNTS, completion_tokens=COUNTS, total_tokens=COUNTS, llm_calls=CALLS)


@st.composite
def summed(draw: st.DrawFn) -> str:
    """Calls whose `tokens` are a sum of some of them, or one more: what the sum means depends on which."""
    helpers = ("contextual_awareness", "intent_classification")
    calls = [(draw(st.sampled_from((*helpers, "answer"))), draw(st.integers(0, 9))) for _ in range(4)]
    cached = {stage: {"from_cache": draw(st.booleans())} for stage in helpers}
    chosen = draw(st.sampled_from(("all", "spent", "main", "cached")))
    wanted: dict[str, Callable[[str], bool]] = {
        "all": lambda _: True,
        "spent": lambda stage: stage == "answer" or not cached[stage]["from_cache"],
        "main": lambda stage: stage == "answer",
        "cached": lambda stage: stage != "answer" and cached[stage]["from_cache"],
    }
    tokens = sum(count for stage, count in calls if wanted[chosen](stage)) + draw(st.sampled_from((0, 0, 1)))
    logged = [
        {"stage": stage, "response": {"usage": {"prompt": count // 2, "completion": count - count // 2}}}
        for stage, count in calls
    ]
    return json.dumps({"tokens": tokens, "processingDetails": {"llm_calls": logged, **cached}})


METADATA: Final[st.SearchStrategy[str | None]] = st.one_of(
    st.one_of(st.none(), ODDITIES, members(tokens=COUNTS, processingDetails=ODDITIES)),
    members(tokens=COUNTS, processingDetails=members(llm_calls=ODDITIES)),
    members(tokens=COUNTS, processingDetails=DOCUMENTED),
    *(members(tokens=COUNTS, processingDetails=LOGGED) for _ in range(3)),
    summed(),
)

USERS = tuple(UUID(int=number) for number in range(1, 4))
AGENTS = tuple(UUID(int=number) for number in range(11, 13))
CONVERSATIONS = tuple(UUID(int=number) for number in range(21, 25))
OFFSETS = (
    timedelta(0),
    timedelta(hours=1),
    timedelta(hours=13),
    timedelta(days=1) - timedelta(microseconds=1),
)
INSTANTS: Final[st.SearchStrategy[datetime | None]] = st.one_of(
    st.none(),
    st.just(datetime(1999, 12, 31, 23, 59, tzinfo=UTC)),
    *[
        st.sampled_from([datetime(day.year, day.month, day.day, tzinfo=UTC) + offset for offset in OFFSETS])
        for day in DAYS
    ],
)
SESSION = st.tuples(
    st.uuids(),
    st.sampled_from(CONVERSATIONS[:3]),
    st.sampled_from((None, *USERS)),
    st.sampled_from((None, *AGENTS)),
    st.sampled_from((None, NOW - timedelta(days=90), NOW - timedelta(days=80))),
)
SENDER = st.sampled_from(((None, None), (None, None), (USERS[0], None), (None, AGENTS[0])))
MESSAGE = st.tuples(
    METADATA,
    INSTANTS,
    st.sampled_from(CONVERSATIONS),
    SENDER,
    st.sampled_from(("assistant",) * 4 + ("user",)),
)


@pytest.fixture(scope="module")
def crowded(server: Server) -> Iterator[Source]:
    """An application with users and agents, where a conversation may be repeated."""
    with opened(server) as source:
        execute = source.chat.connection.execute
        execute(
            "alter table public.conversation_sessions"
            " drop constraint conversation_sessions_conversation_id_key"
        )
        execute("insert into auth.users (id) select unnest(%s::uuid[])", [list(USERS)])
        execute("insert into public.agents (id, name) select unnest(%s::uuid[]), 'Agent'", [list(AGENTS)])
        yield source


def emptied(source: Source) -> Source:
    source.chat.connection.execute("truncate public.chat_messages_v2, public.conversation_sessions")
    source.chat.messages.clear()
    source.chat.sessions.clear()
    return source


@REPEATED
@given(batch=st.lists(METADATA, min_size=60, max_size=140))
def test_any_metadata_is_read_as_the_oracle_reads_it(crowded: Source, batch: list[str | None]) -> None:
    """A shape that only one of the two understands is a number nobody has proven."""
    source = emptied(crowded)
    with source.chat.connection.transaction():
        answers = {source.chat.answer(None, raw_metadata=raw).id: raw for raw in batch}
    usages = {message.id: oracle.read_usage(message.metadata) for message in source.chat.messages}
    found, shares = source.events(), source.shares()
    assert wrong(answers, found, {key: event(usage) for key, usage in usages.items()}) == []
    balances = {key: imbalance(found[key], shares.get(key, {})) for key in answers}
    assert [(answers[key], why) for key, why in balances.items() if why] == []
    refused = {key: refusal.field for key, refusal in source.refusals().items()}
    fields = {key: usage.refused_field for key, usage in usages.items() if usage.state == "refused"}
    assert wrong(answers, refused, fields) == []


BY_BOTH_WAYS: Final = b"""
    select answer.raw, plain.usage, found.usage
    from (
      select raw, raw::jsonb as metadata, raw::jsonb -> 'processingDetails' as details
      from unnest(%s::text[]) raw
    ) answer
    cross join lateral usage_private.chat_plain_calls(answer.metadata, answer.details) plain
    cross join lateral usage_private.chat_usage(answer.metadata, answer.details) found
    where jsonb_typeof(answer.details -> 'llm_calls') = 'array'
      and coalesce(answer.details ->> 'prompt_tokens', answer.details ->> 'completion_tokens',
        answer.details ->> 'total_tokens') is null
    """
PLAIN: Final = """{"tokens": 30, "processingDetails": {
    "contextual_awareness": {"from_cache": true}, "llm_calls": [
    {"stage": "contextual_awareness", "response": {"usage": {"prompt": 5, "completion": 1, "total": 7}}},
    {"stage": "intent_classification", "response": {"usage": {"input_tokens": 4, "output_tokens": 2}}},
    {"response": {"usage": null}}, 7,
    {"stage": "answer", "response": {"usage": {"prompt_tokens": 20, "completion_tokens": "3"}}}]}}"""


@REPEATED
@given(batch=st.lists(METADATA, min_size=60, max_size=140))
def test_plain_calls_are_read_as_all_the_rules_read_them(crowded: Source, batch: list[str | None]) -> None:
    """The short way answers nothing, or what the long one does."""
    rows = crowded.chat.connection.execute(BY_BOTH_WAYS, [[raw for raw in (*batch, PLAIN) if raw]]).fetchall()
    assert [row for row in rows if row[1] is not None and row[1] != row[2]] == []
    assert (PLAIN, [24, 5, 36], [24, 5, 36]) in rows


def wrong(
    answers: dict[UUID, str | None], found: Mapping[UUID, object], expected: Mapping[UUID, object]
) -> list[object]:
    return [
        (raw, found.get(key), expected.get(key))
        for key, raw in answers.items()
        if found.get(key) != expected.get(key)
    ]


@REPEATED
@given(
    messages=st.lists(MESSAGE, min_size=20, max_size=60),
    sessions=st.lists(SESSION, max_size=8, unique_by=lambda session: session[0]),
)
def test_any_three_days_are_stored_as_the_oracle_computes_them(
    crowded: Source,
    messages: list[tuple[str | None, datetime | None, UUID, tuple[UUID | None, UUID | None], str]],
    sessions: list[tuple[UUID, UUID, UUID | None, UUID | None, datetime | None]],
) -> None:
    """Each example finds what the one before has stored: what is gone from the source must go."""
    source = emptied(crowded)
    with source.chat.connection.transaction():
        for session_id, conversation_id, user_id, agent_id, started_at in sessions:
            source.chat.session(
                id=session_id, conversation_id=conversation_id, user_id=user_id, agent_id=agent_id,
                started_at=started_at,
            )  # fmt: skip
        for raw, at, conversation_id, (user_id, agent_id), role in messages:
            source.chat.answer(
                None, raw_metadata=raw, at=at, conversation_id=conversation_id,
                sender_user_id=user_id, sender_agent_id=agent_id, role=role,
            )  # fmt: skip
    stored, counts = run(source)
    assert stored == oracle.tokens(Grain.DAILY, source.chat.messages, source.chat.sessions, now=NOW)
    nothing = dict.fromkeys(DAYS, oracle.Counts(0, 0, 0, 0, 0, 0))
    assert counts == nothing | oracle.counts(Grain.DAILY, source.chat.messages, source.chat.sessions, now=NOW)


def run(source: Source) -> tuple[dict[tuple[date, UUID], oracle.Period], dict[date, oracle.Counts]]:
    """What is stored and what the ledger says after a run of the three days."""
    periods = [window(Grain.DAILY, day) for day in DAYS]
    tokens_of(Grain.DAILY).ensure_partitions(source.warehouse, periods[0], periods[-1])
    for period in periods:
        tokens_of(Grain.DAILY).compute(source.warehouse, period, "test")
    bounds = Window(periods[0].start, periods[-1].end)
    with source.warehouse.begin(Role.READER) as connection:
        stored = verification.stored_periods(connection, Grain.DAILY, bounds)
        return stored, verification.recorded_periods(connection, Grain.DAILY, bounds)
