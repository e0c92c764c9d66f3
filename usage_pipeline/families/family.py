"""What a family of rollups is: its table, its measures by kind, its grains from the finest up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from importlib.resources import files

import sqlalchemy as sa

from usage_pipeline.periods import calendar


class Kind(StrEnum):
    """How a measure is made from several rows of one key."""

    SUM = "sum"
    SUM_OR_NULL = "sum or null"  # NULL: no row reported a value
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"  # the length of the array `of`
    IDS = "ids"  # what a distinct count is made from; NULL where the grain keeps none
    UNION = "union"  # a sorted array
    HISTOGRAM = "histogram"  # sorted buckets; their counts are in the array `of`
    COUNTS = "counts"  # of the buckets in the array `of`
    GENERATED = "generated"  # by the table, from other columns


@dataclass(frozen=True)
class Measure:
    """A column that a run writes; `meaning` is also its comment in the database.

    `includes` and `excludes` say what counts: {period} is the word of the grain. `raw` is the rule by which
    it is made from the source, `sources` the columns it reads there; it is `called` so outside of the table.
    """

    column: str
    kind: Kind
    meaning: str
    includes: str = ""
    excludes: str = ""
    of: str | None = None
    raw: str = ""
    sources: tuple[str, ...] = ()
    called: str = ""

    @property
    def named(self) -> str:
        """Its name where programs read it: in metadata and frames."""
        return self.called or self.column

    @property
    def words(self) -> str:
        """What a number of it is called in a sentence."""
        return self.named.removeprefix("total_").replace("_", " ")


@dataclass(frozen=True)
class Key:
    """A column that tells rows of one period apart; described like a measure."""

    column: str
    meaning: str
    includes: str = ""
    excludes: str = ""
    raw: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grain:
    """One asset: `row_period` is what a row covers, `run_period` what a run covers.

    `stored_as` is the value of the grain column. It is made from the grain `below`, or from raw rows, and its
    rows are pruned a whole period of the grain `pruned_with` at a time.
    """

    name: str
    stored_as: str
    row_period: calendar.Grain
    run_period: calendar.Grain
    below: str | None = None
    pruned_with: str | None = None
    keeps_ids: bool = True


@dataclass(frozen=True)
class State:
    """A way in which a source row is incomplete; `column` counts such rows, stored or only computed."""

    name: str
    column: str
    meaning: str


@dataclass(frozen=True)
class Watched:
    """A state, or `unattributed`, of which a check compares the share of a day with the weeks before."""

    state: str
    which: str
    when_red: str


@dataclass(frozen=True)
class Words:
    """What its rows and its source rows are called."""

    unit: str
    units: str
    event: str
    events: str


@dataclass(frozen=True, eq=False)  # one object each: statements are composed once for it
class Family:
    """A table of rollups, defined in `package`; `meaning` and `counts` say what a row holds.

    `guard` are the measures that rule 4d compares, the first counts source rows. `unit` is the column of the
    key that rule 4d keeps or restates whole; `nobody` the key values of what belongs to no known unit;
    `subtotal` those of a row that holds the sum of others. `contract` is the source's function, `instant` the
    `table.column` of its time, `usage_private.<name>_of_window` the family's own. A check says when the share
    of what is `watched` is unusual.
    """

    name: str
    package: str
    meaning: str
    counts: str
    table: sa.Table
    grain_column: str
    keys: tuple[Key, ...]
    unit: str
    measures: tuple[Measure, ...]
    guard: tuple[str, ...]
    states: tuple[State, ...]
    watched: tuple[Watched, ...]
    contract: str
    instant: str
    grains: tuple[Grain, ...]
    words: Words
    code_version: str
    nobody: Mapping[str, object] = field(default_factory=dict)
    subtotal: Mapping[str, object] = field(default_factory=dict)
    checksum_version: str = "v2"
    is_partitioned: bool = False

    @property
    def window(self) -> str:
        """The text of `usage_private.<name>_of_window`: source rows -> rows of one run."""
        return files(self.package).joinpath("window.sql").read_text(encoding="utf-8")

    @cached_property
    def key(self) -> tuple[str, ...]:
        """The columns of its key, beside grain and period."""
        return tuple(each.column for each in self.keys)

    @property
    def count(self) -> str:
        """The measure that counts source rows."""
        return self.guard[0]

    @cached_property
    def written(self) -> tuple[Measure, ...]:
        """The measures that a run writes; the table generates the others."""
        return tuple(each for each in self.measures if each.kind is not Kind.GENERATED)

    @cached_property
    def added(self) -> tuple[str, ...]:
        """The measures of which the sum over the rows below is the sum over the rows above."""
        return tuple(each.column for each in self.measures if each.kind in (Kind.SUM, Kind.SUM_OR_NULL))

    @cached_property
    def summed(self) -> tuple[str, ...]:
        """The measures of which the ledger keeps the sum."""
        kinds = (Kind.SUM, Kind.SUM_OR_NULL, Kind.DISTINCT)
        return tuple(each.column for each in self.measures if each.kind in kinds)

    def measure(self, column: str) -> Measure:
        """The measure of a column."""
        return next(each for each in self.measures if each.column == column)

    @cached_property
    def kept(self) -> tuple[Measure, ...]:
        """The measures of which the ledger says how much is kept beyond the source."""
        return tuple(self.measure(name) for name in self.guard if name in self.added)

    def grain(self, name: str) -> Grain:
        """The grain of an asset."""
        return next(each for each in self.grains if each.name == name)

    def below(self, grain: Grain) -> Grain | None:
        """The grain that this one is made from; None: from raw rows."""
        return self.grain(grain.below) if grain.below else None
