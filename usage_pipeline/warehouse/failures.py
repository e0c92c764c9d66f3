"""What the database says, in our words: what, why and the fix on one line, without a row or a secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError

from usage_pipeline import refusals
from usage_pipeline.refusals import ATTENTION, FAILED, REFUSED, Refusal


class Unusable(Refusal):
    """The database cannot do its work now; whatever is asked next will fail as well."""


class ConnectionLost(Unusable):
    """The database is not there, or no longer."""


class LockHeld(Refusal):
    """Somebody held what was asked for longer than its caller was willing to wait."""


class Pending(Refusal):
    """What was asked for is made by `migrate apply`."""


class Missing(Refusal):
    """A statement names what the database does not have, or has in another type; ours or theirs."""


class Denied(Refusal):
    """A statement needs a right that the session does not have."""


class TooSlow(Refusal):
    """A statement took longer than its caller was willing to wait."""


@dataclass(frozen=True)
class _Sentence:
    """What one kind of failure is called; without a `why` the server's own first sentence stands there."""

    what: str
    fix: str
    why: str = ""
    kind: type[Refusal] = Refusal

    def refusal(self, place: str, said: str) -> Refusal:
        return self.kind(self.what.format(place=place), why=self.why or said, fix=self.fix)


_LOST: Final = _Sentence(
    "the connection to {place} was lost",
    why="nothing of this step was stored",
    fix="run it again",
    kind=ConnectionLost,
)
_NOT_READY: Final = _Sentence(
    "the database {place} takes nobody in now",
    fix="wait until it has started, then run it again",
    kind=ConnectionLost,
)
_CROWDED: Final = _Sentence(
    "the database {place} has no connection left",
    fix="close others, raise its limit or lower USAGE_CONNECTIONS",
    kind=Unusable,
)
_NO_ENTRY: Final = _Sentence(
    "the database {place} refuses the login",
    fix="correct the user and the password in USAGE_DATABASE_URL or in the password file",
    kind=ConnectionLost,
)
_NO_PASSWORD: Final = _Sentence(
    "the database {place} asks for a password, and none was given",
    fix="give it in USAGE_DATABASE_URL, or in the password file",
    kind=ConnectionLost,
)
_UNKNOWN: Final = _Sentence(
    "the server of {place} has no such database or login",
    fix="correct its name in USAGE_DATABASE_URL, or create it",
    kind=ConnectionLost,
)
_NO_SUCH_CHARACTER: Final = _Sentence(
    "the database {place} cannot hold a character that was asked for",
    fix="leave it out, or spell it in the letters of the database's encoding",
)
_MET: Final = _Sentence(
    "two transactions waited for each other, and this one gave way",
    why="nothing of this step was stored",
    fix="run it again; who calls the seed's function often in one transaction begins with the year",
)
_SENTENCES: Final = {
    "2BP01": _Sentence(
        "something in {place} that is not ours depends on what would be dropped",
        fix="drop it first, or move it elsewhere",
    ),
    "40P01": _MET,
    "22021": _NO_SUCH_CHARACTER,
    "22P05": _NO_SUCH_CHARACTER,
    "25006": _Sentence(
        "the database {place} is read-only",
        fix="point USAGE_DATABASE_URL at the primary server, without default_transaction_read_only",
        kind=Unusable,
    ),
    "53100": _Sentence(
        "the disk of the server of {place} is full",
        fix="make room on it, then run it again: what is committed stays",
        kind=Unusable,
    ),
    "53200": _Sentence(
        "the server of {place} is out of memory",
        fix="lower USAGE_CONNECTIONS, or give it more, then run it again",
        kind=Unusable,
    ),
    "53300": _CROWDED,
    "55P03": _Sentence(
        "a lock was not had in time",
        why="another run of the same period, a migration or the application's own DDL holds it",
        fix="run it again",
        kind=LockHeld,
    ),
    "57014": _Sentence("a statement of {place} was cancelled", fix="run it again", kind=TooSlow),
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": _NOT_READY,
}
_OURS: Final = {"UP001": FAILED, "UP004": REFUSED}
"""The codes of our own functions, and how a verb ends that meets one."""
_BEFORE_A_SESSION: Final = {
    "the database system is": _NOT_READY,
    "too many": _CROWDED,
    "connection slots are reserved": _CROWDED,
    "no more connections allowed": _CROWDED,
    "password authentication failed": _NO_ENTRY,
    "no password supplied": _NO_PASSWORD,
    "SASL authentication failed": _NO_ENTRY,
    '" does not exist': _UNKNOWN,
}
"""Words of the server's (or of a pooler's) while it lets nobody in: they come without a code."""


