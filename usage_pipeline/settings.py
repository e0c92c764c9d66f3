"""The one gate for configuration: the environment, `.usage/current`, and the stack's `settings.toml`."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from dotenv import dotenv_values

from usage_pipeline import refusals
from usage_pipeline.refusals import Refusal

EARLIEST_START: Final = date(2000, 1, 1)
LONGEST_GRACE: Final = 3650
DEMO_MARKER: Final = "demo.marker"
CURRENT: Final = "current"
ENV_MARKER: Final = "# written by usage-pipeline: where the stack of this folder stands"
PACKAGE_ROOT: Final = Path(__file__).parent.parent


@dataclass(frozen=True)
class Settings:
    """Everything that can be set; the fields below `home` are the keys of `settings.toml`."""

    home: Path
    database_url: str | None = field(default=None, repr=False)  # None: the stack's own embedded server
    start: date | None = None  # the first day that has a partition; None: the database knows it
    token_source: str | None = None  # None: detected
    connections: int = 1  # how many periods are computed at once
    tokens_grace_days: int | None = None  # so long after its end a period is sealed; None: the database knows
    automation: bool = False  # whether what is due is computed unattended; on in the demo
    session_totals: bool = False  # whether Dagster may run that asset; `sources enable` writes it
    dagster_pg_url: str | None = field(default=None, repr=False)
    operators_instance: Path | None = None  # the exported DAGSTER_HOME; None: the stack has its own

    @property
    def is_demo(self) -> bool:
        return (self.home / DEMO_MARKER).exists()

    @property
    def dagster_home(self) -> Path:
        return self.operators_instance or self.home / "dagster"

    @property
    def embeds_dagster(self) -> bool:
        """Whether Dagster's own tables are on the embedded server."""
        return self.operators_instance is None and self.dagster_pg_url is None

    @property
    def file(self) -> Path:
        return self.home / "settings.toml"

    @property
    def first_day(self) -> date:
        """The first day that has a partition; refused while nobody has said it."""
        if self.start is None:
            raise Refusal(
                "the first day is not known",
                why="neither USAGE_START nor the database says it; `migrate apply` records it there",
                fix="$ migrate apply",
                exit_code=refusals.ATTENTION,
            )
        return self.start


HARMLESS_OPTIONS: Final = frozenset(
    (
        "host", "hostaddr", "port", "dbname", "user", "service", "passfile", "connect_timeout",
        "application_name", "client_encoding", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslsni",
        "sslnegotiation", "channel_binding", "require_auth", "gssencmode", "krbsrvname", "tcp_user_timeout",
        "target_session_attrs", "load_balance_hosts", "keepalives", "keepalives_idle", "keepalives_interval",
        "keepalives_count",
    )
)  # fmt: skip
"""What may follow the `?` of a URL that is stored; anything else may be a secret, or hold one."""

STORED: Final = (
    "database_url", "start", "token_source", "connections", "tokens_grace_days", "automation",
    "session_totals",
)  # fmt: skip
"""The keys a `settings.toml` may hold; each is also a variable, `USAGE_` + the key in upper case."""

OF_DATABASE: Final = frozenset(("start", "tokens_grace_days", "token_source", "session_totals", "automation"))
"""Those that are about one database: another one has its own."""


def root() -> Path:
    """The folder that holds the stack: beside our pyproject.toml in a checkout, else the current one."""
    return PACKAGE_ROOT if (PACKAGE_ROOT / "pyproject.toml").exists() else Path.cwd()


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force; a value that makes no sense is refused by name, never guessed."""
    given = dict(os.environ if environment is None else environment)
    home = Path(given.get("USAGE_HOME") or _home_in_force(given) or root() / ".usage").absolute()
    _require_folder(home)
    is_demo = (home / DEMO_MARKER).exists()
    stored = _read(home / "settings.toml")
    variables = {
        name: given[f"USAGE_{name.upper()}"] for name in STORED if given.get(f"USAGE_{name.upper()}")
    }
    values: dict[str, Any] = {**stored, **variables}
    if is_demo and values.pop("database_url", None):
        raise Refusal(
            f"USAGE_DATABASE_URL is set, but {home} is the demo's",
            why="the demo never touches another database than its own",
            fix="unset USAGE_DATABASE_URL, or USAGE_HOME",
            exit_code=refusals.REFUSED,
        )
    theirs = None if is_demo else _operators_instance(home, given)
    source = "the environment" if "start" in variables else str(home / "settings.toml")
    return Settings(
        home=home,
        database_url=values.get("database_url"),
        start=_day(values["start"], source) if "start" in values else None,
        token_source=values.get("token_source"),
        connections=_connections(values.get("connections"), is_ours="database_url" not in values),
        tokens_grace_days=_grace_days(values["tokens_grace_days"]) if "tokens_grace_days" in values else None,
        automation=_switch("automation", values.get("automation", "on" if is_demo else "off")),
        session_totals=_switch("session_totals", values.get("session_totals", "off")),
        dagster_pg_url=None if theirs or is_demo else given.get("DAGSTER_PG_URL"),
        operators_instance=theirs,
    )


def origin(found: Settings, key: str) -> str:
    """Where a value in force was set, as a person finds it."""
    variable = f"USAGE_{key.upper()}"
    return variable if os.environ.get(variable) else f"`{key}` in {found.file}"


def demo_home() -> Path:
    """The demo's stack: a folder of its own, unless one is named."""
    home = Path(os.environ.get("USAGE_HOME") or _demos_own()).absolute()
    _require_folder(home)
    return home


