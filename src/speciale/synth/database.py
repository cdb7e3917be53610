"""The index's tables, in SQLite (a file beside the folders) or in PostgreSQL by URL.

All of it is derived from the folders: where it is lost, the next opening makes it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from speciale.errors import ConfigError, SpecialeError

VERSION = 1
_LOCK_S = 60  # how long one process waits for another's transaction

tables = sa.MetaData()
meta = sa.Table(
    "synth_meta", tables,
    sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False),
)  # fmt: skip
families = sa.Table(
    "synth_families", tables,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),  # kept, rejected (by author or gates), failed
    sa.Column("kind", sa.Text, index=True),  # None up to seed: no family came of the item
    sa.Column("category", sa.Text, index=True),
    sa.Column("generator", sa.Text),
    sa.Column("about", sa.Text),
    sa.Column("seed", sa.BigInteger),
    sa.Column("item", sa.Text, nullable=False),  # JSON
    sa.Column("reason", sa.Text),  # of the author's or of a fault; the gates' are with the tasks
    sa.Column("accepted", sa.Integer, nullable=False),  # tasks
    sa.Column("refused", sa.Integer, nullable=False),
)  # fmt: skip
tasks = sa.Table(
    "synth_tasks", tables,
    sa.Column("family", sa.Text, primary_key=True),
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False, index=True),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("pattern", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("twin", sa.Text, nullable=False, index=True),
    sa.Column("structure", sa.Text, nullable=False),
    sa.Column("calls", sa.Integer),  # of the solution
    sa.Column("space", sa.Float),  # log10 of the number of answers that a guesser chooses from
    sa.Column("pass_rate", sa.Float),  # of the reference policy
    sa.Column("nearest", sa.Text),  # family/number
    sa.Column("jaccard", sa.Float),  # with it
    sa.Column("accepted", sa.Boolean, nullable=False, index=True),
    sa.Column("gate", sa.Integer),  # the first that did not pass
    sa.Column("reason", sa.Text),
)  # fmt: skip
bands = sa.Table(
    "synth_bands", tables,
    sa.Column("band", sa.BigInteger, primary_key=True),
    sa.Column("family", sa.Text, primary_key=True, index=True),
    sa.Column("number", sa.Text, primary_key=True),
)  # fmt: skip


class Database:
    """`url`: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME. ConfigError for one that
    cannot be used, SpecialeError where the database refuses. Safe to use from any thread."""

    def __init__(self, url: str) -> None:
        self._url = parsed = _parse(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        wait = {"timeout": _LOCK_S} if self.sqlite else {"connect_timeout": 10}
        try:
            self._engine = sa.create_engine(parsed, connect_args=wait)
        except ImportError:
            raise ConfigError(
                "PostgreSQL needs the package psycopg: run `pip install 'speciale[postgres]'`."
            ) from None
        if self.sqlite:
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block, or rolls back after an error. One
        writer at a time: what it finds missing stays so until it has written it."""
        with self._explained(), self._engine.connect() as connection:
            connection = connection.execution_options(begin="BEGIN IMMEDIATE")
            with connection.begin():
                if not self.sqlite:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(7302025)))
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.writing() as connection:
            tables.create_all(connection)
            found = connection.scalar(sa.select(meta.c.value).where(meta.c.name == "version"))
            if found is None:
                connection.execute(meta.insert().values(name="version", value=str(VERSION)))
            elif found != str(VERSION):
                raise ConfigError(
                    f"The index {self._url!r} is of version {found}, and this program's is "
                    f"{VERSION}: remove it, and it is made again from the folders."
                )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise  # a fault of ours, not the database's
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            cause = getattr(error, "orig", None) or error
            words = (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".:")
            if self._url.password:
                words = words.replace(str(self._url.password), "***")
            hint = "check that it can be reached"
            if "not a database" in words or "malformed" in words:
                hint = "remove it, and it is made again from the folders"
            raise SpecialeError(f"The index {self._url!r} failed ({words}): {hint}.") from error


def text(value: str | None) -> str | None:
    """What every database takes as a text: PostgreSQL has no NUL, and nobody half a surrogate."""
    if value is None:
        return None
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # whose text may hold the password
        parsed = None
    if parsed is not None and parsed.drivername == "sqlite" and parsed.database:
        return parsed
    if parsed is not None and parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigError(
        "The index's URL cannot be used: write sqlite:///FILE or "
        "postgresql://USER:PASSWORD@HOST/NAME."
    )


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
    connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
    # The folders are the truth: what a power cut takes from the index is made again.
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
