"""The law of the house: imports point one way, SQL lives in files, and each room reads only what it may."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

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


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_room_imports_itself_and_those_to_its_left(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path == PACKAGE / "__init__.py":
        assert not [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        return
    if path == PACKAGE / "__main__.py":
        assert set(imported(tree)) == {"cli"}
        return
    mine = ORDER.index(room(path))
    right = {other for other in imported(tree) if ORDER.index(other) > mine}
    assert not right, f"{name(path)} imports {right}, which stand to its right"


def test_the_rooms_are_those_of_the_map() -> None:
    """A folder that the law does not know would be bound by none."""
    assert {room(path) for path in MODULES} - {"__init__", "__main__"} == set(ORDER)
    assert all(f"    {each} " in (PACKAGE / "__init__.py").read_text() for each in ORDER)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name(path)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_sql_stands_in_files(path: Path) -> None:
    """A statement in Python is one step from a statement pasted together."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [text for text in constants(tree) if SQL_START.match(text)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ("execute", "exec_driver_sql", "executemany", "copy"):
                assert not isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp), ast.dump(node)
            if node.func.attr in ("text", "exec_driver_sql"):
                assert name(path) == "usage_pipeline/warehouse/statements.py", (
                    "only statements.py makes statements"
                )


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_settings_looks_at_the_environment(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    looks = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
    ]
    assert not looks or room(path) == "settings"


@pytest.mark.parametrize("path", STATEMENTS, ids=name)
def test_a_statement_says_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("-- ")


@pytest.mark.parametrize("path", STATEMENTS, ids=name)
def test_who_may_read_what(path: Path) -> None:
    """Only adapters name an application's table; only rollups read its rows in bulk."""
    sql = "\n".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("--")
    )
    parts = path.relative_to(PACKAGE).parts
    if re.search(r"\b(public|auth)\.", sql.replace("from public", "")):
        is_dagsters = path.stem in ("dagster_tables_exist", "dagster_runs_at_work")
        assert parts[:2] == ("sources", "adapters") or parts[0] == "demo" or is_dagsters, (
            "names another's table"
        )
    if re.search(r"\busage\.(token_events|token_calls|api_events)\b", sql):
        assert parts[0] in ("sources", "rollups"), "reads raw rows"
    if "usage.user_token_usage" in sql and "migrations" not in parts:
        assert re.search(r"period_start\s*>=", sql), "has no lower bound"
        assert re.search(r"period_start\s*<", sql), "has no upper bound"


def test_every_statement_is_run_by_somebody() -> None:
    """A file that nobody runs is read by everybody."""
    spoken = {text for path in MODULES for text in constants(ast.parse(path.read_text(encoding="utf-8")))}
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
