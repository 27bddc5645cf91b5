"""The tables that clients write and read, and the ways in which they do.

A topic is a set of objects (see `history`) that are written by certain statements and read by
others, often of another table: what a view shows, a cascade or a trigger writes, a function
hides. In every statement $1 is the key and $2 the value. A register only ever grows, even
when a write of unknown outcome comes late, because each write says so in its WHERE clause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from tests.consistency.history import Pair, Value

Row: TypeAlias = Sequence[object]
Seen: TypeAlias = Iterable[tuple[str, Value]]
Interpretation: TypeAlias = Callable[[Row], Seen]

TOTAL: Final = 2000
"""What the two balances of a pair come to."""


@dataclass(frozen=True, slots=True)
class Write:
    """One way to write.

    Attributes:
        statements: Sent one by one; each that returns a tag must tell of one row, or of none
            where it says so in `counts`.
        rolls_back: The transaction comes to nothing: nobody may ever see the value.
    """

    statements: tuple[str, ...]
    rolls_back: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """One way to read.

    Attributes:
        statement: With $1 for the key, if it asks for one; a $2 is there to vary it.
        interpret: Says what a row tells about which objects.
        weight: How often it is chosen, compared with others.
        is_slow: It takes long, and what it returns is what was there when it began.
    """

    statement: str
    interpret: Interpretation
    weight: float = 1.0
    is_slow: bool = False

    @property
    def varies(self) -> bool:
        return "$2" in self.statement


@dataclass(frozen=True, slots=True)
class Topic:
    """Objects of one kind.

    Attributes:
        name: The objects are called "name:key".
        keys: How many there are, from 1.
        pause: Seconds between two writes, for each writer. Long where nobody can tell what
            is written: all reads are for the primary then.
        schema: What makes its tables.
        writes: The ways to write.
        reads: The ways to read.
        state: Reads everything, in the columns of `reads`.
        is_list: Elements are appended, by all writers to the same lists.
        weight: How often it is read, compared with others.
    """

    name: str
    keys: int
    pause: float
    schema: str
    writes: tuple[Write, ...]
    reads: tuple[Read, ...]
    state: Read
    is_list: bool = False
    weight: float = 1.0

    @property
    def is_pair(self) -> bool:
        return self.name == "transfer"

    def missing(self) -> Value:
        """What is seen where no row is; registers and pairs always have one."""
        if self.is_list:
            return ""
        return Pair(-1, -1, TOTAL) if self.is_pair else -1


def registers(*names: str) -> Interpretation:
    """Interpret rows of a key and then one register of each topic; more columns are filling."""

    def interpret(row: Row) -> Seen:
        return [(f"{name}:{row[0]}", _int(row[place])) for place, name in enumerate(names, start=1)]

    return interpret


def pairs(row: Row) -> Seen:
    """Interpret a row of a key, the numbers of two sides, and their total."""
    key, left, right, total = row
    return [(f"transfer:{key}", Pair(_int(left), _int(right), _int(total)))]


def lists(row: Row) -> Seen:
    """Interpret a row of a key and a list's text."""
    key, items = row
    return [(f"list:{key}", str(items))]


def _int(value: object) -> int:
    # A sum of MySQL's is a DECIMAL.
    if not isinstance(value, int | Decimal):
        raise ValueError(f"{value!r} is not a number")
    return int(value)


def transaction(*statements: str) -> Write:
    return Write(("BEGIN", *statements, "COMMIT"))


def rolled_back(*statements: str) -> Write:
    return Write(("BEGIN", *statements, "ROLLBACK"), rolls_back=True)


def update(table: str) -> str:
    """Write what lets a register grow."""
    return f"UPDATE {table} SET v = $2 WHERE k = $1 AND v < $2"


def _table(name: str, keys: int) -> str:
    return (
        f"CREATE TABLE {name} (k int PRIMARY KEY, v bigint NOT NULL);"
        f" INSERT INTO {name} SELECT k, 0 FROM generate_series(1, {keys}) k;"
    )


def _reads(table: str, topic: str) -> tuple[Read, ...]:
    """Make the reads that suit any table of registers: some repeat, some differ each time."""
    interpret = registers(topic)
    return (
        Read(f"SELECT k, v FROM {table} WHERE k = $1", interpret, 6.0),
        Read(f"SELECT k, v FROM {table} WHERE k = $1 AND v > $2", interpret, 3.0),
        Read(f"SELECT k, v FROM {table} ORDER BY k", interpret, 2.0),
        Read(f"SELECT k, v, repeat('x', 40000) FROM {table} WHERE k = $1", interpret, 0.2),
        Read(
            f"SELECT {table}.k, max({table}.v) FROM {table}, filler a, filler b"
            f" WHERE {table}.k = $1 GROUP BY {table}.k",
            interpret,
            0.1,
            is_slow=True,
        ),
    )


