"""The first line of a file of rows: what they are, of which table, and how to tell that they are whole."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Self

_FORMAT: Final = "usage-pipeline/rows/1"
_NO_DIGEST: Final = "0" * 64


@dataclass(frozen=True)
class Head:
    """What a file says of itself. `taken`: the columns that were dropped, None where the table was."""

    table: str
    revision: str
    taken: tuple[str, ...] | None
    columns: tuple[str, ...]
    key: tuple[str, ...]
    counters: Mapping[str, int]
    server: str
    saved_at: str
    rows: int = 10**18  # until they are counted: no head gets longer
    sha256: str = _NO_DIGEST  # of the rows below: `tail -n +2 FILE | sha256sum`

    @property
    def file_name(self) -> str:
        what = self.table if self.taken is None else f"{self.table}.columns"
        return f"{what}.{self.revision}.{self.saved_at.replace('-', '').replace(':', '')}.rows"

    @property
    def line(self) -> bytes:
        """With a digest of its own, so that nobody's slip in it goes unseen."""
        told = {"format": _FORMAT, **asdict(self)}
        return json.dumps({**told, "head_sha256": _digest(told)}).encode()

    @classmethod
    def read(cls, line: bytes) -> Self:
        """ValueError, TypeError, KeyError or AttributeError where it is no line that `line` has written."""
        told = json.loads(line)
        digest = told.pop("head_sha256")
        if told["format"] != _FORMAT or digest != _digest(told):
            raise ValueError(line[:100])
        del told["format"]
        lists = {name: tuple(told[name]) for name in ("columns", "key")}
        return cls(**{**told, **lists, "taken": None if told["taken"] is None else tuple(told["taken"])})


def _digest(told: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