def is_demos_own(home: Path) -> bool:
    """Whether nothing but a demo was ever in this folder."""
    return home == _demos_own()


def _demos_own() -> Path:
    return root() / ".usage" / "demo"


def given_database_url() -> str | None:
    """The database that the environment names, whatever stack is in force."""
    return os.environ.get("USAGE_DATABASE_URL")


def ignored_instance(found: Settings) -> Path | None:
    """The exported DAGSTER_HOME of an operator, where the stack is the demo's, which uses its own alone."""
    return _operators_instance(found.home, os.environ) if found.is_demo else None


def _operators_instance(home: Path, given: Mapping[str, str]) -> Path | None:
    """The exported DAGSTER_HOME, unless it is the stack's own, as its processes and our `.env` have it."""
    text = given.get("DAGSTER_HOME")
    if not text:
        return None
    exported = Path(os.path.expanduser(text))  # as Dagster does: a user it does not know is no error
    is_own = os.path.realpath(exported) == os.path.realpath(home / "dagster")
    return None if is_own else exported


def is_under_root(home: Path) -> bool:
    """Whether a stack belongs to the folder whose commands look for `.usage/current`."""
    return home.is_relative_to(root())


def search_path() -> str:
    """Where programs are looked for; all that a server of ours inherits."""
    return os.environ.get("PATH", os.defpath)


def has_a_screen() -> bool:
    """Whether opening a browser would reach the person who typed."""
    return not {"CI", "SSH_CONNECTION"} & os.environ.keys()


def program() -> str:
    """The form in which the person types our verbs; hints repeat it."""
    return os.environ.get("USAGE_PROGRAM") or "usage-pipeline"


def stored(settings: Settings) -> Mapping[str, object]:
    """What `settings.toml` says."""
    return _read(settings.file)


def store(settings: Settings, **changes: object) -> None:
    """Write keys of `settings.toml` (None: remove it), keep the others, replace the file in one step."""
    _read(settings.file)  # what is there must make sense
    settings.home.mkdir(parents=True, exist_ok=True)
    with _alone(settings.home):
        _replace(settings, changes)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two that read and then replace would lose what one of them wrote."""
    try:
        import fcntl
    except ImportError:  # no such locks here
        yield
        return
    folder = os.open(home, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(settings: Settings, changes: Mapping[str, object]) -> None:
    lines = settings.file.read_text(encoding="utf-8").splitlines() if settings.file.exists() else []
    kept = [line for line in lines if line.partition("=")[0].strip() not in changes]
    given = {key: str(value) for key, value in sorted(changes.items()) if value is not None}
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in given.items()}
    added = [f"{key} = {text}" for key, text in texts.items()]
    text = "\n".join([*kept, *added, ""])
    _require_told(settings.file, text, changes)
    draft = settings.file.with_suffix(f".toml.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(settings.file)


def _require_told(file: Path, text: str, changes: Mapping[str, object]) -> None:
    """Lines are replaced one by one: what spans several, or is spelled another way, is left to its author."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = {}
    if any(found.get(key) != (None if value is None else str(value)) for key, value in changes.items()):
        raise Refusal(
            f"{file} is not changed",
            why=f"{' and '.join(sorted(changes))}: written there in a form that only its author can change",
            fix="write each key on a line of its own, without quotes around the key",
        )


def write_env_file(path: Path, variables: Mapping[str, str]) -> bool:
    """Write our `.env` for Dagster's own commands; one that is not ours is left alone (False)."""
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(ENV_MARKER):
        return False
    draft = path.with_name(path.name + ".new")
    draft.touch()
    draft.chmod(0o600)
    draft.write_text(env_lines(variables), encoding="utf-8")
    draft.replace(path)
    return True


def remove_env_file() -> bool:
    """Remove a `.env` of ours; one that is not ours is left alone (False)."""
    is_ours = home_of_env_file() is not None
    if is_ours:
        (root() / ".env").unlink()
    return is_ours


def export(variables: Mapping[str, str]) -> None:
    """Hand the stack's variables to Dagster in this process, which reads them from the environment."""
    os.environ.update(variables)
    if variables.get("USAGE_HOME") and (Path(variables["USAGE_HOME"]) / DEMO_MARKER).exists():
        os.environ.pop("USAGE_DATABASE_URL", None)


