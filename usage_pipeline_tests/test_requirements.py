"""The requirements page tells the truth: each name in it exists, or does not yet, and no wish is left out."""

import ast
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psycopg
import pytest
from click.exceptions import NoArgsIsHelpError

from usage_pipeline import definitions
from usage_pipeline.cli.program import program
from usage_pipeline.rollups.rollup import ROLLUPS
from usage_pipeline.sources.adapters import ADAPTERS
from usage_pipeline.warehouse.embedded import Server
from usage_pipeline_tests.conftest import TEMPLATE, cloned
from usage_pipeline_tests.requirements import WISHES

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / "docs"
TEXT: Final = (FOLDER / "requirements.md").read_text(encoding="utf-8")
OPEN: Final = "not yet"
SPAN: Final = re.compile(r"`([^`]+)`")
TEST: Final = re.compile(r"`(usage_pipeline_tests/[\w/]+\.py)::(test_\w+)`")
RELATION: Final = r"(?:usage|usage_private|usage_parts|public|auth)\.\w+"
KINDS: Final = {
    kind: re.compile(shape)
    for kind, shape in {
        "command": r"(?:usage-pipeline|python3 dev\.py) (.+)",
        "option": r"(--[a-z-]+)",
        "asset": r"asset (\w+)",
        "adapter": r"adapter (\w+)",
        "package": r"package ([\w-]+)",
        "role": r"role (\w+)",
        "schema": r"schema (\w+)",
        "policy": rf"policy (\w+ on {RELATION})",
        "index": rf"((?:unique )?index {RELATION} \(.+\))",
        "function": rf"({RELATION})\(\)",
        "table": rf"({RELATION})",
        "column": rf"({RELATION}\.\w+(?: [a-z ]+(?:\[\])?)?)",
        "python": r"(usage_pipeline(?:\.\w+)+)",
        "file": r"([\w./-]+/|[\w./-]*\w\.(?:py|sql|md|toml|yaml|lock))",
    }.items()
}


@dataclass(frozen=True)
class Row:
    """One wish: in whose words, what answers it, and the tests that show it."""

    section: str
    wish: str
    answer: str
    tests: str

    @property
    def is_open(self) -> bool:
        return self.tests == OPEN

    @property
    def there(self) -> list[str]:
        """What the answer says is there."""
        return SPAN.findall(self.answer.partition(OPEN)[0])

    @property
    def to_come(self) -> list[str]:
        """What the answer says is not there yet."""
        return SPAN.findall(self.answer.partition(OPEN)[2])


