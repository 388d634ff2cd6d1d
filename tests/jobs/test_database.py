"""The database opens, is brought up to date once, and keeps what was committed."""

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from fromnoise.errors import FileError, FromnoiseError, UserError
from fromnoise.jobs import database as module
from fromnoise.jobs.database import HEAD, Database, version
from fromnoise.jobs.tables import FILES, METADATA


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'new' / 'fromnoise.db'}"


def row(path: str) -> dict[str, object]:
    return {"path": path, "size": 1, "changed": 1}


def test_migrations_make_what_the_tables_say(url: str) -> None:
    database = Database.open(url)
    with database.reading() as connection:
        assert version(connection) == HEAD
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert [difference for difference in found if "picture_words" not in str(difference)] == []
    assert database.check() == []


def test_the_newest_migration_is_the_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_it_is_in_wal_mode_and_syncs(url: str) -> None:
    with Database.open(url).reading() as connection:
        for name, expected in {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}.items():
            assert connection.execute(text(f"PRAGMA {name}")).scalar() == expected


def test_opening_again_changes_nothing_and_imports_no_alembic(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database.open(url).writing() as connection:
        connection.execute(insert(FILES).values(row("a")))
    monkeypatch.setitem(__import__("sys").modules, "alembic", None)
    with Database.open(url).reading() as connection:
        assert connection.execute(select(FILES.c.path)).scalars().all() == ["a"]


def test_many_open_a_new_one_at_once(url: str) -> None:
    faults: list[Exception] = []

    def opened(name: str) -> None:
        try:
            with Database.open(url).writing() as connection:
                connection.execute(insert(FILES).values(row(name)))
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=opened, args=(str(i),)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with Database.open(url).reading() as connection:
        assert len(connection.execute(select(FILES.c.path)).all()) == 6


def test_a_failed_transaction_leaves_nothing(url: str) -> None:
    database = Database.open(url)
    with pytest.raises(IntegrityError), database.writing() as connection:
        [connection.execute(insert(FILES).values(row(name))) for name in ("a", "b", "a")]
    with database.reading() as connection:
        assert connection.execute(select(FILES.c.path)).all() == []


def test_what_cannot_be_opened_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"no database" * 1000)
    with pytest.raises(FileError, match=r"bad\.db can't be used \(file is not a database\): restore or remove it"):
        Database.open(f"sqlite:///{bad}")
    with pytest.raises(FileError, match="choose another place with FROMNOISE_DATA"):
        Database.open(f"sqlite:///{bad}/deeper/a.db")
    with pytest.raises(UserError, match="is no URL of a database"):
        Database.open("nonsense")
    with pytest.raises(UserError, match="no database 'mysql'"):
        Database.open("mysql://host/name")


def test_a_newer_database_is_left_alone(url: str) -> None:
    Database.open(url).close()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    with pytest.raises(FileError, match="update fromnoise"):
        Database.open(url)


def test_postgresql_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(UserError, match=r"pip install fromnoise\[postgres\]"):
        Database.open("postgresql://localhost/nothing")


def test_an_unreachable_server_is_told() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(FromnoiseError, match="can't be reached"):
        Database.open("postgresql://localhost:1/nothing")
