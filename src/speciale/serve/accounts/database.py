"""SQLite (a file, WAL) or PostgreSQL behind one interface: transactions that write or read.

A durable commit has reached the disk when it returns (synchronous=FULL; PostgreSQL's default);
others may be lost in a power cut, but never in part and never before an earlier durable one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from speciale.errors import ConfigError, SpecialeError
from speciale.serve.accounts.schema import prepare

_LOCK_S = 10  # how long one process waits for another's transaction


class AccountsError(SpecialeError):
    """The accounts database refused, is full or gone. Nothing of the transaction was written."""


def default_url(folder: str | Path = ".") -> str:
    """The database where none is named: $SPECIALE_DATABASE, else speciale.db in `folder`."""
    return os.environ.get("SPECIALE_DATABASE") or f"sqlite:///{Path(folder) / 'speciale.db'}"


class Database:
    """An open database with our tables in it, of the version that this program knows.

    `url`: sqlite:///FILE, a bare file name, or postgresql://USER:PASSWORD@HOST/NAME. `create`: a
    missing SQLite file is made, readable by its owner alone. Raises ConfigError for a URL that
    cannot be used, AccountsError where the database does not open. Safe to use from any thread.
    """

    def __init__(self, url: str, create: bool = True) -> None:
        parsed = _parse(url)
        self.shown = _shown(parsed)
        self._password = parsed.password
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite:
            _check_file(parsed.database or "", create)
            self._engine = sa.create_engine(parsed, connect_args={"timeout": _LOCK_S})
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        else:
            self._engine = _postgres_engine(parsed)
        try:
            with self.writing() as connection:
                prepare(connection, self.shown)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self, durable: bool = True) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block, or rolls back after an error.

        SQLite lets one writer in at a time. On PostgreSQL lock the rows that you read to write.
        """
        begin = {"begin": "BEGIN IMMEDIATE", "synchronous": "FULL" if durable else "NORMAL"}
        with self._explained(), self._engine.connect() as connection:
            connection = connection.execution_options(**begin)
            with connection.begin():
                if not durable and not self._sqlite:
                    connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that only reads. Each statement sees one moment."""
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.DataError):
            raise  # of one row, such as a name that is there already: for the caller to judge
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise AccountsError(self._sentence(error)) from error

    def _sentence(self, error: sa.exc.SQLAlchemyError) -> str:
        cause = getattr(error, "orig", None) or error
        words = (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".:")
        if self._password:
            words = words.replace(str(self._password), "***")
        where = f"The accounts database {self.shown}"
        lower = words.lower()
        if "disk is full" in lower or "no space left" in lower:
            return f"{where} has no more space on its disk: free some."
        if "is locked" in lower or "lock timeout" in lower:
            return (
                f"{where} was locked by another program for {_LOCK_S} s: "
                "end that program's transaction."
            )
        if "readonly" in lower or "read-only" in lower:
            return f"{where} cannot be written: change its permissions, or name another one."
        if "not a database" in lower or "malformed" in lower:
            return f"{where} is no intact SQLite database: restore a backup, or name another file."
        return f"{where} failed ({words}): check that it can be reached and its log."


def _parse(url: str) -> URL:
    if "://" not in url:
        url = f"sqlite:///{url}"
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # whose text may hold the password
        raise ConfigError(
            "The database URL cannot be read: write sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/NAME."
        ) from None
    if parsed.drivername == "sqlite":
        if parsed.database in (None, "", ":memory:") or parsed.query:
            raise ConfigError(
                "An accounts database in SQLite is a file without options: write sqlite:///FILE."
            )
        return parsed
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(
        f"The accounts are kept in SQLite or PostgreSQL, not in {parsed.drivername!r}: "
        "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME."
    )


def _shown(url: URL) -> str:
    """The URL as people may see it: no user, no password, no options, which may hold one too."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    place = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port else ""
    return f"postgresql://{place}{port}/{url.database or ''}"


def _check_file(name: str, create: bool) -> None:
    path = Path(name)
    if path.exists():
        return
    if not create:
        raise AccountsError(
            f"There is no accounts database {name}: "
            "make one with `speciale keys create NAME`, or name it with --database."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise AccountsError(
            f"The accounts database {name} cannot be made ({error.strerror or error}): "
            "name a file in a folder that you may write to."
        ) from error


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
    connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if "synchronous" in options:  # has no effect within a transaction
        connection.exec_driver_sql(f"PRAGMA synchronous={options['synchronous']}")
    connection.exec_driver_sql(options.get("begin", "BEGIN"))


def _postgres_engine(url: URL) -> sa.Engine:
    # Without these a server whose machine vanished would be waited for for hours.
    patience = {
        "connect_timeout": 10,
        "keepalives_idle": 20,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
    patience = {name: value for name, value in patience.items() if name not in url.query}
    try:
        engine = sa.create_engine(url, pool_pre_ping=True, connect_args=patience)
    except ImportError:
        raise ConfigError(
            "PostgreSQL needs the package psycopg: run `pip install 'speciale[postgres]'`."
        ) from None

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        connection.autocommit = True
        connection.execute(f"SET lock_timeout = '{_LOCK_S}s'")
        connection.autocommit = False

    return engine
