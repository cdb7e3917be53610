"""The tables of the accounts, the same in SQLite and PostgreSQL, and their version.

Money is in nano-dollars, time in milliseconds since 1970. At every commit, for every key:
balance_nano = sum of topups - sum of ledger.cost_nano - sum of holds.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    select,
    text,
)

from speciale.errors import SpecialeError

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows of INTEGER keys only


def _key_column() -> Column:
    return Column("key_id", _Id, ForeignKey("api_keys.id"), nullable=False)


def _count(name: str) -> Column:
    return Column(name, BigInteger, nullable=False)


schema_version = Table("schema_version", metadata, Column("version", Integer, nullable=False))

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False, unique=True),  # SHA-256 in hex
    Column("prefix", Text, nullable=False),  # the secret's beginning, to tell keys apart
    _count("created_at"),
    Column("revoked_at", BigInteger),
    Column("models", Text),  # JSON list of names; NULL: all
    Column("requests_per_minute", BigInteger),  # NULL: no limit, likewise below
    Column("tokens_per_minute", BigInteger),
    Column("reserved_tokens_per_minute", BigInteger),
    Column("spill_over", Boolean, nullable=False),
    _count("balance_nano"),  # what may still be spent: holds are taken off already
    Column("requests_level", BigInteger),  # buckets at rates_at, see rates.py; NULL: full
    Column("tokens_level", BigInteger),
    Column("reserved_level", BigInteger),
    _count("rates_at"),
)

topups = Table(
    "topups",
    metadata,
    Column("id", _Id, primary_key=True),
    _key_column(),
    _count("at"),
    _count("amount_nano"),
    Index("topups_of_key", "key_id"),
)

# A server process. One that died leaves its row and its holds; the next sweep finds them.
instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    _count("heartbeat_at"),
)

holds = Table(
    "holds",
    metadata,
    Column("request_id", Text, primary_key=True),
    _key_column(),
    Column("instance_id", Text, nullable=False),
    _count("at"),
    _count("amount_nano"),
    Index("holds_of_key", "key_id"),
    Index("holds_of_instance", "instance_id"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("request_id", Text, nullable=False, unique=True),
    _key_column(),
    _count("at"),
    Column("model", Text, nullable=False),
    _count("cache_hit_tokens"),
    _count("cache_miss_tokens"),
    _count("completion_tokens"),  # reasoning included
    _count("reasoning_tokens"),
    Column("finish_reason", Text),
    Column("status", Integer, nullable=False),  # of HTTP
    Column("priority", Integer, nullable=False),  # 1: within the reserved rate
    _count("cache_hit_price"),  # nano-dollars a token, as they were when it was admitted
    _count("cache_miss_price"),
    _count("output_price"),
    _count("cost_nano"),
    Index("ledger_of_key", "key_id", "at"),
    Index("ledger_by_time", "at"),
)

# UPGRADES[i] are the SQL statements from version i + 1 to i + 2.
UPGRADES: tuple[tuple[str, ...], ...] = ()


def prepare(connection: Connection, shown: str) -> None:
    """Creates the tables in an empty database, or brings an older one up to this version.

    Within the caller's transaction, all or nothing. SpecialeError where the database is newer than
    this program or somebody else's. `shown`: the database's name for messages.
    """
    newest = 1 + len(UPGRADES)
    if connection.dialect.name == "postgresql":  # two servers may start at the same moment
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('speciale.schema'))"))
    names = set(inspect(connection).get_table_names())
    if "schema_version" not in names:
        if taken := sorted(names & metadata.tables.keys()):
            raise SpecialeError(
                f"The database {shown} has a table {taken[0]!r} that speciale did not make: "
                "name another database."
            )
        metadata.create_all(connection)
        connection.execute(schema_version.insert().values(version=newest))
        return
    version = connection.scalar(select(schema_version.c.version))
    if version is None or not 1 <= version <= newest:
        raise SpecialeError(
            f"The database {shown} has schema version {version}, and this speciale knows "
            f"1 to {newest}: install the speciale that wrote it, or name another database."
        )
    if version < newest:
        for statements in UPGRADES[version - 1 :]:
            for statement in statements:
                connection.execute(text(statement))
        connection.execute(schema_version.update().values(version=newest))