def register(
    name: str,
    *,
    keys: int,
    pause: float,
    writes: tuple[Write, ...],
    table: str = "",
    schema: str = "",
    more_reads: tuple[Read, ...] = (),
    weight: float = 1.0,
) -> Topic:
    """Make a topic of registers, in a plain table unless told otherwise.

    Args:
        name: The topic's.
        keys: How many objects.
        pause: See `Topic`.
        writes: The ways to write.
        table: Where it is read; the name if left out.
        schema: What makes it, if it isn't a plain table.
        more_reads: Ways to read besides the usual.
        weight: See `Topic`.
    """
    table = table or name
    return Topic(
        name,
        keys,
        pause,
        schema or _table(name, keys),
        writes,
        (*_reads(table, name), *more_reads),
        Read(f"SELECT k, v FROM {table}", registers(name)),
        weight=weight,
    )


FILLER: Final = """
CREATE TABLE filler AS SELECT n FROM generate_series(1, 250) n;
"""
"""Rows without meaning: two of it make a read slow that is no different otherwise."""

HOT: Final = register(
    "hot",
    keys=4,
    pause=0.008,
    writes=(
        Write((update("hot"),)),
        transaction(update("hot")),
        rolled_back(update("hot")),
    ),
)

WARM: Final = register(
    "warm",
    keys=8,
    pause=0.1,
    weight=3.0,
    writes=(
        Write((update("warm"),)),
        transaction(update("warm")),
        rolled_back(update("warm")),
        transaction("SAVEPOINT s", update("warm"), "ROLLBACK TO s", update("warm")),
        Write(
            (
                "WITH written AS (UPDATE warm SET v = $2 WHERE k = $1 AND v < $2 RETURNING k)"
                " SELECT k FROM written",
            )
        ),
        Write(
            (
                "MERGE INTO warm USING (SELECT $1::int AS k, $2::bigint AS v) AS new"
                " ON warm.k = new.k WHEN MATCHED AND warm.v < new.v THEN UPDATE SET v = new.v",
            )
        ),
    ),
)

COLD: Final = register(
    "cold",
    keys=8,
    pause=0.8,
    weight=8.0,
    writes=(Write((update("cold"),)), transaction("SELECT v FROM cold", update("cold"))),
    more_reads=(
        Read(
            "SELECT k, cold.v, warm.v FROM cold JOIN warm USING (k) WHERE k = $1",
            registers("cold", "warm"),
            2.0,
        ),
        Read(
            "SELECT k, (SELECT max(v) FROM cold AS c WHERE c.k = cold.k),"
            " (SELECT v FROM hot WHERE hot.k = cold.k) FROM cold WHERE k <= 4 ORDER BY k",
            registers("cold", "hot"),
        ),
    ),
)

UPSERTED: Final = register(
    "upserted",
    keys=6,
    pause=0.3,
    writes=(
        Write(
            (
                "INSERT INTO upserted (k, v) VALUES ($1, $2) ON CONFLICT (k)"
                " DO UPDATE SET v = excluded.v WHERE upserted.v < excluded.v",
            )
        ),
        transaction(
            "DELETE FROM upserted WHERE k = $1 AND v < $2",
            "INSERT INTO upserted (k, v) VALUES ($1, $2)",
        ),
    ),
)

CASCADED: Final = register(
    "cascaded",
    keys=6,
    pause=0.3,
    writes=(Write((update("parent"),)), transaction(update("parent"))),
    schema="""
CREATE TABLE parent (k int PRIMARY KEY, v bigint NOT NULL, UNIQUE (k, v));
CREATE TABLE cascaded (k int PRIMARY KEY, v bigint NOT NULL,
    FOREIGN KEY (k, v) REFERENCES parent (k, v) ON UPDATE CASCADE);
INSERT INTO parent SELECT k, 0 FROM generate_series(1, 6) k;
INSERT INTO cascaded SELECT k, 0 FROM generate_series(1, 6) k;
""",
)

AUDITED: Final = register(
    "audited",
    keys=6,
    pause=0.4,
    table="audit",
    writes=(
        Write((update("audited"),)),
        transaction(update("audited")),
        rolled_back(update("audited")),
    ),
    schema=_table("audited", 6)
    + _table("audit", 6)
    + """
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE audit SET v = %s WHERE k = %s', NEW.v, NEW.k);
    RETURN NEW;
END $$;
CREATE TRIGGER keep_audit AFTER UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION keep_audit();
""",
)

CALLED: Final = register(
    "called",
    keys=6,
    pause=0.4,
    writes=(
        Write(("SELECT put_called($1, $2)",)),
        transaction("SELECT put_called($1, $2)"),
        Write(("CALL do_put_called($1, $2)",)),
    ),
    schema=_table("called", 6)
    + """
CREATE FUNCTION put_called(key int, new bigint) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    UPDATE called SET v = new WHERE k = key AND v < new;
    RETURN key;
END $$;
CREATE PROCEDURE do_put_called(key int, new bigint) LANGUAGE sql AS $$
    UPDATE called SET v = new WHERE k = key AND v < new
$$;
""",
)

