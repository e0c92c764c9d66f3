"""The law of the house: imports point one way, SQL lives in files, and each room reads only what it may."""

import ast
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from usage_pipeline.families.registry import FAMILIES

PACKAGE: Final = Path(__file__).parent.parent / "usage_pipeline"
ROOT: Final = PACKAGE.parent
ORDER: Final = (
    "refusals", "settings", "periods", "warehouse", "families", "sources",
    "engine", "rollups", "derived", "serving", "automation", "definitions", "demo", "cli",
)  # fmt: skip
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
STATEMENTS: Final = sorted(PACKAGE.rglob("*.sql"))
SQL_START: Final = re.compile(
    r"\s*(select\s|insert into\s|update\s|delete from\s|grant\s|revoke\s|with\s|truncate\s|(re)?set role"
    r"|(create|alter|drop) (or replace )?(table|role|schema|function|policy|index|view|trigger|database)\b)",
    re.IGNORECASE,
)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """The rooms of ours that a module imports, at its top or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "usage_pipeline":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("usage_pipeline."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("usage_pipeline."))


def constants(tree: ast.AST) -> Iterator[str]:
    """The strings of a module that are not documentation."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def breaches(paths: list[Path], of: Callable[[Path], Iterable[str]]) -> list[str]:
    """Every breach of one law, each with its file."""
    return [f"{name(path)}: {breach}" for path in paths for breach in of(path)]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_a_room_imports_itself_and_those_to_its_left() -> None:
    assert breaches(MODULES, imports_to_the_right) == []


def imports_to_the_right(path: Path) -> Iterator[str]:
    tree = parsed(path)
    if path == PACKAGE / "__init__.py":
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        yield from (f"imports at line {node.lineno}" for node in imports)
    elif path == PACKAGE / "__main__.py":
        if set(imported(tree)) != {"cli"}:
            yield f"imports {set(imported(tree))}, not cli alone"
    else:
        mine = ORDER.index(room(path))
        right = sorted({other for other in imported(tree) if ORDER.index(other) > mine})
        yield from (f"imports {other}, which stands to its right" for other in right)


def test_the_engine_names_no_family() -> None:
    """A measure or a table in the engine is the first line of a second engine."""
    names = {
        name
        for family in FAMILIES
        for name in (
            family.table.name,
            family.contract,
            *family.key,
            *(each.column for each in family.measures),
        )
    }
    named = re.compile(rf"\b(tokens\w*|{'|'.join(sorted(names))})\b")
    files = [path for path in (*MODULES, *STATEMENTS) if room(path) == "engine"]
    assert [(name(path), found) for path in files for found in named.findall(path.read_text())] == []
    assert named.findall("select total_tokens from usage.user_token_usage") == [
        "total_tokens",
        "user_token_usage",
    ]


def test_the_rooms_are_those_of_the_map() -> None:
    """A folder that the law does not know would be bound by none."""
    assert {room(path) for path in MODULES} - {"__init__", "__main__"} == set(ORDER)
    assert all(f"    {each} " in (PACKAGE / "__init__.py").read_text() for each in ORDER)


def test_every_module_says_what_it_is() -> None:
    assert [name(path) for path in MODULES if not ast.get_docstring(parsed(path))] == []


def test_sql_stands_in_files() -> None:
    """A statement in Python is one step from a statement pasted together."""
    assert breaches(MODULES, sql_in_python) == []