@contextmanager
def told(place: str) -> Iterator[None]:
    """Whatever the driver raises in the body, by itself or by way of SQLAlchemy, in our words."""
    try:
        yield
    except psycopg.Error as error:
        raise _refusal(error, place) from None
    except DBAPIError as error:
        raise _plainly(error, place) from None


def _plainly(error: DBAPIError, place: str) -> Refusal:
    """What a statement was refused with."""
    if not isinstance(error.orig, psycopg.Error):
        return Refusal(f"the database {place} failed", why=type(error.orig).__name__)
    return _refusal(error.orig, place)


def _refusal(error: psycopg.Error, place: str) -> Refusal:
    if error.sqlstate is None:
        return _LOST.refusal(place, "")
    if error.sqlstate in _OURS:
        return _ours(error, _OURS[error.sqlstate])
    if error.sqlstate in _SENTENCES:
        return _SENTENCES[error.sqlstate].refusal(place, _primary(error))
    what = f"the database refused ({error.sqlstate})"
    if error.sqlstate == "42501":
        fix = "$ migrate sql prints what a login with the right may run"
        return Denied(what, why=_primary(error), fix=fix)
    if error.sqlstate.startswith("42") or error.sqlstate == "3F000":
        return Missing(what, why=_primary(error), fix="$ doctor says what is missing")
    return Refusal(what, why=_primary(error), fix="$ doctor looks for the cause")


def _ours(error: psycopg.Error, exit_code: int) -> Refusal:
    """What a function of ours refuses: it says what, why and the fix itself."""
    fix = refusals.as_fix(error.diag.message_hint or "")
    return Refusal(_primary(error), why=error.diag.message_detail or "", fix=fix, exit_code=exit_code)


def unreachable(reason: str, place: str) -> Refusal:
    """Why there is no session, by what the server or a pooler said."""
    for words, sentence in _BEFORE_A_SESSION.items():
        if words in reason:
            return sentence.refusal(place, reason)
    return ConnectionLost(
        f"the database {place} cannot be reached",
        why=reason,
        fix="check that it runs and USAGE_DATABASE_URL, or unset that to use the embedded server",
    )


def role_refused(error: psycopg.Error, role: str, place: str) -> Refusal:
    """Why a session may not become one of our roles."""
    if error.sqlstate == "22023":
        return pending(f"the role {role} does not exist")
    if error.sqlstate == "42501":
        return Refusal(
            f"this login may not act as {role}",
            why="the role was made by another login",
            fix=f"as its maker or a superuser run: grant {role} to the login of USAGE_DATABASE_URL",
        )
    if error.sqlstate is None:
        return unreachable((str(error).strip().splitlines() or [type(error).__name__])[0], place)
    if error.sqlstate in _SENTENCES:
        return _SENTENCES[error.sqlstate].refusal(place, _primary(error))
    return Refusal("the session could not be set up", why=_primary(error))


def too_old(major: int, oldest: int, place: str) -> Refusal:
    """A server older than we promise."""
    return Refusal(
        f"PostgreSQL {major} ({place}) is too old",
        why=f"version {oldest} or newer is needed",
        fix="point USAGE_DATABASE_URL at a newer server",
    )


def shared_session(place: str, *, reads: bool) -> Refusal:
    """A pooler that would hand our roles to other clients, and theirs to us; `reads`: it serves readers."""
    return Refusal(
        f"a connection pooler in front of {place} shares sessions between clients",
        why="it pools by transaction, through which what is stored can be read and no more"
        if reads
        else "it pools by statement, which keeps no transaction together",
        fix="let USAGE_DATABASE_URL lead to the database's own port, or to a pooler in session mode"
        " (Supabase: port 5432 instead of 6543)",
        exit_code=REFUSED,
    )


def pending(why: str) -> Pending:
    """What `migrate apply` makes is not made yet."""
    return Pending("migrations are pending", why=why, fix="$ migrate apply", exit_code=ATTENTION)


def _primary(error: psycopg.Error) -> str:
    """The server's first sentence; its DETAIL may carry a row and stays behind."""
    return error.diag.message_primary or type(error).__name__
