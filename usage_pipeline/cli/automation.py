"""`automation [on | off]`: whether what is due is computed unattended, and the switch for it."""

from dataclasses import dataclass
from datetime import UTC, datetime

import click

from usage_pipeline import settings
from usage_pipeline.cli import console, graphql, lock, stack
from usage_pipeline.derived import nights
from usage_pipeline.periods import clock
from usage_pipeline.refusals import Refusal
from usage_pipeline.settings import Settings
from usage_pipeline.warehouse import dagster_instance, session

_PATIENCE = 10.0  # seconds for one answer of the page


@dataclass(frozen=True)
class State:
    """Whether it is on, and when it looked and ran; the instants are known while a stack runs."""

    is_on: bool
    runs: bool
    starts: str = "up"
    looked: datetime | None = None
    asked: datetime | None = None
    """When it last asked for a run."""

    def document(self) -> dict[str, object]:
        """For JSON."""
        now = clock.now()
        return {
            "on": self.is_on, "stack_runs": self.runs, "last_look": self.looked, "last_request": self.asked,
            "next_hour": nights.next_hour(now), "next_night": nights.next_night(now),
        }  # fmt: skip

    def __str__(self) -> str:
        now = clock.now()
        if not self.is_on:
            return f"off: {settings.program()} automation on"
        hour, night = nights.next_hour(now), nights.next_night(now)
        plan = f"the open day at {hour:%H:%M}, what is due at {night:%Y-%m-%d %H:%M} UTC"
        if not self.runs:
            return f"on, once the stack runs: {settings.program()} {self.starts}; then {plan}"
        asked = f"last asked for a run {self.asked:%Y-%m-%d %H:%M}" if self.asked else "asked for no run yet"
        looked = (
            f"looked {(now - self.looked).total_seconds():.0f} s ago" if self.looked else "did not look yet"
        )
        return f"on, {looked}, {asked}; next {plan}"


@click.command()
@click.argument("switch", required=False, type=click.Choice(["on", "off"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def automation(switch: str | None, as_json: bool) -> None:
    """Say what is computed unattended and when, or switch it on or off.

    On: the open day each hour, each night what is due by the ledger, and the weeks, months and years
    whose days changed. It runs while `up` does, and makes up for the nights it missed.
    """
    found = settings.load()
    if switch:
        _switch(found, is_on=switch == "on")
        found = settings.load()
    now = state(found)
    if as_json:
        console.emit_json(now.document(), home=found.home)
    else:
        click.echo(f"automation {console.printable(str(now))}")


def state(found: Settings) -> State:
    """As the running stack has it, else as its settings say."""
    address = _address(found)
    if address is None:
        if found.operators_instance:
            return _operators_state(found)
        return State(found.automation, runs=False, starts=stack.verb(found))
    is_on, looked, asked = graphql.sensor(address, nights.SENSOR, seconds=_PATIENCE)
    return State(is_on, runs=True, looked=looked, asked=asked)


def _operators_state(found: Settings) -> State:
    """As the operator's instance has it, whose daemon is no child of ours."""
    from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

    with dagster_instance.opened(found) as instance:
        beat = dagster_instance.heartbeat(instance)
        known = next((each for each in instance.all_instigator_state() if each.name == nights.SENSOR), None)
        if known is None:
            return State(found.automation, runs=beat is not None and beat.is_fresh)
        of = (known.instigator_origin_id, known.selector_id)
        looked = instance.get_ticks(*of, limit=1)
        asked = instance.get_ticks(*of, limit=1, statuses=[TickStatus.SUCCESS])
    switched = {InstigatorStatus.RUNNING: True, InstigatorStatus.STOPPED: False}
    return State(
        switched.get(known.status, found.automation),
        runs=beat is not None and beat.is_fresh,
        looked=_instant(looked[0].timestamp) if looked else None,
        asked=_instant(asked[0].timestamp) if asked else None,
    )


def _instant(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _switch(found: Settings, *, is_on: bool) -> None:
    """In the settings, for the next start; and where Dagster keeps the switch, for the stack that runs."""
    settings.store(found, automation="on" if is_on else "off")
    address = _address(found)
    if address is None:
        _forget_the_switch(found)
        if found.operators_instance:
            console.narrate("A code location that is loaded already follows once it is reloaded.")
        return
    try:
        graphql.switch_sensor(address, nights.SENSOR, is_on=is_on, seconds=_PATIENCE)
    except graphql.NO_ANSWER as error:
        raise Refusal(
            f"the stack's page at {address} did not take the switch",
            why=str(error),
            fix="wait until it answers and give the same command again",
        ) from None


def _forget_the_switch(found: Settings) -> None:
    """What was switched on the page would outlive the settings: the next start follows them again."""
    if not found.dagster_home.exists():
        return
    with session.opened(dagster=True):
        stack.prepare(found)
        from dagster._core.scheduler.instigation import InstigatorStatus

        with dagster_instance.opened(found) as instance:
            for known in instance.all_instigator_state():
                if known.name == nights.SENSOR:
                    instance.update_instigator_state(known.with_status(InstigatorStatus.DECLARED_IN_CODE))


def _address(found: Settings) -> str | None:
    holder = lock.holder(found.home)
    return holder.address if holder else None
