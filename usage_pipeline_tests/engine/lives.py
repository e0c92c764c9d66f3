"""Lives by chance: what may happen in one, how one is written from a seed, and the shortest that fails."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from usage_pipeline.periods.calendar import Grain
from usage_pipeline_tests.derived import rungs
from usage_pipeline_tests.derived.oracle import Intent
from usage_pipeline_tests.derived.rows import Usage
from usage_pipeline_tests.derived.rungs import GRAINS, Period
from usage_pipeline_tests.engine.life import CONVERSATIONS, DAY, FIVE, SMALL, USERS, Broken, Life, noon
from usage_pipeline_tests.engine.pure import Engine, held

STEPS: Final = 40
REAL_EVERY: Final = 9
"""One life in so many has the calendar of everybody."""
SETTLES_EVERY: Final = 8
USAGES: Final = (
    FIVE, Usage(4, 1, 7, "reported"), Usage(1, 0, 1, "reported"),
    Usage(0, 0, 6, "total_only"), Usage(0, 0, 0, "missing"), Usage(0, 0, 0, "refused"),
)  # fmt: skip


class Step(NamedTuple):
    """What happens, and numbers that say where: they mean something at any moment of any life."""

    kind: str
    a: int
    b: int
    c: int


def _answer(life: Life, a: int, b: int, c: int) -> None:
    life.add(life.oracle.now, CONVERSATIONS[a % 3], USAGES[c % 6])


def _answer_ahead(life: Life, a: int, b: int, c: int) -> None:
    """By a clock that is fast; the contract admits a day."""
    life.add(life.oracle.now + timedelta(hours=1 + b % 20), CONVERSATIONS[a % 3], USAGES[c % 6])


def _late_answer(life: Life, a: int, b: int, c: int) -> None:
    life.add(_instant(life, b), CONVERSATIONS[a % 3], USAGES[c % 6])


def _many_answers(life: Life, a: int, b: int, c: int) -> None:
    """A large period, of one user or of all."""
    at = _instant(life, b)
    for place in range(2 + c % 3):
        life.add(at, CONVERSATIONS[(a + place * (a % 2)) % 3])


def _edit(life: Life, a: int, b: int, c: int) -> None:
    for number in _picked(life, a):
        life.put(number, life.oracle.answers[number]._replace(usage=USAGES[c % 6]))


def _move(life: Life, a: int, b: int, c: int) -> None:
    for number in _picked(life, a):
        life.put(number, life.oracle.answers[number]._replace(at=_instant(life, b)))


def _own(life: Life, a: int, b: int, c: int) -> None:
    life.own(CONVERSATIONS[a % 3], (*USERS, None)[b % 3])


def _delete(life: Life, a: int, b: int, c: int) -> None:
    life.drop(_picked(life, a))


def _delete_conversation(life: Life, a: int, b: int, c: int) -> None:
    answers = life.oracle.answers.items()
    life.drop(key for key, each in list(answers) if each.conversation == CONVERSATIONS[a % 3])


def _lose(life: Life, a: int, b: int, c: int) -> None:
    """The source has lost most of a day, or all of it."""
    day = _instant(life, b).date()
    life.drop([key for key, each in life.oracle.answers.items() if each.at.date() == day][c % 2 :])


def _hours_pass(life: Life, a: int, b: int, c: int) -> None:
    life.clock(life.oracle.now + timedelta(hours=1 + a % 30))


def _days_pass(life: Life, a: int, b: int, c: int) -> None:
    life.clock(life.oracle.now + (1 + a % 6) * DAY)


def _clock_is_set_back(life: Life, a: int, b: int, c: int) -> None:
    life.clock(max(noon(life.oracle.first_day), life.oracle.now - timedelta(hours=1 + a % 150)))


def _first_day_is_moved(life: Life, a: int, b: int, c: int) -> None:
    """Mostly because older rows are found."""
    life.start(life.oracle.first_day + (2 if a % 5 == 0 else -1 - a % 4) * DAY)
    life.add(noon(life.oracle.first_day), CONVERSATIONS[b % 3])


def _horizon(life: Life, a: int, b: int, c: int) -> None:
    """Raw rows are purged; or it is only said, and they are still there."""
    life.horizon(life.oracle.now.date() - (b % 20) * DAY)
    begins_at = life.oracle.horizon
    if c % 3 and begins_at:
        life.drop(key for key, each in list(life.oracle.answers.items()) if each.at < begins_at)


def _prune(life: Life, a: int, b: int, c: int) -> None:
    life.prune(_period(life, (Grain.DAILY, Grain.DAILY, Grain.MONTHLY, Grain.WEEKLY)[a % 4], b))


def _alter(life: Life, a: int, b: int, c: int) -> None:
    """A row gets a token more, or goes."""
    stored = sorted(period for period, entry in life.oracle.entries.items() if entry.rows)
    for period in stored[a % len(stored) :][:1] if stored else ():
        altered = dict(life.oracle.entries[period].rows)
        user = sorted(altered)[b % len(altered)]
        row = altered.pop(user)
        life.alter(period, {**altered, user: row._replace(total=row.total + 1)} if c % 2 else altered)


def _run(life: Life, a: int, b: int, c: int) -> None:
    life.do(_period(life, GRAINS[a % 4], b))


def _run_twice(life: Life, a: int, b: int, c: int) -> None:
    """The second changes nothing."""
    period = _period(life, GRAINS[a % 4], b)
    life.do(period)
    before = life.oracle.entries.get(period)
    life.do(period)
    after = life.oracle.entries.get(period)
    is_same = before is after or (before and after and held(before) == held(after))
    life.require(is_same, "the second run", period, after, before)


def _run_range(life: Life, a: int, b: int, c: int) -> None:
    first = _period(life, GRAINS[a % 4], b)
    asked = life.ladder.span(first.grain, first.first, life.oracle.now.date())[: 2 + c % 5]
    for period in reversed(asked) if c % 2 else asked:
        life.do(period)


def _climb(life: Life, a: int, b: int, c: int) -> None:
    """A day, then what is made from it."""
    day = _period(life, Grain.DAILY, b).first
    for grain in GRAINS:
        life.do(life.of(grain, day))


def _call(life: Life, a: int, b: int, c: int) -> None:
    """The seed's function."""
    life.do(_period(life, GRAINS[a % 4], b), Intent.USER, USERS[c % 2])


