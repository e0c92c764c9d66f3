"""A few days around a change of month: a source that grows at every step, and what is stored of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from usage_pipeline.engine import run as engine
from usage_pipeline.engine.run import Ran
from usage_pipeline.periods.calendar import Grain, Window, window, windows
from usage_pipeline.warehouse.connections import Warehouse
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline.warehouse.roles import Role
from usage_pipeline_tests.derived.gates import Call, Chooser, Runner, Stage
from usage_pipeline_tests.factories import Chat, set_clock, set_policy

FIRST: Final = date(2026, 1, 28)
DAY: Final = date(2026, 1, 29)
USERS: Final = (UUID(int=1), UUID(int=2))
BELOW: Final = {"weekly": "daily", "monthly": "daily", "yearly": "monthly"}
KEPT: Final = ("public.chat_messages_v2", "usage.user_token_usage", "usage.rollup_ledger")
Sums = dict[UUID, tuple[int, int]]
"""Messages and tokens of each user."""


def call(grain: str, intent: str = "run", day: date = DAY) -> Call:
    """The run of the period that holds a day; the seed's function is of the first user."""
    user_id = USERS[0] if intent == "user" else None
    return Call(f"tokens_{grain}", window(Grain(grain), day).start, intent, user_id)


@dataclass
class Stored:
    """One row of the ledger and the rows it tells of."""

    grain: str
    whole: Window
    state: str
    covered_until: datetime
    checksum: str
    below: dict[str, str]
    sums: Sums
    true_checksum: str

    @property
    def is_called_complete(self) -> bool:
        return self.state == "sealed" or (self.state == "open" and self.covered_until == self.whole.end)


class World:
    """One database: what the application holds, what is stored, and the runs on it."""

    def __init__(self, server: Server, database: str, chat: Chat, warehouse: Warehouse) -> None:
        self.server, self.database, self.chat, self.warehouse = server, database, chat, warehouse
        with warehouse.begin(Role.WRITER) as connection:
            set_policy(connection, first_day=FIRST, grace_days=7)
            for grain in ("daily", "weekly", "monthly", "yearly"):
                connection.exec_driver_sql(
                    "select usage_private.ensure_partitions(%s, '2026-01-01', '2026-02-20')", (grain,)
                )
        self.stage = Stage(server, database)
        self.master = self.stage.master
        self.master.execute("set session_replication_role = replica")  # what is put back passes the seal
        self.master.execute("create schema kept")

    def begin(self, now: datetime, *computed: str, is_daily_run: bool) -> None:
        """Each user has an answer every day; the other days and these grains are computed."""
        self.steps = 0
        self.read: dict[UUID, tuple[int, int]] = {}
        set_clock(self.master, now)
        for table in (*KEPT, "usage.restatements"):
            self.master.execute(f"delete from {table}".encode())  # noqa: S608
            self.master.execute(f"vacuum {table}".encode())
        self._fill()
        for each in windows(Grain.DAILY, FIRST, now.date()):
            if is_daily_run or each.start.date() != DAY:
                self.run(call("daily", day=each.start.date()))
        for grain in computed:
            for each in windows(Grain(grain), FIRST, now.date()):
                self.run(call(grain, day=each.start.date()))
        for table in KEPT:
            self.master.execute(f"drop table if exists kept.{table.partition('.')[2]}".encode())
            self.master.execute(f"create table kept.{table.partition('.')[2]} as table {table}".encode())

    def run(self, what: Call) -> Ran:
        """One run by itself; nothing is stopped."""
        with self.warehouse.begin(Role.WRITER) as connection:
            return engine.run(connection, what.order)

    def play(self, chooser: Chooser, *calls: Call) -> list[Runner]:
        """The runs step by step; before each step the day's source grows."""
        self._put_back()
        self.read.clear()
        with self.stage.playing(*calls) as runners:
            while options := [runner for runner in runners if runner.can_go_on]:
                self.grow()
                runner = chooser.pick(options)
                reads = runner.place == "looked" and runner.call.rollup == "tokens_daily"
                found = self._read_by(runner) if reads else {}
                self.stage.go_on(runner)
                if runner.place != "refused":  # what is refused after its look reads nothing
                    self.read.update(found)
        return runners

    def stored(self) -> dict[tuple[str, date], Stored]:
        """Everything that stands."""
        return {(each.grain, each.whole.start.date()): each for each in self._stored()}

    def source(self, whole: Window) -> Sums:
        """What the application says of a window now."""
        return self._sums(
            "select session.user_id, count(*), sum((message.metadata ->> 'tokens')::bigint)"
            " from public.chat_messages_v2 message"
            " join public.conversation_sessions session using (conversation_id)"
            " where message.created_at >= %s and message.created_at < %s group by 1",
            whole.start, whole.end,
        )  # fmt: skip

    def _stored(self) -> Iterator[Stored]:
        rows = self.master.execute(
            "select rollup, period_start, period_end, state, covered_until, checksum, below"
            " from usage.rollup_ledger order by 1, 2"
        ).fetchall()
        for rollup, start, end, state, covered_until, checksum, below in rows:
            grain = rollup.removeprefix("tokens_")
            sums = self._sums(
                "select user_id, message_count, total_tokens from usage.user_token_usage"
                " where period_type = %s and period_start = %s",
                grain, start,
            )  # fmt: skip
            (found,) = self.master.execute(
                "select checksum from usage_private.stored_of_period(%s, %s, %s)", [rollup, start, end]
            )
            yield Stored(grain, Window(start, end), state, covered_until, checksum, below, sums, found[0])

    def _sums(self, query: str, *binds: object) -> Sums:
        return {
            user: (count, int(total)) for user, count, total in self.master.execute(query.encode(), binds)
        }

    def _read_by(self, runner: Runner) -> Sums:
        found = self.source(window(Grain.DAILY, DAY))
        user = runner.call.user_id
        return found if user is None else {user: found[user]}

    def _fill(self) -> None:
        self.conversations = [self.chat.session(user_id=user).conversation_id for user in USERS]
        for each in windows(Grain.DAILY, FIRST, date(2026, 2, 3)):
            for conversation in self.conversations:
                self.chat.answer({"tokens": 10}, at=each.start, conversation_id=conversation)

    def grow(self) -> None:
        """One more answer of one user, and one more token of another answer."""
        at = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(minutes=self.steps + 1)
        self.steps += 1
        self.chat.answer({"tokens": 1}, at=at, conversation_id=self.conversations[self.steps % 2])
        self.master.execute(
            "update public.chat_messages_v2 set metadata = jsonb_build_object('tokens', 10 + %s)"
            " where created_at = %s",
            [self.steps, datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)],
        )

    def _put_back(self) -> None:
        self.steps = 0
        with self.master.transaction():
            self.master.execute("delete from usage.restatements")
            for table in KEPT:
                self.master.execute(f"delete from {table}".encode())  # noqa: S608
                self.master.execute(f"insert into {table} table kept.{table.partition('.')[2]}".encode())


@contextmanager
def opened(server: Server, database: str, chat: Chat, warehouse: Warehouse) -> Iterator[World]:
    """The world of one test module."""
    chat.connection.execute("insert into auth.users (id) select unnest(%s::uuid[])", [list(USERS)])
    world = World(server, database, chat, warehouse)
    try:
        yield world
    finally:
        world.stage.close()
