"""The one gate: who wins, what is kept, and what is refused by name."""

import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from dotenv import dotenv_values

from usage_pipeline import settings
from usage_pipeline.refusals import Refusal


def load(home: Path, **given: str) -> settings.Settings:
    return settings.load({"USAGE_HOME": str(home), **given})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings.store(load(tmp_path), start=date(2026, 2, 3), token_source="supabase_chat")  # noqa: S106
    assert load(tmp_path).start == date(2026, 2, 3)
    found = load(tmp_path, USAGE_START="2026-05-06")
    assert (found.start, found.token_source) == (date(2026, 5, 6), "supabase_chat")
    found.file.write_text(f"# a person's note\n{found.file.read_text()}")
    settings.store(found, start=date(2026, 1, 1))
    assert load(tmp_path).start == date(2026, 1, 1)
    assert "# a person's note" in found.file.read_text()
    assert load(tmp_path).token_source == "supabase_chat"  # noqa: S105


def test_a_demo_never_takes_somebodys_database(tmp_path: Path) -> None:
    """Whoever exports USAGE_DATABASE_URL and types `demo` must find that database untouched."""
    url = "postgresql://127.0.0.1/theirs"
    assert load(tmp_path, USAGE_DATABASE_URL=url).database_url == url
    (tmp_path / settings.DEMO_MARKER).touch()
    with pytest.raises(Refusal, match="USAGE_DATABASE_URL is set"):
        load(tmp_path, USAGE_DATABASE_URL=url)
    found = load(tmp_path, DAGSTER_PG_URL="postgresql://127.0.0.1/d")
    assert found.database_url is None
    assert found.dagster_pg_url is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start = 2026-02-30", "cannot be read"),
        ("start = 'soon'", "no usable date"),
        ("start = '1999-12-31'", "from 2000-01-01 to today"),
        ("start = '2999-01-01'", "from 2000-01-01 to today"),
        ("token_source = ['x']", "must be a text"),
        ("database_url = 'postgresql://u:canary@127.0.0.1/d'", "holds a password"),
        ("statr = '2026-01-01'", "unknown key `statr`"),
        ("start", "cannot be read"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(Refusal, match=said):
        load(tmp_path)


def test_a_url_is_not_shown(tmp_path: Path) -> None:
    found = load(
        tmp_path, USAGE_DATABASE_URL="postgresql://u:canary@127.0.0.1/d", DAGSTER_PG_URL="p://u:canary@h/d"
    )
    assert "canary" not in repr(found)


def test_our_env_file_is_private_and_theirs_is_kept(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    assert settings.write_env_file(file, {"USAGE_HOME": "/somewhere"})
    assert settings.write_env_file(file, {"USAGE_HOME": "/elsewhere"})
    assert "/elsewhere" in file.read_text()
    assert settings.write_env_file(file, {"USAGE_HOME": "/tmp/o'brien\\x"})  # noqa: S108
    assert dotenv_values(file)["USAGE_HOME"] == "/tmp/o'brien\\x"  # noqa: S108
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("THEIRS=1\n")
    assert not settings.write_env_file(file, {"USAGE_HOME": "/somewhere"})
    assert file.read_text() == "THEIRS=1\n"


def test_a_folder_says_which_stack_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was moved or copied to: the stack of the other copy is never meant."""
    folder = tmp_path / "one"
    demo = folder / ".usage" / "demo"
    demo.mkdir(parents=True)
    monkeypatch.setattr(settings, "PACKAGE_ROOT", tmp_path)  # as installed: there is no checkout
    monkeypatch.chdir(folder)
    assert settings.load({}).home == folder / ".usage"
    settings.make_current(demo)
    assert (folder / ".usage" / "current").read_text() == ".usage/demo\n"
    assert settings.load({}).home == demo
    assert settings.load({"USAGE_HOME": "/elsewhere"}).home == Path("/elsewhere")
    (demo / settings.DEMO_MARKER).touch()
    assert settings.load({"USAGE_DATABASE_URL": "postgresql://h/d"}).home == folder / ".usage"
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "other"))
    assert settings.load({}).home == tmp_path / "other" / ".usage" / "demo"


@pytest.mark.parametrize(
    "option", ["password=x", "pass%77ord=x", "oauth_client_secret=x", "scram_client_key=x", "options=-c a=b"]
)
def test_what_may_be_a_secret_is_not_read_from_the_file(tmp_path: Path, option: str) -> None:
    """Whoever writes it there means well; a backup of the folder then lets everybody in."""
    (tmp_path / "settings.toml").write_text(f'database_url = "postgresql://u@h/d?{option}"\n')
    with pytest.raises(Refusal, match="holds a password"):
        settings.load({"USAGE_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "text", ['"start" = "2026-01-02"\n', 'start = """\n2026-01-02"""\n'], ids=["quoted", "two lines"]
)
def test_a_file_in_a_form_of_its_authors_stays_as_it_is(tmp_path: Path, text: str) -> None:
    """Lines are replaced one by one: a file that no longer reads would stop every command."""
    (tmp_path / "settings.toml").write_text(text)
    found = settings.Settings(home=tmp_path)
    with pytest.raises(Refusal, match="is not changed"):
        settings.store(found, start="2026-02-03")
    assert (tmp_path / "settings.toml").read_text() == text


def test_two_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """`automation on` while `migrate apply` finds the first day: each keeps what the other has said."""
    found = load(tmp_path)
    switching = (
        "import sys; from usage_pipeline import settings\n"
        "found = settings.load({'USAGE_HOME': sys.argv[1]})\n"
        "while True: settings.store(found, automation='on')"
    )
    with subprocess.Popen([sys.executable, "-c", switching, str(tmp_path)]) as switch:
        while not found.file.exists():
            time.sleep(0.01)
        days = [date(2026, 1, number) for number in range(1, 31)]
        lost = []
        for day in days:
            settings.store(found, start=day)
            time.sleep(0.02)
            lost += [] if load(tmp_path).start == day else [day]
        switch.kill()
    assert lost == []
