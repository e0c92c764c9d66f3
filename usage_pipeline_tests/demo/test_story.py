"""The story of the demo: each chapter is in the data, everybody appears, and it is always the same."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

import pytest

from usage_pipeline.demo import cast, chapters, oracle, shapes, story
from usage_pipeline.demo.application import Message
from usage_pipeline.demo.chapters import Chapter, Happening
from usage_pipeline.demo.story import Story
from usage_pipeline.periods.calendar import Grain

LAST_DAY = date(2026, 3, 31)
NOW = datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def told() -> Story:
    return story.tell(LAST_DAY)


@pytest.fixture(scope="module")
def days(told: Story) -> dict[tuple[date, UUID], oracle.Period]:
    return oracle.tokens(Grain.DAILY, told.all_messages, told.sessions, now=NOW)


def chapter(told: Story, happening: Happening) -> Chapter:
    found = told.chapter(happening)
    assert found is not None
    return found


def day_of(message: Message) -> date:
    assert message.created_at is not None
    return message.created_at.date()


def answers(messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if message.role == "assistant"]


def mean(counts: Counter[date], first_day: date, days: int) -> float:
    return sum(counts[first_day + timedelta(days=offset)] for offset in range(days)) / days


def test_size(told: Story) -> None:
    counts = Counter(map(day_of, answers(told.all_messages)))
    assert (told.first_day, told.last_day) == (LAST_DAY - timedelta(days=399), LAST_DAY)
    assert (min(counts), max(counts), len(counts)) == (told.first_day, told.last_day, 400)
    assert 240 < sum(counts.values()) / 400 < 265


def test_a_launch_week(told: Story) -> None:
    """At least two and a half times the weeks around it, else nobody sees it in a chart."""
    week = chapter(told, "launch")
    counts = Counter(map(day_of, answers(told.all_messages)))
    launch = mean(counts, week.first_day, 7)
    assert launch >= 2.5 * mean(counts, week.first_day - timedelta(days=7), 7)
    assert launch >= 2.5 * mean(counts, week.last_day + timedelta(days=1), 7)


def test_a_quiet_holiday(told: Story) -> None:
    """At most a tenth of the days around it, but no day is empty."""
    holiday = chapter(told, "holiday")
    counts = Counter(map(day_of, answers(told.all_messages)))
    quiet = mean(counts, holiday.first_day, 10)
    assert quiet <= 0.1 * mean(counts, holiday.first_day - timedelta(days=10), 10)
    assert quiet <= 0.1 * mean(counts, holiday.last_day + timedelta(days=1), 10)
    assert all(counts[holiday.first_day + timedelta(days=offset)] for offset in range(10))


def test_who_leaves_was_active_and_keeps_the_account(
    told: Story, days: dict[tuple[date, UUID], oracle.Period]
) -> None:
    """Not one answer afterwards, not even after midnight of the last evening."""
    left = chapter(told, "departure").first_day
    leaver = next(user.id for user in told.users if user.full_name == chapters.WHO_LEAVES)
    active = Counter(user for day, user in days for _ in range(days[day, user].message_count) if day < left)
    assert leaver in [user for user, _ in active.most_common(6)]
    assert max(day for day, user in days if user == leaver) in [left - timedelta(days=n) for n in (1, 2, 3)]
    asked = [message for message in told.all_messages if message.sender_user_id == leaver]
    assert max(map(day_of, asked)) < left
    own = {message.conversation_id for message in asked}
    assert max(day_of(each) for each in answers(told.all_messages) if each.conversation_id in own) < left


def test_the_deleted_agent_stands_on_its_messages_alone(told: Story) -> None:
    """Its row and its sessions' reference are gone; an aggregate that asked only them would lose it."""
    deleted = chapter(told, "deletion").first_day
    known = {agent.id for agent in told.agents}
    assert chapters.DELETED_AGENT not in {agent.name for agent in told.agents}
    assert len(known) == len(cast.AGENT_MODELS) - 1
    by_deleted = [each for each in answers(told.all_messages) if each.sender_agent_id not in known]
    assert len({each.sender_agent_id for each in by_deleted}) == 1
    assert len(by_deleted) > 1000
    assert deleted - timedelta(days=3) <= max(map(day_of, by_deleted)) < deleted
    agents = {session.conversation_id: session.agent_id for session in told.sessions}
    assert {agents.get(each.conversation_id) for each in by_deleted} == {None}
    assert set(agents.values()) == {*known, None}


def test_what_is_late(told: Story) -> None:
    """Days that were over, conversations that are known, people who are there."""
    offline = chapter(told, "offline")
    assert {day_of(each) for each in told.late_messages} == {
        offline.first_day + timedelta(days=offset) for offset in range(3)
    }
    assert LAST_DAY - timedelta(days=7) < offline.first_day
    owners = {session.conversation_id: session.user_id for session in told.sessions}
    begun = {each.conversation_id for each in told.messages if day_of(each) < offline.last_day}
    assert {each.conversation_id for each in told.late_messages} <= begun
    assert None not in {owners[each.conversation_id] for each in told.late_messages}
    assert len({owners[each.conversation_id] for each in answers(told.late_messages)}) > 3
    assert not {each.id for each in told.late_messages} & {each.id for each in told.messages}


def test_messages_stand_in_order_and_inside_the_story(told: Story) -> None:
    for messages in (told.messages, told.late_messages):
        times = [each.created_at for each in messages if each.created_at]
        assert times == sorted(times)
        assert len(times) == len(messages)
    assert len({each.id for each in told.all_messages}) == len(told.all_messages)


