"""performance_schema's digests of statements: what they amount to, without order and values.

MySQL keeps a sample of each statement, as it was sent, which is read where it is whole; else, as on
MariaDB, the digest is: its text with `?` for values and `...` for lists of them.

Sources: "Statement Digests" and "Statement Summary Tables" in MySQL's manual, "Performance Schema
events_statements_summary_by_digest Table" in MariaDB's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import aiomysql

from proxy.doctor.ways import Total, Totals
from proxy.errors import Unanswerable

_IS_ON: Final = "SELECT @@GLOBAL.performance_schema"
_CONSUMER: Final = (
    "SELECT ENABLED FROM performance_schema.setup_consumers WHERE NAME = 'statements_digest'"
)
_HAS_SAMPLES: Final = (
    "SELECT count(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'performance_schema'"
    " AND TABLE_NAME = 'events_statements_summary_by_digest' AND COLUMN_NAME = 'QUERY_SAMPLE_TEXT'"
)
_DIGESTS: Final = """
SELECT DIGEST_TEXT, {sample}, SCHEMA_NAME, COUNT_STAR, SUM_TIMER_WAIT
FROM performance_schema.events_statements_summary_by_digest
WHERE SCHEMA_NAME IS NULL
   OR SCHEMA_NAME NOT IN ('performance_schema', 'information_schema', 'mysql', 'sys')
"""

OFF: Final = (
    "performance_schema is off, and nothing is counted: performance_schema = ON in the server's"
    " configuration, and a restart, switch it on; else have all be logged for a while (SET GLOBAL"
    " slow_query_log = ON, long_query_time = 0, log_output = FILE), and name the log"
)
CONSUMES_NOT: Final = (
    "nobody counts: UPDATE performance_schema.setup_consumers SET ENABLED = 'YES'"
    " WHERE NAME = 'statements_digest'"
)

PICOSECONDS: Final = 1_000_000_000_000
CUT: Final = "..."

_LIST: Final = re.compile(r"\( ?\.\.\. ?\)")
_MORE: Final = re.compile(r", \.\.\.(?! \*/)")


async def read_totals(connection: aiomysql.Connection) -> Totals:
    """Read what is there.

    Raises:
        Unanswerable: The server does not count.
    """
    if not (await _ask(connection, _IS_ON))[0][0]:
        raise Unanswerable(OFF)
    consumer = await _ask(connection, _CONSUMER)
    if not consumer or consumer[0][0] != "YES":
        raise Unanswerable(CONSUMES_NOT)
    has_samples = (await _ask(connection, _HAS_SAMPLES))[0][0]
    sample = "QUERY_SAMPLE_TEXT" if has_samples else "NULL"
    rows = await _ask(connection, _DIGESTS.format(sample=sample))
    totals = [_total(*row) for row in rows if row[0] is not None]
    lost = sum(row[3] for row in rows if row[0] is None)
    problem = f"{lost:,} statements were not told apart: raise performance_schema_digests_size"
    return Totals(totals, (problem,) if lost else ())


def _total(digest: str, sample: str | None, schema: str | None, calls: int, time: int) -> Total:
    text = sample if sample and not sample.endswith(CUT) else text_of(digest)
    return Total(text, "", schema or "", int(calls), int(time) / PICOSECONDS)


def text_of(digest: str) -> str:
    """Make a statement of a digest: what stands for several values becomes one, or two."""
    return _MORE.sub(", ?", _LIST.sub("(?)", digest))


async def _ask(connection: aiomysql.Connection, sql: str) -> Sequence[Any]:
    async with connection.cursor(aiomysql.Cursor) as cursor:
        await cursor.execute(sql)
        rows: Sequence[Any] = await cursor.fetchall()
        return rows
