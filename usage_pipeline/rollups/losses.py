"""Large days whose source has lost most of their rows: how many are compared, and what a person can do."""

from typing import Final

NEWEST_DAYS: Final = 35
"""So many days are compared with their source after every run: an open one has been sealed long before."""
PATIENCE_MS: Final = 2000
RESTATE: Final = (
    "$ restate {asset} --from {first} --to {last} --reason WHY --accept-loss if they are really to go"
)
PURGED: Final = "$ sources horizon {after} if raw rows were purged"