def env_lines(variables: Mapping[str, str]) -> str:
    """The text of our `.env`."""
    return "".join(
        [f"{ENV_MARKER}\n", *(f"{name}='{_quoted(value)}'\n" for name, value in variables.items())]
    )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


def home_of_env_file() -> str | None:
    """The stack that our `.env` names to Dagster's own commands, if there is one of ours."""
    file = root() / ".env"
    if not file.is_file() or not file.read_text(encoding="utf-8", errors="replace").startswith(ENV_MARKER):
        return None
    return dotenv_values(file).get("USAGE_HOME")


def current_home() -> Path | None:
    """The stack that the commands typed in this folder mean, if one was named."""
    file = root() / ".usage" / CURRENT
    named = file.read_text(encoding="utf-8", errors="surrogateescape").strip() if file.is_file() else ""
    return root() / named if named else None


def make_current(home: Path) -> None:
    """The commands typed in this folder mean this stack from now on, also where the folder is moved to."""
    file = root() / ".usage" / CURRENT
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{CURRENT}.{os.getpid()}")
    draft.write_text(f"{home.relative_to(root())}\n", encoding="utf-8", errors="surrogateescape")
    draft.replace(file)


def _home_in_force(given: Mapping[str, str]) -> Path | None:
    home = current_home()
    if home and given.get("USAGE_DATABASE_URL") and (home / DEMO_MARKER).exists():
        return None  # whoever names a database does not mean the demo
    return home


def _require_folder(home: Path) -> None:
    """The stack's folder may be missing; nothing else may stand in its way."""
    there = next(each for each in (home, *home.parents) if each.exists())
    if not there.is_dir():
        raise Refusal(
            f"{there} is no folder",
            why=f"the stack stands in {home}",
            fix="move it away, or name another folder with USAGE_HOME",
        )


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise Refusal(f"{file} cannot be read", why=str(error), fix="mend the line it names") from None
    for key, value in values.items():
        if not isinstance(value, str | int | date):
            raise Refusal(
                f"`{key}` in {file} cannot be used", why="it must be a text", fix="correct the line"
            )
    if _may_hold_a_secret(str(values.get("database_url", ""))):
        raise Refusal(
            f"{file} holds a password",
            why="a file is copied, backed up and shown",
            fix="leave the password out there and set USAGE_DATABASE_URL, or use a password file (.pgpass)",
            exit_code=refusals.REFUSED,
        )
    unknown = sorted(set(values) - set(STORED))
    if unknown:
        known = ", ".join(STORED)
        raise Refusal(
            f"{file} has an unknown key `{unknown[0]}`", why=f"it may hold {known}", fix="remove the line"
        )
    return values


def _may_hold_a_secret(url: str) -> bool:
    options = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    return bool(re.search(r"://[^/@]*:[^@]*@", url)) or not options <= HARMLESS_OPTIONS


def _connections(value: object, *, is_ours: bool) -> int:
    """As many as there are cores at most; on a database that is not ours one core is left to its writers."""
    cores = os.cpu_count() or 1
    if value is None:
        return cores if is_ours else max(1, cores - 1)
    text = str(value)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= cores:
        raise Refusal(
            f"`{value}` connections cannot be used",
            why=f"it must be a number from 1 to {cores}, the cores of this machine",
            fix="correct USAGE_CONNECTIONS, or leave it out",
            exit_code=refusals.USAGE,
        )
    return int(text)


def _grace_days(value: object) -> int:
    """At least a day: what comes in around midnight is never late."""
    text = str(value)
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= LONGEST_GRACE:
        raise Refusal(
            f"a grace of `{value}` days cannot be used",
            why=f"it must be a number from 1 to {LONGEST_GRACE}",
            fix="correct USAGE_TOKENS_GRACE_DAYS, or leave it out",
            exit_code=refusals.USAGE,
        )
    return int(text)


def _switch(name: str, value: object) -> bool:
    if value not in ("on", "off"):
        raise Refusal(
            f"`{name}` cannot be `{value}`",
            why="it must be `on` or `off`",
            fix=f"correct USAGE_{name.upper()}, or leave it out",
            exit_code=refusals.USAGE,
        )
    return value == "on"


def _day(value: object, source: str) -> date:
    try:
        day = value if type(value) is date else date.fromisoformat(str(value))
    except ValueError:
        day = date.min
    if not EARLIEST_START <= day <= datetime.now(UTC).date():
        raise Refusal(
            f"the start `{value}` in {source} is no usable date",
            why=f"it must be written YYYY-MM-DD, from {EARLIEST_START} to today",
            fix="correct it there",
            exit_code=refusals.USAGE,
        )
    return day


assert {*STORED} <= {each.name for each in fields(Settings)}
