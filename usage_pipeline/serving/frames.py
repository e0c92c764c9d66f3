"""`read`: stored usage as a tidy pandas frame, the same numbers as `usage tokens`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from sqlalchemy import Connection

from usage_pipeline.families.tokens import TOKENS
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.rollups import readiness
from usage_pipeline.rollups.rollup import ROLLUPS, Rollup
from usage_pipeline.serving import limits, lines, people, periods, stored, tokens
from usage_pipeline.warehouse import policy, session
from usage_pipeline.warehouse.roles import Role

if TYPE_CHECKING:
    import pandas

_OF_USERS: Final = frozenset(grain.name for grain in TOKENS.grains)
"""What is added up by user, with names."""
COUNTS: Final = (
    "messages", "conversations", "prompt_tokens", "completion_tokens", "total_tokens",
    "unmetered_messages", "refused_messages",
)  # fmt: skip


def read(rollup: str, period: str, *, by: Collection[str] | None = None) -> "pandas.DataFrame":
    """Usage of the days, weeks, months or years that begin in a period, one row for each `by`.

    `rollup` is an asset's name, as `tokens_daily`; `period` a day, ISO week, month or year (`2026-10-05`,
    `2026-W41`, `2026-10`, `2026`). A week begins on its Monday: one that straddles New Year is the old
    year's. Of tokens `by` holds any of `user` and the rollup's own `day`, `week`, `month` or `year`, both if
    left out; other families give their rows as they are stored. Conversations are distinct within a row, so
    they do not add up, and <NA> where what is stored does not tell. `frame.attrs` says whether all is
    `complete`, as of when (`as_of`), its `missing_days` (`missing_weeks` …), and its `kept_messages`, which
    are stored though the source has them no longer; of a coarser grain also its `stale_weeks` …, which are
    older than their days. A period before the first day or to come is refused, and so is a rollup of which
    nothing was computed yet.
    """
    _require(rollup, ROLLUPS)
    of, is_of_users = ROLLUPS[rollup], rollup in _OF_USERS
    grain = of.grain
    keys = (periods.UNITS[grain], "user") if is_of_users else ()
    for key in by or ():
        _require(key, keys)
    asked = keys if by is None else by
    first, last = _range(of, period, asked)
    with (
        session.opened() as (found, warehouse),
        readiness.explained(warehouse),
        warehouse.begin(Role.READER) as connection,
    ):
        today, begins = tokens.today(connection), policy.require(connection, found, of.family.name).first_day
        if tokens.latest_day(connection, rollup) is None:
            raise limits.nothing_computed(of, begins=begins, today=today)
        has_begun = periods.span(period)[0] <= today < first
        words = periods.label(grain, first) if has_begun else period
        limits.require_reachable(words, first, last, begins=begins, today=today)
        covered = tokens.of_rollup(connection, of, first, min(last, today), begins=begins)
        frame = (
            _of_users(connection, of, first, last, asked)
            if is_of_users
            else stored.frame(connection, of, first, last)
        )
    frame.attrs.update(covered.facts())
    frame.attrs.update(complete=covered.is_complete and last <= today, kept_messages=covered.kept_messages)
    return frame


def _of_users(
    connection: Connection, rollup: Rollup, first: date, last: date, by: Collection[str]
) -> "pandas.DataFrame":
    """Added up by user or period or both, each user with a name."""
    grain = rollup.grain
    rows = lines.rows_of_range(
        connection, first, last, grain=grain, by_user="user" in by, by_period=periods.UNITS[grain] in by
    )
    return _frame(rows, people.labels(connection, [row["user_id"] for row in rows]), grain, by)


def _range(rollup: Rollup, period: str, by: Collection[str]) -> tuple[date, date]:
    """The first and last day of what begins in a period."""
    grain, unit = rollup.grain, rollup.grain.unit
    starts = periods.beginning_in(grain, *periods.span(period))
    if not starts:
        raise Refusal(
            f"no {unit} begins in {period}",
            fix=f"ask for a longer period, or of a finer rollup than {rollup.name}",
            exit_code=USAGE,
        )
    if rollup.name in _OF_USERS and len(starts) > 1 and unit not in by and not rollup.level.keeps_ids:
        raise Refusal(
            f"the conversations of several {unit}s do not add up",
            why=f"{rollup.name} stores how many, not which",
            fix=f"read it by {unit}, or read {rollup.level.below}",
            exit_code=USAGE,
        )
    return starts[0], periods.last_day(grain, starts[-1])


def _frame(
    rows: Sequence[Mapping[str, Any]], known: Mapping[UUID, str], grain: Grain, by: Collection[str]
) -> "pandas.DataFrame":
    """Columns in one order with one type each, whether there are rows or not; counts hold 2^63."""
    import pandas as pd

    unit = periods.UNITS[grain]
    frame = pd.DataFrame(
        [dict(row) for row in rows], columns=["period", "user_id", "label", *COUNTS, "last_activity"]
    )
    frame["period"] = pd.to_datetime(frame["period"], utc=True)
    frame["last_activity"] = pd.to_datetime(frame["last_activity"], utc=True)
    frame["label"] = [people.label_of(each, known.get(each)) for each in frame["user_id"]]
    frame = frame.astype({"user_id": "string", "label": "string", **_types(grain, by)})
    unasked = [*([] if unit in by else ["period"]), *([] if "user" in by else ["user_id", "label"])]
    return frame.drop(columns=unasked).rename(columns={"label": "user", "period": unit})


def _types(grain: Grain, by: Collection[str]) -> dict[str, str]:
    """Conversations over all users may be unknown where a grain stores only how many each has."""
    is_known = "user" in by or periods.rollup(grain).level.keeps_ids
    return dict.fromkeys(COUNTS, "int64") | {"conversations": "int64" if is_known else "Int64"}


def _require(word: str, known: Collection[str]) -> None:
    """In the words in which the command line refuses a choice."""
    if word not in known:
        choices = ", ".join(f"'{each}'" for each in known)
        raise Refusal(f"'{word}' is not one of {choices}", fix="use one of them", exit_code=USAGE)
