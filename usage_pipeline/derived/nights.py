"""When what happens unattended begins, in UTC as everything here."""

from datetime import datetime, time, timedelta
from typing import Final

SENSOR: Final = "automation"
"""What looks whether it is time, as Dagster's page names it."""
MINUTE: Final = 20
"""Of each hour: the open day."""
NIGHT: Final = time(2, 10)
"""Of each night: what is due; late enough for the last rows of the day before."""
EACH_HOUR: Final = f"{MINUTE} * * * *"
EACH_NIGHT: Final = f"{NIGHT.minute} {NIGHT.hour} * * *"


def next_hour(now: datetime) -> datetime:
    """The next time that the open day is computed."""
    this = now.replace(minute=MINUTE, second=0, microsecond=0)
    return this if this > now else this + timedelta(hours=1)


def next_night(now: datetime) -> datetime:
    """The next time that what is due is computed."""
    this = now.replace(hour=NIGHT.hour, minute=NIGHT.minute, second=0, microsecond=0)
    return this if this > now else this + timedelta(days=1)
