"""What an analyst sees of the assets changes on purpose, and is read when it does."""

from usage_pipeline_tests import graph


def test_the_graph_is_the_one_that_was_read() -> None:
    drawn = graph.drawn()
    assert drawn == graph.FILE.read_text(encoding="utf-8"), (
        "read the difference; python -m usage_pipeline_tests.graph writes the new one"
    )


def test_every_column_of_every_asset_has_a_meaning() -> None:
    assert "None" not in graph.drawn()
    assert ": \n" not in graph.drawn()
