"""A stack of the product with the benchmark's chat in it: built once, kept below `.usage/bench`."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
BUILT: Final = "built"


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

    def empty(self) -> None:
        """Nothing computed: what the next run finds is the first night of a stack."""
        self.run("empty_ours", login="postgres")
        self.settle()

    def settle(self) -> None:
        """What was written before is on the disk before the next clock starts."""
        self.run("checkpoint", login="postgres")


def statement(name: str) -> bytes:
    return files("benchmarks").joinpath("sides", "sql", f"{name}.sql").read_bytes()


def with_names(name: str, **names: str) -> sql.Composed:
    """A statement of ours with relations put in as identifiers."""
    given = {key: sql.Identifier(*value.split(".")) for key, value in names.items()}
    return sql.SQL(statement(name).decode()).format(**given)


@contextmanager
def held(name: str, shape: Shape, size: Size, say: Callable[[str], None]) -> Iterator[Stage]:
    """The stage of this name, made anew if it was made of other rows; its server runs while the body does."""
    server = embedded.of(FOLDER / name)
    wanted = _mark(shape, size)
    if not (server.home / BUILT).exists() or (server.home / BUILT).read_text() != wanted:
        _forget(server)
        say(f"making {name}: {size.day_count} days, {size.users} users, {shape} …")
        with embedded.held(server), server.connect(embedded.DATABASE, embedded.LOGIN) as connection:
            data.fill(connection, shape, size)
        (server.home / BUILT).write_text(wanted)
    stage = Stage(server, size)
    with embedded.held(server):
        stage.verb("migrate", "apply")  # the checkout's own, whichever was there
        stage.run("create_clock", login="postgres")
        stage.run("set_clock", login="postgres", instant=_instant(stage.last))
        yield stage


def _instant(last: date) -> datetime:
    """In the first hours of the day after the last one, as a nightly run starts."""
    return datetime.combine(last + timedelta(days=1), time(2), UTC)


def _forget(server: Server) -> None:
    if server.home.exists():
        embedded.remove(server)
        shutil.rmtree(server.home)


def _mark(shape: Shape, size: Size) -> str:
    """Of what the rows are made: the statements that draw them and how many."""
    texts = sorted(files("benchmarks.world").joinpath("sql").iterdir(), key=lambda each: each.name)
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in texts)).hexdigest()
    return json.dumps({"shape": shape, **asdict(size), "statements": digest}, default=str)
