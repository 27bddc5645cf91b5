"""pg_stat_statements: what statements amount to, without an order and without values.

Source: the manual's page on pg_stat_statements; its columns differ between versions.
"""

from __future__ import annotations

import re
from typing import Any, Final

import asyncpg

from proxy.doctor.ways import Total, Totals
from proxy.errors import Unanswerable

_SCHEMA: Final = """
SELECT pg_catalog.quote_ident(n.nspname::text) FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
"""
_TOTALS: Final = """
SELECT s.*, d.datname::text AS database, r.rolname::text AS user_name
FROM {schema}.pg_stat_statements s
JOIN pg_catalog.pg_database d ON d.oid = s.dbid
LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.userid
"""
_HIDDEN: Final = "<insufficient privilege>"

_TYPED: Final = re.compile(r"\b(interval|date|time|timestamp|timestamptz)(\s+)\$\d+\b", re.I)
"""A typed literal, `date '...'`, has a parameter in place of its text, which is no SQL."""


async def read_totals(connection: asyncpg.Connection[asyncpg.Record], database: str) -> Totals:
    """Read what is there.

    Raises:
        Unanswerable: The database does not show it.
    """
    schema = await connection.fetchval(_SCHEMA)
    if schema is None:
        raise Unanswerable(
            f'database "{database}" has no pg_stat_statements: CREATE EXTENSION'
            " pg_stat_statements, or name a database that has it"
        )
    rows = await connection.fetch(_TOTALS.format(schema=schema))
    seen = [_total(row) for row in rows if row.get("toplevel", True) and _is_shown(row)]
    hidden = sum(not _is_shown(row) for row in rows)
    problem = f"{hidden:,} statements of other users are hidden: GRANT pg_read_all_stats"
    return Totals(seen, (problem,)[:hidden])


def _is_shown(row: Any) -> bool:
    return row["query"] not in (None, _HIDDEN)


def _total(row: Any) -> Total:
    taken = row.get("total_exec_time")
    milliseconds = row.get("total_time", 0.0) if taken is None else taken
    text = _TYPED.sub(r"\1\2''", row["query"])
    user = row["user_name"] or ""
    return Total(text, user, row["database"], row["calls"], float(milliseconds) / 1000)
