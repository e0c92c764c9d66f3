"""A table in any width: what is dropped first, what gets shorter, and what never does."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from usage_pipeline.cli import console
from usage_pipeline.cli.table import Column, Table

COLUMNS: Final = [
    Column("User", is_name=True), Column("Count", is_number=True),
    Column("Share", is_number=True, goes=2), Column("Seen", goes=1),
]  # fmt: skip
ID: Final = "0f3c2a9e-1111-4222-8333-0123456789ab"
NAMES: Final = st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "Cc"]), max_size=90)
TOTAL: Final = ["Total", "9,999,999,999,999", "100.0%", ""]


def shown(rows: Sequence[Sequence[str]], width: int) -> str:
    """What a terminal of this width gets."""
    file = StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "output", lambda: Console(file=file, soft_wrap=True, width=width))
        Table(COLUMNS, rows, TOTAL).show("A title")
    return file.getvalue()


@given(
    st.lists(
        st.tuples(
            st.uuids().map(str)
            | st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "Cc"]), max_size=90),
            st.integers(0, 10**13).map("{:,}".format),
            st.just("1.0%"),
            st.just("2026-01-10 09:00"),
        ),
        max_size=4,
    ),
    st.integers(20, 140),
)
def test_in_any_width_ids_and_numbers_stay_whole(rows: list[tuple[str, ...]], width: int) -> None:
    found = shown(rows, width)
    for name, count, *_ in rows:
        assert count in found
        assert name in found or not re.fullmatch("[0-9a-f-]{36}", name)
    in_columns = "│" in found.partition("\n")[2]
    if in_columns and not any("│" in name for name, *_ in rows):
        assert all(cell_len(line) <= width for line in found.splitlines())


def test_names_get_shorter_before_a_column_goes() -> None:
    long = "Ada Augusta Byron King-Noel, Countess of Lovelace"
    rows = [[long, "1", "1.0%", "2026-01-10 09:00"]]
    wide, narrower, narrow = (shown(rows, width) for width in (140, 80, 75))
    assert f"│ {long[:39]}… │" in wide
    assert "2026-01-10 09:00" in narrower
    assert f"│ {long[:27]}… │" in narrower
    assert "2026-01-10 09:00" not in narrow
    assert f"│ {long[:39]}… │" in narrow
    with_id = shown([*rows, [ID, "1", "1.0%", ""]], 80)
    assert f"│ {ID} " in with_id
    assert "Seen" not in with_id, "a column goes where an id needs its place"