def sql_in_python(path: Path) -> Iterator[str]:
    tree = parsed(path)
    yield from (f"says {text!r}" for text in constants(tree) if SQL_START.match(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            is_text = isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
            if node.func.attr in ("execute", "exec_driver_sql", "executemany", "copy") and is_text:
                yield f"runs a text at line {node.lineno}"
            makes_one = node.func.attr in ("text", "exec_driver_sql")
            if makes_one and name(path) != "usage_pipeline/warehouse/statements.py":
                yield f"makes a statement at line {node.lineno}; only statements.py does"


def test_only_settings_looks_at_the_environment() -> None:
    assert breaches([path for path in MODULES if room(path) != "settings"], environment_reads) == []


def environment_reads(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
            yield f"looks at {node.attr} at line {node.lineno}"


def test_a_statement_says_what_it_is() -> None:
    texts = {name(path): path.read_text(encoding="utf-8") for path in STATEMENTS}
    assert [path for path, text in texts.items() if not text.startswith("-- ")] == []


def test_who_may_read_what() -> None:
    """Only adapters name an application's table; only the statement of a family reads its rows in bulk."""
    assert breaches(STATEMENTS, forbidden_reads) == []


def forbidden_reads(path: Path) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    sql = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
    parts = path.relative_to(PACKAGE).parts
    is_adapters = parts[:2] == ("sources", "adapters") or parts[0] == "demo"
    is_dagsters = path.stem in ("dagster_tables_exist", "dagster_runs_at_work")
    if re.search(r"\b(public|auth)\.", sql) and not (is_adapters or is_dagsters):
        yield "names another's table"
    is_raw = re.search(r"\busage\.(token_events|token_calls|api_events)\b", sql)
    if is_raw and parts[0] not in ("sources", "families", "rollups"):
        yield "reads raw rows"
    if "usage.user_token_usage" in sql and "migrations" not in parts:
        if not re.search(r"period_start\s*>=", sql):
            yield "has no lower bound"
        if not re.search(r"period_start\s*<", sql):
            yield "has no upper bound"


@pytest.mark.parametrize(
    ("law", "file", "text"),
    [
        (imports_to_the_right, "__init__.py", "import os"),
        (imports_to_the_right, "__main__.py", "from usage_pipeline import cli, demo"),
        (
            imports_to_the_right,
            "periods/new.py",
            "def late() -> None:\n    from usage_pipeline.cli import up",
        ),
        (sql_in_python, "serving/new.py", "QUERY = 'select 1'"),
        (sql_in_python, "serving/new.py", "connection.execute(f'{table}')"),
        (sql_in_python, "serving/new.py", "sqlalchemy.text(statement)"),
        (environment_reads, "serving/new.py", "os.environ['HOME']"),
        (forbidden_reads, "serving/new.sql", "select from public.chat_messages_v2"),
        (forbidden_reads, "serving/new.sql", "select from usage.token_events"),
        (forbidden_reads, "serving/new.sql", "select from usage.user_token_usage where period_start < :to"),
        (forbidden_reads, "serving/new.sql", "select from usage.user_token_usage where period_start >= :of"),
    ],
)
def test_a_breach_is_found(
    law: Callable[[Path], Iterator[str]], file: str, text: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A law that finds nothing holds for every file."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path / "usage_pipeline")
    path = tmp_path / "usage_pipeline" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (found,) = breaches([path], law)
    assert found.startswith(f"usage_pipeline/{file}: ")


def test_every_statement_is_run_by_somebody() -> None:
    """A file that nobody runs is read by everybody."""
    spoken = {text for path in MODULES for text in constants(parsed(path))}
    words = {word for text in spoken for word in (text, text.removesuffix(".sql"))}
    revisions = {path.stem[1:] for path in PACKAGE.joinpath("warehouse/migrations/versions").glob("r*.py")}
    expected = words | {f"{each}.{way}" for each in revisions for way in ("up", "down")}
    assert not [name(path) for path in STATEMENTS if path.stem not in expected]


def test_every_revision_has_a_way_down() -> None:
    for path in PACKAGE.joinpath("warehouse/migrations/versions").glob("r*.py"):
        for way in ("up", "down"):
            assert (PACKAGE / "warehouse/migrations/sql" / f"{path.stem[1:]}.{way}.sql").exists()


def test_the_instance_of_a_checkout_is_that_of_a_stack_without_anything_of_ours() -> None:
    """Dagster's own commands read the one at the top, also before any stack was made."""
    plain, stacks = (
        yaml.safe_load(path.read_text()) for path in (ROOT / "dagster.yaml", PACKAGE / "cli" / "dagster.yaml")
    )
    ours = {"storage", "compute_logs", "run_launcher"}
    assert plain == {key: value for key, value in stacks.items() if key not in ours}
    assert "usage_pipeline" not in json.dumps(plain)
