"""A stack of the product with the benchmark's chat in it: built once, kept below `.usage/bench`."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from benchmarks import child
from benchmarks.peers.place import Place
from benchmarks.world import data
from benchmarks.world.data import Shape, Size
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

    def connect(self, login: str = embedded.LOGIN) -> psycopg.Connection:
        connection = self.server.connect(embedded.DATABASE, login)
        connection.execute("set timezone = 'UTC'")
        return connection

    def run(self, name: str, /, *, login: str = embedded.LOGIN, **binds: object) -> list[tuple[Any, ...]]:
        """One of our own statements; what it returns, if it returns rows."""
        with self.connect(login) as connection:
            cursor = psycopg.ClientCursor(connection)  # binds of several statements, or of a view
            cursor.execute(statement(name), binds or None)
            return cursor.fetchall() if cursor.description else []

    def verb(self, *words: str, **variables: str) -> child.Ran:
        return child.verb(self.home, *words, variables=variables)

    def backfill(
        self, *assets: str, first: date | None = None, last: date | None = None, **variables: str
    ) -> child.Ran:
        """The product's own command over a range; all days unless said."""
        window = ("--from", str(first or self.first), "--to", str(last or self.last))
        return self.verb("backfill", *assets, *window, "--yes", **variables)

    def answers(self, days: int) -> int:
        """How many answers were given on the last days."""
        ((count,),) = self.run(
            "floor", first=self.last - timedelta(days=days - 1), until=self.last + timedelta(days=1)
        )
        return int(count)

    def durations(self, day: date) -> dict[str, float]:
        """Seconds of work on the day and on what holds it, by the product's own record, by rollup."""
        found = self.run("ledger_of_night", login="postgres", day=day)
        return {rollup: float(milliseconds) / 1000 for rollup, milliseconds in found}

    def empty(self) -> None:
        """Nothing computed: what the next run finds is the first night of a stack."""
        self.run("empty_ours", login="postgres")
        self.settle()

    def settle(self) -> None:
        """What was written before is on the disk before the next clock starts."""
        self.run("checkpoint", login="postgres")


def statement(name: str) -> bytes:
    return files("benchmarks").joinpath("sides", "sql", f"{name}.sql").read_bytes()


def with_names(name: str, *, mark: str | None = None, **names: str) -> sql.Composed:
    """A statement of ours with relations put in as identifiers, and a text as a literal."""
    given: dict[str, sql.Composable] = {
        key: sql.Identifier(*value.split(".")) for key, value in names.items()
    }
    return sql.SQL(statement(name).decode()).format(**given, mark=sql.Literal(mark))


@contextmanager
def held(name: str, shape: Shape, size: Size, say: Callable[[str], None]) -> Iterator[Stage]:
    """The stage of this name, made anew if it was made of other rows; its server runs while the body does."""
    server = embedded.of(FOLDER / name)
    wanted = _mark(shape, size)
    with ExitStack() as running:
        running.enter_context(embedded.held(server))
        if _made_of(server) != wanted:
            running.close()
            embedded.remove(server)
            shutil.rmtree(server.home)
            running.enter_context(embedded.held(server))
            say(f"making {name}: {size.day_count} days, {size.users} users, {shape} …")
            with server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
                data.fill(connection, shape, size)
                connection.execute(with_names("mark_database", database=embedded.DATABASE, mark=wanted))
        stage = Stage(server, size)
        stage.run("drop_ours", login="postgres")
        stage.verb("migrate", "apply")  # the checkout's own, whichever was there
        for setting in ("create_clock", "set_clock"):
            stage.run(setting, login="postgres", instant=_instant(stage.last))
        yield stage


def _made_of(server: Server) -> str | None:
    """What the rows were made of, once all were there."""
    with server.connect(embedded.DATABASE, "postgres") as connection:
        row = connection.execute(statement("mark_of_database")).fetchone()
    return row[0] if row else None


def _instant(last: date) -> datetime:
    """In the first hours of the day after the last one, as a nightly run starts."""
    return datetime.combine(last + timedelta(days=1), time(2), UTC)


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