VIEWED: Final = register(
    "viewed",
    keys=6,
    pause=0.4,
    table="wide_view",
    writes=(Write((update("viewed"),)), transaction(update("narrow_view"))),
    schema=_table("viewed", 6)
    + """
CREATE VIEW narrow_view AS SELECT k, v FROM viewed WHERE k > 0;
CREATE VIEW wide_view AS SELECT k, max(v) AS v FROM narrow_view GROUP BY k;
""",
)

PARTED: Final = register(
    "parted",
    keys=4,
    pause=0.3,
    writes=(
        Write((update("parted"),)),
        Write((update("parted_low"),)),
        transaction(update("parted_low")),
    ),
    schema="""
CREATE TABLE parted (k int PRIMARY KEY, v bigint NOT NULL) PARTITION BY RANGE (k);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (200);
INSERT INTO parted SELECT k, 0 FROM generate_series(1, 4) k;
""",
    more_reads=(Read("SELECT k, v FROM parted_low WHERE k = $1", registers("parted"), 3.0),),
)

COPIED: Final = Topic(
    "copied",
    4,
    0.5,
    "CREATE TABLE copied (k int NOT NULL, v bigint NOT NULL);"
    " CREATE INDEX ON copied (k, v);"
    " INSERT INTO copied SELECT k, 0 FROM generate_series(1, 4) k;",
    (Write(("COPY copied FROM STDIN",)), transaction("COPY copied FROM STDIN")),
    (
        Read("SELECT k, max(v) FROM copied WHERE k = $1 GROUP BY k", registers("copied"), 2.0),
        Read("SELECT k, v FROM copied WHERE k = $1 ORDER BY v DESC LIMIT 1", registers("copied")),
    ),
    Read("SELECT k, max(v) FROM copied GROUP BY k", registers("copied")),
)

TRANSFER: Final = Topic(
    "transfer",
    4,
    0.15,
    f"""
CREATE TABLE left_side (k int PRIMARY KEY, n bigint NOT NULL, balance bigint NOT NULL);
CREATE TABLE right_side (LIKE left_side INCLUDING ALL);
INSERT INTO left_side SELECT k, 0, {TOTAL // 2} FROM generate_series(1, 4) k;
INSERT INTO right_side SELECT * FROM left_side;
""",
    (
        transaction(
            "UPDATE left_side SET n = $2, balance = balance - 7 WHERE k = $1 AND n < $2",
            "UPDATE right_side SET n = $2, balance = balance + 7 WHERE k = $1 AND n < $2",
        ),
        rolled_back(
            "UPDATE left_side SET n = $2, balance = balance - 3 WHERE k = $1 AND n < $2",
        ),
        Write(
            (
                "WITH taken AS (UPDATE left_side SET n = $2, balance = balance + 5"
                " WHERE k = $1 AND n < $2 RETURNING k)"
                " UPDATE right_side SET n = $2, balance = balance - 5"
                " FROM taken WHERE right_side.k = taken.k AND n < $2",
            )
        ),
    ),
    (
        Read(
            "SELECT k, l.n, r.n, l.balance + r.balance FROM left_side l"
            " JOIN right_side r USING (k) WHERE k = $1",
            pairs,
            3.0,
        ),
        Read(
            "SELECT k, l.n, r.n, l.balance + r.balance FROM left_side l"
            " JOIN right_side r USING (k) WHERE k >= $1 AND l.n > $2 ORDER BY k",
            pairs,
        ),
    ),
    Read(
        "SELECT k, l.n, r.n, l.balance + r.balance FROM left_side l JOIN right_side r USING (k)",
        pairs,
    ),
    weight=2.0,
)

LIST: Final = Topic(
    "list",
    0,
    0.1,
    "CREATE TABLE list (k int PRIMARY KEY, items text NOT NULL);",
    (
        Write(
            (
                "INSERT INTO list (k, items) VALUES ($1, $2) ON CONFLICT (k)"
                " DO UPDATE SET items = list.items || excluded.items",
            )
        ),
        transaction(
            "INSERT INTO list (k, items) VALUES ($1, '') ON CONFLICT (k) DO NOTHING",
            "UPDATE list SET items = items || $2 WHERE k = $1",
        ),
    ),
    (
        Read("SELECT k, items FROM list WHERE k = $1", lists, 3.0),
        Read("SELECT k, items FROM list WHERE k = $1 AND length(items) > $2", lists),
    ),
    Read("SELECT k, items FROM list", lists),
    is_list=True,
)

TOPICS: Final = {
    it.name: it
    for it in (
        *(HOT, WARM, COLD, UPSERTED, CASCADED, AUDITED),
        *(CALLED, VIEWED, PARTED, COPIED, TRANSFER, LIST),
    )
}


def schema() -> str:
    """Return what makes all tables, in their first state."""
    return FILLER + "".join(it.schema for it in TOPICS.values())