def rows(text: str) -> Iterator[Row]:
    """The rows of every table of the page, without headings and rules."""
    section = ""
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.startswith("|") and not line.startswith("|--") and not following.startswith("|--"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            assert len(cells) == 3, line
            yield Row(section, *cells)


ROWS: Final = list(rows(TEXT))


def kinds_of(name: str) -> list[str]:
    """The kinds a name has the shape of; a page that can be checked has one for each."""
    return [kind for kind, shape in KINDS.items() if shape.fullmatch(name)]


@dataclass(frozen=True)
class Known:
    """Every name there is, by its kind; commands, files and Python's names are asked for one by one."""

    names: dict[str, set[str]]

    def has(self, name: str) -> bool:
        matches = [(kind, match.group(1)) for kind in KINDS if (match := KINDS[kind].fullmatch(name))]
        if len(matches) != 1:
            return False
        ((kind, named),) = matches
        if kind == "command":
            return has_command(shlex.split(named), of_the_door=name.startswith("python3"))
        if kind == "file":
            return has_file(named)
        if kind == "python":
            return has_attribute(named)
        return named in self.names[kind]


def has_command(line: list[str], *, of_the_door: bool) -> bool:
    """Whether the program would accept this line; the asset it names must exist too."""
    if of_the_door and line[0] == "test":
        return True
    command: click.Command = program
    while isinstance(command, click.Group) and line and not line[0].startswith("-"):
        verb = command.commands.get(line.pop(0))
        if verb is None:
            return False
        command = verb
    try:
        context = command.make_context(command.name, line)
    except NoArgsIsHelpError:
        return True
    except click.UsageError:
        return False
    return {"all", *ROLLUPS}.issuperset(context.params.get("assets") or ())


def options(command: click.Command) -> Iterator[str]:
    """Every option of every verb."""
    for parameter in command.params:
        yield from parameter.opts
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from options(each)


def has_file(path: str) -> bool:
    """Whether the file stands there, or the folder with a file in it: an empty one holds nothing."""
    where = ROOT / path
    if not path.endswith("/"):
        return where.is_file()
    return any(each.is_file() and "__pycache__" not in each.parts for each in where.rglob("*"))


def has_attribute(path: str) -> bool:
    module, _, attribute = path.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ImportError:
        return False


@pytest.fixture(scope="module")
def known(server: Server) -> Iterator[Known]:
    """A migrated database, Dagster's definitions, the program and the packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    with cloned(server, TEMPLATE) as name, server.connect(name) as connection:
        yield Known(
            {
                **{kind: set(names_in(connection, kind)) for kind in CATALOGUE},
                "option": set(options(program)),
                "asset": {each.key.to_user_string() for each in definitions.defs.resolve_all_asset_specs()},
                "adapter": set(ADAPTERS),
                "package": {re.split(r"[^\w-]", each)[0] for each in wanted},
            }
        )


CATALOGUE: Final = {
    "role": "select rolname::text from pg_roles",
    "schema": "select nspname::text from pg_namespace",
    "policy": "select policyname || ' on ' || schemaname || '.' || tablename from pg_policies",
    "function": "select pronamespace::regnamespace || '.' || proname from pg_proc",
    "table": "select relnamespace::regnamespace || '.' || relname from pg_class"
    " where relkind in ('r', 'p', 'v')",
    "column": "select relnamespace::regnamespace || '.' || relname || '.' || attname || typed"
    " from pg_class join pg_attribute on attrelid = pg_class.oid"
    " cross join lateral (values (''), (' ' || format_type(atttypid, atttypmod))) each (typed)"
    " where relkind in ('r', 'p', 'v') and attnum > 0 and not attisdropped",
    "index": "select worded || 'index ' || relnamespace::regnamespace || '.' || relname"
    " || substring(pg_get_indexdef(indexrelid) from ' \\(.*$')"
    " from pg_index join pg_class on pg_class.oid = indrelid"
    " cross join lateral (values (''), ('unique ')) each (worded) where worded = '' or indisunique",
}
"""The names of a kind in a database, spelled as the page spells them."""


def names_in(connection: psycopg.Connection, kind: str) -> Iterator[str]:
    for (name,) in connection.execute(CATALOGUE[kind].encode()):
        yield str(name)


def test_every_row_is_whole() -> None:
    """An open row that names tests looks met, and one that names none looks shown."""
    assert [(row.wish, fault) for row in ROWS for fault in faults(row)] == []


def faults(row: Row) -> Iterator[str]:
    if not row.wish:
        yield "has no wish"
    if not row.answer:
        yield "has no answer"
    if row.is_open != (OPEN in row.answer):
        yield "both cells say `not yet`, or neither does"
    if row.is_open and not re.search(rf"{OPEN}: \S", row.answer):
        yield "does not say what is to come"
    if not row.is_open and not re.fullmatch(rf"{TEST.pattern}(, {TEST.pattern})*", row.tests):
        yield f"names no tests: {row.tests}"


def test_a_row_that_is_not_whole_is_found() -> None:
    shown = "`usage_pipeline_tests/test_door.py::test_x`"
    lies = [("", "a", shown), ("w", "", shown), ("w", f"{OPEN}: b", shown), ("w", OPEN, OPEN), ("w", "a", "")]
    assert [len(list(faults(Row("section", *lie)))) for lie in lies] == [1] * len(lies)


def test_every_name_has_one_shape() -> None:
    """A name that cannot be looked up is a promise that nobody keeps."""
    names = {name for row in ROWS for name in (*row.there, *row.to_come)}
    assert {name: kinds_of(name) for name in names if len(kinds_of(name)) != 1} == {}


def test_every_name_is_what_the_page_says(known: Known) -> None:
    """A page that is wrong once is not read again; an open row whose wish is met sends people away."""
    assert [(row.wish, name) for row in ROWS for name in row.there if not known.has(name)] == []
    assert [(row.wish, name) for row in ROWS for name in row.to_come if known.has(name)] == [], (
        "is there now: give the row its tests, or say what else is to come"
    )


@pytest.mark.parametrize(
    "lie",
    [
        "usage-pipeline usge tokens", "usage-pipeline usage tokens --by user", "usage-pipeline sources start",
        "usage-pipeline backfill tokens_dayly --from today --to today",
        "usage-pipeline usage tokens --from soon", "python3 dev.py tests", "--wet-run", "asset tokens_dayly",
        "adapter supabase", "package dagster-aws", "role usage_admin", "schema usage_part",
        "policy reader_reads on usage.user_usage", "index usage.user_token_usage (updated_at)",
        "unique index usage.user_token_usage (period_start DESC)", "usage.user_token_usage()",
        "usage.token_events", "usage.user_token_usage.tokens", "usage.user_token_usage.total_tokens integer",
        "usage.user_token_usage.agent_ids uuid", "usage_pipeline.serving.write", "usage_pipeline.served.read",
        "usage_pipeline/serve/", "docs/README.md",
    ],
)  # fmt: skip
def test_a_lie_is_found(known: Known, lie: str) -> None:
    """A check that accepts everything is worse than none, of each kind of name."""
    assert not known.has(lie)


@pytest.mark.parametrize("name", ["tokens_daily", "usage tokens", "dagster", "usage.a.b.c", "select 1"])
def test_what_has_no_shape_is_no_name(name: str) -> None:
    assert kinds_of(name) == []


def test_every_test_of_the_page_exists() -> None:
    """A test that was renamed leaves a row that nothing shows."""
    named = {(file, name) for row in ROWS for file, name in TEST.findall(row.tests)}
    there = {file: set(functions(ROOT / file)) for file, _ in named if (ROOT / file).is_file()}
    assert [each for each in sorted(named) if each[1] not in there.get(each[0], set())] == []


def functions(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name


def test_no_wish_is_forgotten() -> None:
    """A wish without a row is a wish that was never heard; each has a row of its own."""
    holders = {
        (section, words): [row.wish for row in ROWS if row.section == section and words in row.wish]
        for section, wishes in WISHES.items()
        for words in wishes
    }
    assert {wish: rows for wish, rows in holders.items() if len(rows) != 1} == {}
    assert len({(section, rows[0]) for (section, _), rows in holders.items()}) == len(holders)


def test_no_row_is_there_twice() -> None:
    assert len({(row.section, row.wish) for row in ROWS}) == len(ROWS)


def test_links_of_the_page_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in sections()}
    for name, target in re.findall(r"\[`?([^`\]]+)`?\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert target == f"../{name}"
            assert (FOLDER / target).exists(), target


def sections() -> list[str]:
    return [line for line in TEXT.splitlines() if line.startswith("#")]
