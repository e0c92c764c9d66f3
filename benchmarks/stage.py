"""A stack of the product with the benchmark's chat in it: built once, kept below `.usage/bench`."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import psycopg
from psycopg import sql

from benchmarks import child
from benchmarks.peers.place import Place
from benchmarks.world import data
from benchmarks.world.data import Shape, Size
from usage_pipeline.periods.calendar import midnight
from usage_pipeline.warehouse import embedded
from usage_pipeline.warehouse.embedded import Server

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / ".usage" / "bench"


@dataclass(frozen=True)
class Stage:
    """One database of one shape and size, its server running."""

    server: Server
    size: Size

    @property
    def home(self) -> Path:
        return self.server.home

    @property
    def first(self) -> date:
        return self.size.first_day

    @property
    def last(self) -> date:
        return self.size.first_day + timedelta(days=self.size.day_count - 1)

    def place(self) -> Place:
        """The same database as a peer is told of it."""
        scratch = FOLDER / "peers"
        scratch.mkdir(parents=True, exist_ok=True)
        return Place(
            host=str(self.server.sockets), database=embedded.DATABASE, user=embedded.LOGIN,
            folder=scratch, first=self.first, last=self.last,
        )  # fmt: skip

    def connect(self, login: str = embedded.LOGIN, database: str = embedded.DATABASE) -> psycopg.Connection:
        connection = self.server.connect(database, login)
        connection.execute("set timezone = 'UTC'")
        return connection

    def run(
        self,
        name: str,
        /,
        *,
        login: str = embedded.LOGIN,
        database: str = embedded.DATABASE,
        names: Mapping[str, str] | None = None,
        **binds: object,
    ) -> list[tuple[Any, ...]]:
        """One of our own statements; what it returns, if it returns rows."""
        with self.connect(login, database) as connection:
            return _execute(connection, name, names or {}, binds)

    def timed(
        self, name: str, /, *, login: str = embedded.LOGIN, settings: str = "", **binds: object
    ) -> tuple[float, list[tuple[Any, ...]]]:
        """The seconds of a statement and what it returns, in a session of its own with these settings."""
        with self.connect(login) as connection:
            if settings:
                _execute(connection, settings, {}, binds)
            began = perf_counter()
            rows = _execute(connection, name, {}, binds)
            return perf_counter() - began, rows

    def verb(self, *words: str) -> child.Ran:
        return child.run(self.home, "usage_pipeline", words, {})

    def backfill(
        self,
        *assets: str,
        first: date | None = None,
        last: date | None = None,
        module: str = "usage_pipeline",
        **variables: str,
    ) -> child.Ran:
        """The product's own command over a range, all days unless said; a module may run it and watch."""
        window = ("--from", str(first or self.first), "--to", str(last or self.last))
        return child.run(self.home, module, ("backfill", *assets, *window, "--yes"), variables)

    def first_of_last(self, count: int) -> date:
        """The first of the last days."""
        return self.last - timedelta(days=count - 1)

    def set_clock(self, day: date) -> None:
        """What the database takes for the time: the small hours of a day, as a nightly run starts."""
        self.run("set_clock", login="postgres", instant=midnight(day) + timedelta(hours=2))

    def answers(self, days: int) -> int:
        """How many answers were given on the last days."""
        until = midnight(self.last + timedelta(days=1))
        ((count,),) = self.run("floor", first=midnight(self.first_of_last(days)), until=until)
        return int(count)

    def durations(self, day: date) -> dict[str, float]:
        """Seconds of work on the day and on what holds it, by the product's own record, by rollup."""
        found = self.run("ledger_of_night", login="postgres", day=day)
        return {rollup: float(milliseconds) / 1000 for rollup, milliseconds in found}

    def worked(self, *rollups: str) -> float:
        """Seconds of work on all their periods, by the product's own record, added up over connections."""
        ((seconds,),) = self.run("worked", login="postgres", rollups=list(rollups))
        return float(seconds)

    def empty(self) -> None:
        """Nothing computed: what the next run finds is the first night of a stack."""
        self.run("empty_ours", login="postgres")
        self.settle()

    def settle(self) -> None:
        """What was written before is on the disk before the next clock starts."""
        self.run("checkpoint", login="postgres")


def statement(name: str) -> bytes:
    return files("benchmarks").joinpath("sides", "sql", f"{name}.sql").read_bytes()


def _execute(
    connection: psycopg.Connection, name: str, names: Mapping[str, str], binds: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """Relations are put in as identifiers, values by the client: views and several statements take none."""
    cursor = psycopg.ClientCursor(connection)
    relations = {key: sql.Identifier(*value.split(".")) for key, value in names.items()}
    text = sql.SQL(statement(name).decode()).format(**relations) if names else statement(name)
    cursor.execute(text, binds or None)
    return cursor.fetchall() if cursor.description else []


@contextmanager
def held(name: str, shape: Shape, size: Size, say: Callable[[str], None]) -> Iterator[Stage]:
    """The stage of this name, made anew if it was made of other rows; its server runs while the body does."""
    server = embedded.of(FOLDER / name)
    stage = Stage(server, size)
    wanted = _mark(shape, size)
    with ExitStack() as running:
        if embedded.estranged(server):
            embedded.remove(server)
        running.enter_context(embedded.held(server))
        if stage.run("mark_of_database", login="postgres") != [(wanted,)]:
            running.close()
            embedded.remove(server)
            shutil.rmtree(server.home)
            running.enter_context(embedded.held(server))
            say(f"making {name}: {size.day_count} days, {size.users} users, {shape} …")
            with server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
                data.fill(connection, shape, size)
            stage.run("mark_database", names={"database": embedded.DATABASE}, mark=wanted)
        stage.run("drop_ours", login="postgres")
        stage.verb("migrate", "apply")  # the checkout's own, whichever was there
        stage.run("create_clock", login="postgres")
        stage.set_clock(stage.last + timedelta(days=1))
        yield stage


def _mark(shape: Shape, size: Size) -> str:
    """Of what the rows, and what is kept beside them, are made: statements, and how many rows they draw."""
    rows = files("benchmarks.world").joinpath("sql").iterdir()
    beside = (
        each
        for each in files("benchmarks").joinpath("sides", "sql").iterdir()
        if each.name.startswith(("create_plain", "plain_events", "plain_rows", "seed_copy"))
    )
    tables = files("usage_pipeline.demo").joinpath("sql", "application.sql")
    texts = sorted((*rows, *beside, tables), key=lambda each: each.name)
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in texts)).hexdigest()
    return json.dumps({"shape": shape, **asdict(size), "statements": digest}, default=str)
