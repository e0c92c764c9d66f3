"""What the metadata of an answer says, in every shape: the source, the oracle and a person agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from usage_pipeline.demo import oracle
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.sources import shapes
from usage_pipeline_tests.sources.conftest import opened
from usage_pipeline_tests.sources.reading import Event, Refused, Share, event, imbalance
from usage_pipeline_tests.sources.shapes import SHAPES


@dataclass(frozen=True)
class Read:
    """Every shape as one answer each, and what the three functions say of it, by the shape's name."""

    oracle: dict[str, oracle.Usage]
    events: dict[str, Event]
    shares: dict[str, dict[str | None, Share]]
    refusals: dict[str, Refused]


@pytest.fixture(scope="module")
def read(server: Server) -> Iterator[Read]:
    """Written once for the whole page, which changes nothing."""
    with opened(server) as source:
        answers: dict[str, object] = {}
        names: dict[UUID, str] = {}
        with source.chat.connection.transaction():
            for name, shape in SHAPES.items():
                message = source.chat.answer(None, raw_metadata=shape.raw)
                answers[name], names[message.id] = message.metadata, name
        yield Read(
            {name: oracle.read_usage(metadata) for name, metadata in answers.items()},
            {names[event_id]: found for event_id, found in source.events().items()},
            {names[event_id]: found for event_id, found in source.shares().items()},
            {names[event_id]: found for event_id, found in source.refusals().items()},
        )


def test_the_table_is_whole() -> None:
    """A name given twice would silently drop a shape."""
    places, values = 12, 1 + len(shapes.ACCEPTED_VALUES) + len(shapes.REFUSED_VALUES)
    assert sum(name.startswith("values: ") for name in SHAPES) == places * values
    assert len(set(shapes.REFUSED_VALUES)) == len(shapes.REFUSED_VALUES)
    assert len(SHAPES) - places * values > 100


def test_events_are_what_a_person_reads(read: Read) -> None:
    """Source and oracle, written by the same hand, could be wrong together."""
    found = {name: read.events.get(name) for name in SHAPES}
    assert found == {name: shape.event for name, shape in SHAPES.items()}


def test_events_are_what_the_oracle_reads(read: Read) -> None:
    """The oracle proves every other number of this house; where it differs it proves nothing."""
    assert read.events == {name: event(usage) for name, usage in read.oracle.items()}


def test_calls_add_up_to_their_event(read: Read) -> None:
    """A cost computed per model must cover exactly the tokens that are counted per user."""
    balances = {name: imbalance(found, read.shares.get(name, {})) for name, found in read.events.items()}
    assert {name: why for name, why in balances.items() if why} == {}


def test_calls_stand_with_the_model_that_was_paid(read: Read) -> None:
    """A cheap helper's tokens at the main model's price, or the other way round, is a wrong bill."""
    expected = {name: shape.split for name, shape in SHAPES.items() if shape.split is not None}
    assert {name: read.shares.get(name) for name in expected} == expected


def test_refusals_name_the_first_field_that_makes_no_sense(read: Read) -> None:
    """A refused answer that nobody can find would be a number missing without a trace."""
    refused = {name: shape for name, shape in SHAPES.items() if shape.event.state == "refused"}
    assert {name: found.field for name, found in read.refusals.items()} == {
        name: shape.field for name, shape in refused.items()
    }
    assert {name: read.oracle[name].refused_field for name in refused} == {
        name: shape.field for name, shape in refused.items()
    }
    assert {found.reason for found in read.refusals.values()} == {
        "is no list", "is no object", "is no whole number from 0 to 10^12",
    }  # fmt: skip


def test_refusals_show_the_value_but_not_a_book(read: Read) -> None:
    """A whole document in a field of the chat must not travel into a report."""
    values = {name: found.value for name, found in read.refusals.items()}
    assert max(len(value) for value in values.values() if value is not None) == 40
    expected = {name: shape.value for name, shape in SHAPES.items() if shape.value is not None}
    assert {name: values[name] for name in expected} == expected
    assert [name for name, value in values.items() if value is None] == []
