"""What `usage tokens` says below its numbers: what a reader must know before repeating one."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from usage_pipeline import settings
from usage_pipeline.cli import asked, usage_idle
from usage_pipeline.cli.usage_answer import Answer
from usage_pipeline.periods.calendar import Grain
from usage_pipeline.serving import periods

if TYPE_CHECKING:
    from usage_pipeline.serving.tokens import Coverage
    from usage_pipeline.settings import Settings

_ABOVE: Final = {Grain.DAILY: Grain.MONTHLY, Grain.WEEKLY: Grain.MONTHLY, Grain.MONTHLY: Grain.YEARLY}


def notes(answer: Answer, found: "Settings") -> Iterator[str]:
    """A sentence a fact."""
    yield from _completeness(answer)
    yield from _newer(answer)
    yield from _peculiarities(answer)
    if not answer.lines:
        yield usage_idle.words(answer)
    if answer.covered.first < answer.begins:
        yield f"No day before {answer.begins} is computed: {settings.program()} sources start DAY"
    if found.is_demo:
        yield f"These are the demo's data, in {found.home}."


def _completeness(answer: Answer) -> Iterator[str]:
    covered = answer.covered
    if covered.is_complete:
        yield f"Complete for {_these(answer)}, as of {covered.as_of:%Y-%m-%d %H:%M} UTC."
    if covered.missing:
        yield _missing(answer)
    elif covered.partial:
        yield _partial(answer)
    if covered.stale:
        yield _stale(answer)
    if covered.pruned:
        yield _pruned(answer)
    if covered.kept_messages:
        yield _kept(covered.kept_messages)


def _these(answer: Answer) -> str:
    """The periods and, of a coarser grain, how they stand."""
    unit, covered = periods.UNITS[answer.grain], answer.covered
    if answer.is_daily:
        return f"these {unit}s"
    return f"{f'this {unit}' if covered.computed_count <= 1 else f'these {unit}s'} ({_states(covered)})"


def _states(covered: "Coverage") -> str:
    """How many are sealed and how many open; of one alone, which it is."""
    sealed = len(covered.sealed)
    if covered.computed_count <= 1:
        return "sealed" if sealed else "open"
    return f"{sealed:,} sealed, {covered.computed_count - sealed:,} open"


def _missing(answer: Answer) -> str:
    return f"Incomplete, {_units(answer)} never computed: {_never_computed(answer, answer.covered)}"


def _never_computed(answer: Answer, covered: "Coverage") -> str:
    """What is below them may be missing too; `all` would ask for neighbours that lack days of their own."""
    missing, grains = covered.missing, periods.chain(answer.grain)
    return (
        f"{len(missing)}, the first is {_label(answer, missing[0])}: "
        f"{_backfill(answer, grains, missing[0], missing[-1])}"
    )


def _newer(answer: Answer) -> Iterator[str]:
    """Periods after the one shown: without usage, or not computed."""
    newer = answer.newer
    if newer is None:
        return
    if newer.newest:
        until = f", computed up to {newer.as_of:%Y-%m-%d %H:%M} UTC" if newer.partial else ""
        which = f"{newer.computed_count:,}, up to {_label(answer, newer.newest)} ({_states(newer)}){until}"
        yield f"Newer {_units(answer)} without usage: {which}."
    if newer.missing:
        yield f"Newer {_units(answer)} never computed: {_never_computed(answer, newer)}"


def _partial(answer: Answer) -> str:
    """A period is as far as what is below it: that comes first."""
    covered, grains = answer.covered, periods.chain(answer.grain)
    first, last = covered.partial[0], covered.partial[-1]
    done = f"{'read' if answer.is_daily else 'computed'} up to {covered.as_of:%Y-%m-%d %H:%M} UTC"
    command = _backfill(answer, grains, covered.as_of.date(), last)
    return f"Incomplete: {_label(answer, first)} is {done}: {command}"


def _stale(answer: Answer) -> str:
    """The periods below may be as stale: the lowest that are come first."""
    covered, grains = answer.covered, periods.chain(answer.grain)
    due = grains[grains.index(covered.stale_grains[0]) :]
    return (
        f"Incomplete, {_units(answer)} built from an older version of what is below them: "
        f"{len(covered.stale)}, the first is {_label(answer, covered.stale[0])}: "
        f"{_backfill(answer, due, covered.stale[0], covered.stale[-1])}"
    )


def _pruned(answer: Answer) -> str:
    pruned = answer.covered.pruned
    return (
        f"Incomplete, {_units(answer)} whose rows were pruned: {len(pruned)}, the first is "
        f"{_label(answer, pruned[0])}: {settings.program()} usage tokens --grain {_ABOVE[answer.grain]}"
    )


def _kept(count: int) -> str:
    messages = asked.count(abs(count), "message")
    if count < 0:
        return f"{messages} of the source {_are(-count)} not stored: what is sealed stays."
    command = f"{settings.program()} restatements --kept"
    return f"{messages} {_are(count)} stored that the source no longer has: {command}"


def _backfill(answer: Answer, grains: Sequence[Grain], first: date, last: date) -> str:
    """One command for them all, the finest first, for days that have come since the first one."""
    assets = " ".join(periods.asset(grain) for grain in grains)
    since, until = max(first, answer.begins), min(periods.last_day(answer.grain, last), answer.today)
    return f"{settings.program()} backfill {assets} --from {since} --to {until}"


def _label(answer: Answer, day: date) -> str:
    return periods.label(answer.grain, day)


def _units(answer: Answer) -> str:
    return f"{periods.UNITS[answer.grain]}s"


def _peculiarities(answer: Answer) -> Iterator[str]:
    unmetered, refused = answer.total("unmetered_messages"), answer.total("refused_messages")
    unsplit = sum(line.total_tokens - line.prompt_tokens - line.completion_tokens for line in answer.lines)
    if unsplit:
        yield f"{unsplit:,} of the total are not split into prompt and completion by their answers."
    if unmetered:
        yield f"{_answers(unmetered)} no tokens; they count as messages."
    if refused:
        form = f"{settings.program()} sources --all"
        yield f"{_answers(refused)} tokens that make no sense and count with 0: {form}"


def _answers(count: int) -> str:
    return f"{count:,} answer reports" if count == 1 else f"{count:,} answers report"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
