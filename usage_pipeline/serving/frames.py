"""`read`: stored usage as a tidy pandas frame, the same numbers as `usage tokens`."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from usage_pipeline.periods import calendar
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.refusals import USAGE, Refusal
from usage_pipeline.serving import tokens
from usage_pipeline.warehouse import session
from usage_pipeline.warehouse.connections import Role

if TYPE_CHECKING:
    import pandas
    from sqlalchemy import Connection

ROLLUPS: Final = ("tokens_daily",)
KEYS: Final = ("day", "user")
COUNTS: Final = (
    "messages", "conversations", "prompt_tokens", "completion_tokens", "total_tokens",
    "unmetered_messages", "refused_messages",
)  # fmt: skip


def read(rollup: str, period: str, *, by: Collection[str] = KEYS) -> "pandas.DataFrame":
    """Usage of a day, month or year (`2026-10-05`, `2026-10`, `2026`), one row for each `by`.

    `by` holds any of `day` and `user`; conversations are distinct within a row, so they do not add up.
    `frame.attrs` says whether the period is `complete`, as of when (`as_of`), and its `missing_days`.
    """
    _require(rollup, ROLLUPS, "a rollup")
    for key in by:
        _require(key, KEYS, "a key to group by")
    first, last = span(period)
    with session.opened() as (found, warehouse), warehouse.begin(Role.READER) as connection:
        rows = tokens.rows_of_range(connection, first, last, by_user="user" in by, by_day="day" in by)
        known = _known(connection, first, last, begins=found.start)
    frame = _frame([dict(row) for row in rows], by)
    frame.attrs.update(known)
    return frame


def _known(connection: "Connection", first: date, last: date, *, begins: date) -> dict[str, object]:
    """What is complete of a period; days to come are no gap, and today is one until it is over."""
    today = datetime.now(UTC).date()
    if first > today:
        return {"complete": False, "as_of": None, "missing_days": []}
    covered = tokens.coverage(connection, first, min(last, today), begins=begins)
    complete = covered.is_complete and last <= today
    return {"complete": complete, "as_of": covered.as_of, "missing_days": list(covered.missing)}


def span(period: str) -> tuple[date, date]:
    """The first and last day of a day, month or year as a person writes it."""
    grains = {4: Grain.YEARLY, 7: Grain.MONTHLY, 10: Grain.DAILY}
    try:
        grain = grains[len(period)]
        day = date.fromisoformat(period + "-01-01"[len(period) - 4 :] if len(period) < 10 else period)
    except (KeyError, ValueError):
        raise Refusal(
            f"`{period}` is no period", fix="write 2026, 2026-10 or 2026-10-05", exit_code=USAGE
        ) from None
    return calendar.floor(grain, day), calendar.following(grain, day) - timedelta(days=1)


def _frame(rows: list[dict[str, object]], by: Collection[str]) -> "pandas.DataFrame":
    """Columns in one order with one type each, whether there are rows or not; counts hold 2^63."""
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["day", "user_id", "label", *COUNTS, "last_activity"])
    frame["day"] = pd.to_datetime(frame["day"], utc=True)
    frame["last_activity"] = pd.to_datetime(frame["last_activity"], utc=True)
    frame["label"] = [tokens.label_of(*pair) for pair in zip(frame["user_id"], frame["label"], strict=True)]
    frame = frame.astype({"user_id": "string", "label": "string", **dict.fromkeys(COUNTS, "int64")})
    unasked = [*([] if "day" in by else ["day"]), *([] if "user" in by else ["user_id", "label"])]
    return frame.drop(columns=unasked).rename(columns={"label": "user"})


def _require(word: str, known: Collection[str], what: str) -> None:
    if word not in known:
        raise Refusal(f"`{word}` is not {what}", fix=f"use one of {', '.join(known)}", exit_code=USAGE)