def test_everybody_appears(told: Story, days: dict[tuple[date, UUID], oracle.Period]) -> None:
    """Every user, answers of nobody, and each agent."""
    assert {user for _, user in days} == {user.id for user in told.users} | {oracle.NOBODY}
    assert {agent for day in days.values() for agent in day.agent_ids} >= {each.id for each in told.agents}


def test_every_shape_appears(told: Story) -> None:
    """A shape that the demo lacks is one that `demo --once` does not verify."""
    names = Counter(shape_of(each.metadata) for each in answers(told.all_messages))
    expected = {shape.__name__ for shape in shapes.PROPORTIONS if shape} | {"refused"}
    assert set(names) == expected
    usages = [oracle.read_usage(each.metadata) for each in answers(told.all_messages)]
    refused = {(usage.refused_field, usage.refused_reason) for usage in usages if usage.state == "refused"}
    assert refused == {refusal(shape) for shape in shapes.REFUSED}
    assert len(refused) == len(shapes.REFUSED)


def shape_of(metadata: object) -> str:
    """The name of the function in `shapes` that writes metadata of this kind."""
    if not isinstance(metadata, dict) or not metadata:
        return "nothing" if metadata is None else "empty"
    if oracle.read_usage(metadata).state == "refused":
        return "refused"
    details = metadata.get("processingDetails")
    if details is None:
        return "tokens_alone"
    return shape_of_documented(details) if "prompt_tokens" in details else shape_of_calls(metadata, details)


def shape_of_documented(details: dict[str, object]) -> str:
    prompt, completion, total = (details.get(f"{name}_tokens") for name in ("prompt", "completion", "total"))
    if isinstance(prompt, str):
        return "documented_in_other_types"
    if total is None:
        return "documented_without_total"
    assert isinstance(prompt, int)
    assert isinstance(completion, int)
    return "documented" if total == prompt + completion else "documented_with_larger_total"


def shape_of_calls(metadata: dict[str, object], details: dict[str, object]) -> str:
    calls = details["llm_calls"]
    assert isinstance(calls, list)
    usages = [call["response"].get("usage") for call in calls]
    if None in usages:
        return "calls_with_failed_one"
    if any("total_tokens" not in usage for usage in usages):
        return "calls_in_mixed_spellings"
    if metadata["tokens"] == sum(usage["total_tokens"] for usage in usages):
        return "calls_summed_in_tokens"
    is_cached = {"intent_classification", "contextual_awareness"} & set(details)
    return "calls_with_cached_helper" if is_cached else "calls_with_helpers"


def refusal(shape: shapes.Shape) -> tuple[str | None, str | None]:
    usage = oracle.read_usage(shape(Random(1), "gpt-4o"))  # noqa: S311
    return usage.refused_field, usage.refused_reason


def test_the_same_arguments_tell_the_same_story() -> None:
    """In another process too: a set in the wrong place would make every machine's demo another one."""
    assert story.tell(LAST_DAY, 20) == story.tell(LAST_DAY, 20)
    assert story.tell(LAST_DAY, 20) != story.tell(LAST_DAY, 20, seed=43)
    script = f"import datetime; from {story.__name__} import tell; print(tell({LAST_DAY!r}, 20))"
    told = [
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1] == f"{story.tell(LAST_DAY, 20)}\n"


def test_a_story_goes_on_without_a_change_to_what_was(told: Story) -> None:
    """Restarted after three days, then after ten: a row that moved would be an oracle that is wrong."""
    three, ten = (story.continued(told, LAST_DAY + timedelta(days=count)) for count in (3, 10))
    assert (ten.first_day, ten.last_day) == (told.first_day, LAST_DAY + timedelta(days=10))
    for shorter, longer in ((told, three), (three, ten)):
        assert longer.messages[: len(shorter.messages)] == shorter.messages
        assert longer.sessions[: len(shorter.sessions)] == shorter.sessions
    assert (ten.late_messages, ten.users, ten.agents) == (told.late_messages, told.users, told.agents)
    counts = Counter(map(day_of, answers(ten.messages)))
    assert min(counts[LAST_DAY + timedelta(days=number)] for number in range(1, 11)) > 100
    assert story.continued(told, LAST_DAY) == told
    assert story.continued(told, LAST_DAY - timedelta(days=1)) == told, "a clock that was set back"


def test_who_is_gone_stays_gone_while_the_story_goes_on(told: Story) -> None:
    later = story.continued(told, LAST_DAY + timedelta(days=30))
    added = later.messages[len(told.messages) :]
    leaver = next(user.id for user in told.users if user.full_name == chapters.WHO_LEAVES)
    assert leaver not in {each.sender_user_id for each in added}
    assert {each.sender_agent_id for each in answers(added)} == {each.id for each in told.agents}
    times = [each.created_at for each in later.messages if each.created_at]
    assert times == sorted(times)
    assert len({each.id for each in later.all_messages}) == len(later.all_messages)


@pytest.mark.slow
def test_no_day_is_odd_by_chance() -> None:
    """With strangers drawn by lot a fresh demo began with a warning that nothing it said could remove."""
    for number in range(7):
        told = story.continued(
            story.tell(LAST_DAY + timedelta(days=number), 60), LAST_DAY + timedelta(days=40)
        )
        owned = {each.conversation_id for each in told.sessions if each.user_id}
        every = Counter(map(day_of, answers(told.messages)))
        of_nobody = Counter(
            day_of(each) for each in answers(told.messages) if each.conversation_id not in owned
        )
        assert sum(of_nobody.values()) > 50
        assert max(of_nobody[day] / count for day, count in every.items() if count >= 50) < 0.06
        latest = {day_of(each): each.created_at for each in answers(told.messages)}
        assert min(at.hour for at in latest.values() if at) >= 22, "`source_fresh` allows 26 hours"