def _restate(life: Life, a: int, b: int, c: int) -> None:
    intent = Intent.ACCEPT if c % 3 else Intent.RESTATE
    life.do(_period(life, GRAINS[a % 4], b), intent, (None, *USERS, None)[c % 4])


def _night(life: Life, a: int, b: int, c: int) -> None:
    life.night()


HAPPEN: Final[dict[str, Callable[[Life, int, int, int], None]]] = {
    function.__name__.strip("_"): function
    for function in (
        _answer, _answer_ahead, _late_answer, _many_answers, _edit, _move, _own, _delete,
        _delete_conversation, _lose, _hours_pass, _days_pass, _clock_is_set_back, _first_day_is_moved,
        _horizon, _prune, _alter, _run, _run_twice, _run_range, _climb, _call, _restate, _night,
    )
}  # fmt: skip
OFTEN: Final = {
    "answer": 2, "late_answer": 3, "many_answers": 2, "run": 5, "run_twice": 2, "run_range": 2, "climb": 3,
    "call": 3, "restate": 3, "hours_pass": 3, "days_pass": 2, "prune": 3,
}  # fmt: skip
KINDS: Final = [kind for kind in HAPPEN for _ in range(OFTEN.get(kind, 1))]


def written(seed: int) -> list[Step]:
    """The steps of one life; every other one begins with periods that are sealed, and maybe pruned."""
    rng = random.Random(seed)  # noqa: S311 - the same seed is the same life
    kinds = rng.choices(KINDS, k=rng.randrange(5, STEPS))
    if seed % 2:
        begun = [kind for _ in range(rng.randrange(1, 5)) for kind in ("answer", "many_answers", "days_pass")]
        gone = ["prune"] * rng.randrange(3)
        kinds = [*begun, "days_pass", "night", *gone, *kinds]
    return [Step(kind, *(rng.randrange(64) for _ in range(3))) for kind in kinds]


def play(engine: Engine, seed: int, steps: Sequence[Step]) -> None:
    """One life from its first step to its last; `Broken` if a rule does not hold."""
    life = Life(engine, SMALL if seed % REAL_EVERY else rungs.REAL)
    for step in steps:
        HAPPEN[step.kind](life, step.a, step.b, step.c)
    if seed % SETTLES_EVERY == 0:
        life.settle()


def failing(engine: Engine, seed: int) -> Broken | None:
    """The failure of the life of this seed, reported as the shortest life that still fails."""
    steps = written(seed)
    return shortest(engine, seed, steps) if broken(engine, seed, steps) else None


def shortest(engine: Engine, seed: int, steps: list[Step]) -> Broken:
    """Steps are left out, many at a time and then one by one, while what is left still fails."""
    size = len(steps)
    while size := size // 2 if size > 1 else 0:
        place = 0
        while place < len(steps):
            fewer = steps[:place] + steps[place + size :]
            if broken(engine, seed, fewer):
                steps = fewer
            else:
                place += size
    found = broken(engine, seed, steps)
    assert found
    return found


def broken(engine: Engine, seed: int, steps: Sequence[Step]) -> Broken | None:
    try:
        play(engine, seed, steps)
    except Broken as found:
        return found
    return None


def _picked(life: Life, a: int) -> list[UUID]:
    """One answer, if there is any."""
    answers = sorted(life.oracle.answers)
    return [answers[a % len(answers)]] if answers else []


def _period(life: Life, grain: Grain, b: int) -> Period:
    """The one that holds the last change, or any from the day before the first to the one to come."""
    place, is_elsewhere = divmod(b, 2)
    if not is_elsewhere:
        return life.of(grain, life.changed_day)
    days = (life.oracle.now.date() - life.oracle.first_day).days + 3
    return life.of(grain, life.oracle.now.date() + DAY - place % days * DAY)


def _instant(life: Life, b: int) -> datetime:
    """An hour of a day since the start; of today, also one to come."""
    days = (life.oracle.now.date() - life.oracle.first_day).days + 1
    return noon(life.oracle.now.date() - b % days * DAY) + timedelta(hours=b % 24 - 12)
