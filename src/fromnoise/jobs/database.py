"""The database: a file of SQLite, or PostgreSQL by URL, brought up to date when it is opened.

    database = Database.open("sqlite:///fromnoise.db")
    with database.writing() as connection:  # one writer at a time; committed at the end, or not at all
        connection.execute(insert(FILES).values(...))

What is committed is on the disk: SQLite runs in WAL mode with `synchronous=FULL`, so that a lost process, or a lost
machine, loses no job that was accepted. Any number of processes may have it open.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from fromnoise.errors import FileError, FromnoiseError, UserError
from fromnoise.jobs.tables import VERSION

HEAD = "0008"  # the newest migration
TOGETHER = 20  # connections that are kept; a server reads with as many threads as are at calls
BUSY = 30_000  # ms that a writer of SQLite waits for its turn
PAGES = 512  # KB that each connection of SQLite remembers; the system remembers the rest for all of them
WRITERS, MIGRATION = 0x66_6E_01, 0x66_6E_02  # locks of PostgreSQL, where nobody but us should know them


@dataclass(frozen=True)
class Database:
    """An open database; threads may share it, processes may not."""

    engine: Engine

    @classmethod
    def open(cls, url: str) -> "Database":
        """Open it, made or brought up to date as needed. UserError for a bad URL, FileError for a bad file."""
        database = cls(engine_of(url))
        with told(url):
            database.migrate()
        return database

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that waits until no other one writes."""
        with self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS})"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database and waits for nobody."""
        with self.engine.connect().execution_options(reading=True) as connection, connection.begin():
            yield connection

    def migrate(self) -> None:
        """Bring the tables up to date."""
        with self.reading() as connection:
            if version(connection) == HEAD:
                return
        from alembic import command  # which takes as long to import as all the rest
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(files("fromnoise.jobs").joinpath("migrations")))
        with self.engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION})"))
            known = version(connection)
            if known is not None and known > HEAD:
                raise FileError(f"the database {self.engine.url} was made by a newer fromnoise: update fromnoise")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check(self) -> list[str]:
        """What SQLite finds wrong with its file, if anything."""
        if not self.is_sqlite:
            return []
        with self.reading() as connection:
            found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        self.engine.dispose()


def engine_of(url: str) -> Engine:
    """The engine of an URL: sqlite:///FILE or postgresql://USER@HOST/NAME. UserError for any other."""
    try:
        address = make_url(url)
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        if address.get_backend_name() not in ("sqlite", "postgresql"):
            raise UserError(f"FROMNOISE_DATABASE: no database {address.drivername!r}; use sqlite or postgresql")
        if address.get_backend_name() == "sqlite" and address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            address,
            pool_pre_ping=address.get_backend_name() != "sqlite",
            pool_size=TOGETHER,
            max_overflow=TOGETHER,
            pool_use_lifo=True,
        )
    except (ArgumentError, NoSuchModuleError) as error:
        raise UserError(f"FROMNOISE_DATABASE: {url!r} is no URL of a database; try sqlite:///FILE") from error
    except ModuleNotFoundError as error:
        raise UserError("PostgreSQL needs the package psycopg: pip install fromnoise[postgres]") from error
    except OSError as error:
        raise FileError(f"{error.filename}: {error.strerror}; choose another place with FROMNOISE_DATA") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", prepare_sqlite)
        event.listen(engine, "begin", begin_sqlite)
    return engine


def prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Settings of every connection; the module sqlite3 shall begin no transactions of its own."""
    connection.isolation_level = None
    for line in (
        f"busy_timeout={BUSY}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"cache_size=-{PAGES}",
    ):
        connection.execute(f"PRAGMA {line}")


def begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: one that reads first might find the database changed when it comes to write."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def version(connection: Connection) -> str | None:
    """The newest migration that was done; None where there are no tables."""
    if not inspect(connection).has_table(VERSION.name):
        return None
    found: str | None = connection.execute(select(VERSION.c.version_num)).scalar()
    return found


@contextmanager
def told(url: str) -> Iterator[None]:
    """Failures of the database as errors for people."""
    try:
        yield
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        if url.startswith("sqlite"):
            raise FileError(
                f"the database {url.removeprefix('sqlite:///')} can't be used ({reason}): restore or remove it"
            ) from error
        raise FromnoiseError(f"the database can't be reached ({reason}); check FROMNOISE_DATABASE") from error
