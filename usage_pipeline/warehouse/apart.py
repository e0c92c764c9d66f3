"""As root a server's data stand apart from the home of its stack: where, and whether they belong together.

They stay where they are when the home is deleted or moved. So both bear a mark: the next home at a path
does not take the data of an earlier one for its own, and one that was moved does not stand empty.
"""

import os
import secrets
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Final

from usage_pipeline.refusals import REFUSED, Refusal

DATA: Final = "postgres"
MARK_OF_HOME: Final = "server.id"
MARK_OF_FOLDER: Final = "made-by-usage-pipeline"
_PREFIX: Final = "usage-pipeline-"
_PLACES: Final = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - the folder's owner is looked at before use
"""Where programs keep what must last, else what outlives a start: on some systems that is swept monthly."""


def folder_of(home_mark: str) -> Path:
    """The folder of a home, which is told by a mark of its path."""
    usable = [each for each in _PLACES if os.access(each, os.W_OK)]
    return (usable or [Path(tempfile.gettempdir())])[0] / f"{_PREFIX}{home_mark}"


def require_ours(home: Path, folder: Path) -> None:
    """It may stand where everybody can make a folder, and what lies in it tells root what to do."""
    if os.path.lexists(folder) and not _is_roots(folder):
        raise Refusal(f"{folder} belongs to somebody else", fix="remove it and try again")
    if (refusal := estranged(home, folder)) is not None:
        raise refusal


def estranged(home: Path, folder: Path) -> Refusal | None:
    """Why the data at this place are not those of this home, if they are not."""
    ours, theirs = home / MARK_OF_HOME, folder / MARK_OF_FOLDER
    has_data = _is_roots(folder) and (folder / DATA).exists()
    if has_data and _text(ours) != _text(theirs):
        return Refusal(
            f"{folder} holds the data of another stack",
            why=f"{home} was deleted since, and they were not",
            fix=f"{_typed('rm', '-r', folder)} to start anew,"
            f" or {_typed('cp', theirs, ours)} to go on with them",
            exit_code=REFUSED,
        )
    if not has_data and (old := _marked_alike(home, folder)):
        return Refusal(
            f"the data of {home} stand in {old}",
            why="it was moved, or copied from another stack",
            fix=f"{_typed('mv', old, folder)} to go on with them, or {_typed('rm', ours)} to start anew",
            exit_code=REFUSED,
        )
    return None


def mark(home: Path, folder: Path) -> None:
    """From now on they belong together; no data are there yet."""
    home.mkdir(parents=True, exist_ok=True)
    text = secrets.token_hex(8)
    for marker in (home / MARK_OF_HOME, folder / MARK_OF_FOLDER):
        marker.write_text(text, encoding="utf-8")


def remove(home: Path, folder: Path) -> None:
    """Delete the folder, if it is one of ours."""
    if (folder / MARK_OF_FOLDER).exists():
        shutil.rmtree(folder)
    (home / MARK_OF_HOME).unlink(missing_ok=True)


def _marked_alike(home: Path, folder: Path) -> Path | None:
    """Another folder of ours that bears the mark of this home."""
    text = _text(home / MARK_OF_HOME)
    found = folder.parent.glob(f"{_PREFIX}*/{MARK_OF_FOLDER}") if text else ()
    others = (each.parent for each in found if each.parent != folder and _is_roots(each.parent))
    return next((each for each in others if _text(each / MARK_OF_FOLDER) == text), None)


def _is_roots(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == 0


def _text(marker: Path) -> str | None:
    return marker.read_text(encoding="utf-8") if marker.exists() else None


def _typed(*words: str | Path) -> str:
    return shlex.join(map(str, words))
