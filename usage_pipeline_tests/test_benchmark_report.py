"""What the table of speeds says of two numbers; the page in `docs` is made of the numbers beside it."""

import json
import re
from xml.etree import ElementTree

import pytest

from benchmarks import rounds
from benchmarks.peers.place import Failed
from benchmarks.report import chart, page, table
from benchmarks.rounds import Side
from benchmarks.rows import Row, at_least, at_most


@pytest.mark.parametrize(
    ("row", "ratio", "is_met"),
    [
        (Row("w", "x", 2, other="o", theirs=1, bar=at_most(2)), 2, True),
        (Row("w", "x", 2.1, other="o", theirs=1, bar=at_most(2)), 2.1, False),
        (Row("w", "x", 1, other="o", theirs=2, bar=at_least(2)), 2, True),
        (Row("w", "x", 1, other="o", theirs=1.9, bar=at_least(2)), 1.9, False),
        (Row("w", "x", 3, other="o", theirs=2), 1.5, None),
        (Row("w", "x", 0, "rows", bar=at_most(0)), None, True),
        (Row("w", "x", 1, other="o", theirs=0, bar=at_most(3)), None, False),
        (Row("w", "x", 0, other="o", theirs=1, bar=at_least(3)), None, True),
        (Row("w", "x", 1, "rows", bar=at_most(0)), None, False),
        (Row("w", "x", 1, other="could not be installed", bar=at_least(2)), None, None),
    ],
)
def test_a_ratio_is_held_to_its_bar(row: Row, ratio: float | None, is_met: bool | None) -> None:
    assert row.ratio == (pytest.approx(ratio) if ratio is not None else None)
    assert row.is_met is is_met


def test_sides_take_turns_and_the_median_counts() -> None:
    heard: list[str] = []
    seconds = iter([3.0, 1.0, 2.0])

    def run() -> float:
        heard.append("first")
        return next(seconds)

    def break_off() -> float:
        heard.append("second")
        raise Failed("a tool: exit code 1\nits last line")

    first = Side("first", run, before=lambda: heard.append("before"))
    second = Side("second", break_off)
    rounds.alternate([first, second], 3, lambda _: None)
    assert heard == ["before", "first", "second", "before", "first", "before", "first"]
    assert first.seconds == 2.0
    assert second.seconds is None
    assert second.failure == "a tool: exit code 1 its last line"


def test_the_page_and_the_chart_are_made_of_the_numbers() -> None:
    """Neither is written by hand: `python3 dev.py bench` writes all three."""
    found = json.loads(page.DOCUMENT.read_text(encoding="utf-8"))
    assert found["size"] == "full"
    assert page.PAGE.read_text(encoding="utf-8") == page.of(found)
    assert page.CHART.read_text(encoding="utf-8") == chart.of(found)
    ElementTree.fromstring(page.CHART.read_bytes())  # noqa: S314 - our own file


def test_every_missed_bar_of_the_page_is_explained() -> None:
    found = json.loads(page.DOCUMENT.read_text(encoding="utf-8"))
    text = page.of(found)
    assert "not explained yet" not in text
    assert "$" not in re.sub(r"`[^`]*`", "", text)
    assert text.count("[missed]") == sum(row["met"] is False for row in found["rows"])


def test_every_side_that_was_asked_for_is_on_the_page() -> None:
    """The parallel count, the seed twice, its view, pandas, SQLMesh and dbt; and every work."""
    found = json.loads(page.DOCUMENT.read_text(encoding="utf-8"))
    others = {row["other"] for row in found["rows"] if row["work"] == "fill"}
    for wanted in ("floor", "loop, with its index", "loop, without", "view", "pandas", "SQLMesh", "dbt"):
        assert any(wanted in other for other in others), wanted
    works = {row["work"] for row in found["rows"]}
    assert works == {
        "fill", "again", "climb", "command", "night", "dagster", "writers", "memory", "llm_calls", "steps",
    }  # fmt: skip


def test_a_line_of_the_table_reads_as_a_person_would_say_it() -> None:
    row = Row(
        "fill", "first fill", 7.512, other="the loop", theirs=234000.0, bar=at_least(300), note="sampled"
    )
    assert table.cells(row.document()) == [
        "first fill", "7.51 s", "the loop", "65 h", "31,150 ×", "≥ 300", "met (sampled)",
    ]  # fmt: skip


def test_no_text_of_a_person_is_lost_in_the_chart() -> None:
    found = json.loads(page.DOCUMENT.read_text(encoding="utf-8"))
    picture = ElementTree.fromstring(page.CHART.read_bytes())  # noqa: S314 - our own file
    drawn = "".join(picture.itertext())
    for row in found["rows"]:
        if row["work"] == "fill" and row["theirs"] is not None:
            assert row["other"] in drawn
