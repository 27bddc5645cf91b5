"""The tables that clients write and read at MySQL and MariaDB; see `topics`."""

from __future__ import annotations

from typing import Final

from tests.consistency.topics import (
    TOTAL,
    Read,
    Topic,
    Write,
    lists,
    pairs,
    register,
    registers,
    rolled_back,
    transaction,
    update,
)


def _table(name: str, keys: int, more: str = "") -> str:
    return f"CREATE TABLE {name} (k int PRIMARY KEY, v bigint NOT NULL{more}); {_rows(name, keys)}"


def _rows(name: str, keys: int) -> str:
    rows = ", ".join(f"({key}, 0)" for key in range(1, keys + 1))
    return f"INSERT INTO {name} (k, v) VALUES {rows};"


FILLER: Final = (
    "CREATE TABLE filler (n int PRIMARY KEY);"
    f" INSERT INTO filler VALUES {', '.join(f'({n})' for n in range(1, 251))};"
)
"""As in `topics`."""

HOT: Final = register(
    "hot",
    keys=4,
    pause=0.008,
    schema=_table("hot", 4),
    writes=(Write((update("hot"),)), transaction(update("hot")), rolled_back(update("hot"))),
)

WARM: Final = register(
    "warm",
    keys=8,
    pause=0.1,
    weight=3.0,
    schema=_table("warm", 8),
    writes=(
        Write((update("warm"),)),
        transaction(update("warm")),
        rolled_back(update("warm")),
        transaction("SAVEPOINT s", update("warm"), "ROLLBACK TO s", update("warm")),
    ),
)

COLD: Final = register(
    "cold",
    keys=8,
    pause=0.8,
    weight=8.0,
    schema=_table("cold", 8),
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
    schema=_table("upserted", 6),
    writes=(
        Write(
            (
                "INSERT INTO upserted (k, v) VALUES ($1, $2)"
                " ON DUPLICATE KEY UPDATE v = greatest(v, $2)",
            )
        ),
        transaction(
            "DELETE FROM upserted WHERE k = $1 AND v < $2",
            "INSERT INTO upserted (k, v) VALUES ($1, $2)",
        ),
        Write(
            (
                "REPLACE INTO upserted (k, v) SELECT $1, greatest(max(v), $2) FROM upserted"
                " WHERE k = $1",
            )
        ),
    ),
)

CASCADED: Final = register(
    "cascaded",
    keys=6,
    pause=0.3,
    writes=(Write((update("parent"),)), transaction(update("parent"))),
    schema=_table("parent", 6, ", UNIQUE (k, v)")
    + _table("cascaded", 6, ", FOREIGN KEY (k, v) REFERENCES parent (k, v) ON UPDATE CASCADE"),
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
    + "CREATE TRIGGER keep_audit AFTER UPDATE ON audited FOR EACH ROW"
    " UPDATE audit SET v = NEW.v WHERE k = NEW.k;",
)

CALLED: Final = register(
    "called",
    keys=6,
    pause=0.4,
    writes=(
        Write(("CALL put_called($1, $2)",)),
        transaction("CALL put_called($1, $2)"),
        Write(("CALL put_and_commit($1, $2)",)),
        Write(("CALL put_dynamically($1, $2)",)),
        Write(("SELECT call_put($1, $2)",)),
    ),
    schema=_table("called", 6)
    + """
CREATE PROCEDURE put_called(a int, b bigint) UPDATE called SET v = b WHERE k = a AND v < b;
CREATE PROCEDURE put_and_commit(a int, b bigint)
BEGIN START TRANSACTION; UPDATE called SET v = b WHERE k = a AND v < b; COMMIT; END;
CREATE PROCEDURE put_dynamically(a int, b bigint)
BEGIN
    SET @text = concat('UPDATE called SET v = ', b, ' WHERE k = ', a, ' AND v < ', b);
    PREPARE writing FROM @text; EXECUTE writing; DEALLOCATE PREPARE writing;
END;
CREATE FUNCTION call_put(a int, b bigint) RETURNS int DETERMINISTIC MODIFIES SQL DATA
BEGIN UPDATE called SET v = b WHERE k = a AND v < b; RETURN a; END;
""",
)

COMMITTED: Final = register(
    "committed",
    keys=6,
    pause=5.0,
    writes=(
        Write(("BEGIN", update("committed"), "CREATE OR REPLACE VIEW committing AS SELECT 1 AS a")),
        Write(("BEGIN", update("committed"), "ANALYZE TABLE filler")),
        Write(("BEGIN", update("committed"), "COMMIT AND CHAIN", "COMMIT")),
        Write(("BEGIN", update("committed"), "BEGIN", "COMMIT")),
    ),
    schema=_table("committed", 6),
)
"""Commits that are implied, or go on."""

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
    writes=(Write((update("parted"),)), transaction(update("parted"))),
    schema="CREATE TABLE parted (k int PRIMARY KEY, v bigint NOT NULL)"
    " PARTITION BY HASH (k) PARTITIONS 2;" + _rows("parted", 4),
    more_reads=(
        Read("SELECT k, v FROM parted PARTITION (p1) WHERE k IN (1, 3)", registers("parted"), 3.0),
    ),
)

JOINED: Final = register(
    "joined",
    keys=6,
    pause=0.4,
    table="joined_too",
    writes=(
        Write(
            (
                "UPDATE joined, joined_too SET joined.v = $2, joined_too.v = $2"
                " WHERE joined.k = joined_too.k AND joined.k = $1 AND joined_too.v < $2",
            )
        ),
    ),
    schema=_table("joined", 6) + _table("joined_too", 6),
)

TRANSFER: Final = Topic(
    "transfer",
    4,
    0.15,
    "".join(
        f"CREATE TABLE {side} (k int PRIMARY KEY, n bigint NOT NULL, balance bigint NOT NULL);"
        f" INSERT INTO {side} VALUES {', '.join(f'({k}, 0, {TOTAL // 2})' for k in range(1, 5))};"
        for side in ("left_side", "right_side")
    ),
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
                "UPDATE left_side l JOIN right_side r ON l.k = r.k SET l.n = $2, r.n = $2,"
                " l.balance = l.balance + 5, r.balance = r.balance - 5"
                " WHERE l.k = $1 AND l.n < $2",
            )
        ),
    ),
    (
        Read(
            "SELECT l.k, l.n, r.n, l.balance + r.balance FROM left_side l"
            " JOIN right_side r ON l.k = r.k WHERE l.k = $1",
            pairs,
            3.0,
        ),
        Read(
            "SELECT l.k, l.n, r.n, l.balance + r.balance FROM left_side l"
            " JOIN right_side r ON l.k = r.k WHERE l.k >= $1 AND l.n > $2 ORDER BY l.k",
            pairs,
        ),
    ),
    Read(
        "SELECT l.k, l.n, r.n, l.balance + r.balance FROM left_side l"
        " JOIN right_side r ON l.k = r.k",
        pairs,
    ),
    weight=2.0,
)

LIST: Final = Topic(
    "list",
    0,
    0.1,
    "CREATE TABLE list (k int PRIMARY KEY, items mediumtext NOT NULL);",
    (
        Write(
            (
                "INSERT INTO list (k, items) VALUES ($1, $2)"
                " ON DUPLICATE KEY UPDATE items = concat(items, $2)",
            )
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
        *(CALLED, COMMITTED, VIEWED, PARTED, JOINED, TRANSFER, LIST),
    )
}


def schema() -> str:
    """Return what makes all tables, in their first state."""
    return FILLER + "".join(it.schema for it in TOPICS.values())
