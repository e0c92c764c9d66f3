"""How the verbs speak: data on standard output, narration on standard error, plain when nobody watches."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import MAXYEAR, date, datetime
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from usage_pipeline.periods import clock

_SILENCE: Final = 20.0
"""Seconds after which a log is told that work goes on."""
_ENDLESS: Final = 100_000
narration: Final = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Day(click.ParamType[date]):
    """A UTC day as a person says it."""

    name = "day"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "DAY"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        known = {"today": clock.today(), "yesterday": clock.yesterday()}
        try:
            day = known.get(str(value)) or date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"`{value}` is no day: write YYYY-MM-DD, today or yesterday", param, ctx)
        if day.year == MAXYEAR:  # its last week, month and year have no end that a date can name
            self.fail(f"`{value}` is too late: give a day before {MAXYEAR}", param, ctx)
        return day


DAY: Final = Day()


def output() -> Console:
    """Standard output as a person or a pipe wants it; a line that is longer than it is never cut."""
    return Console(highlight=False, emoji=False, soft_wrap=True, width=_width())


def _width() -> int | None:
    """The terminal's, and where there is none nothing limits a line."""
    return None if sys.stdout.isatty() else _ENDLESS


def narrate(text: str, style: str | None = None) -> None:
    """Say it if anybody listens; a terminal that is gone must not break off the work."""
    with suppress(OSError):
        narration.print("\n".join(map(printable, text.split("\n"))), style=style, markup=False)


def printable(text: str) -> str:
    """Somebody else's text on one line of a terminal, whatever they put into it."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


@contextmanager
def step(text: str) -> Iterator[list[str]]:
    """One line when it is done, with the time it took; words added to the list end the line."""
    began = time.perf_counter()
    words: list[str] = []
    if narration.is_terminal:
        narration.print(f"… {text}", end="\r", markup=False)
    yield words
    told = f"✓ {text}" + (f" · {' · '.join(words)}" if words else "")
    narrate(f"{told:<69} {time.perf_counter() - began:6.1f} s")


class Bar:
    """How far a long piece of work is: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, progress: Progress, text: str, total: int) -> None:
        self.progress, self.text, self.total = progress, text, total
        self.done = 0
        self.told_at = time.monotonic()
        self.task = progress.add_task(f"{text}, starting", total=total)

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        self.progress.update(self.task, advance=1, description=self.text)
        if not narration.is_terminal and time.monotonic() - self.told_at > _SILENCE:
            self.told_at = time.monotonic()
            narrate(f"  {self.text}: {self.done:,} of {self.total:,}")


@contextmanager
def bar(text: str, total: int) -> Iterator[Bar]:
    """Shown while the body works, gone when it is done."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=narration, transient=True, disable=not narration.is_terminal) as progress:
        yield Bar(progress, text, total)


def emit_json(data: object, **meta: object) -> None:
    """One document on standard output."""
    document = {"schema": "usage-pipeline/1", "ok": True, "data": data, "meta": meta}
    click.echo(json.dumps(document, default=_plain, indent=2))


def _plain(value: Any) -> object:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
