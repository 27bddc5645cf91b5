"""The scripts are run on a server, which says what each statement touched.

What the catalog tells of a statement that is sent by itself, outside of a transaction, is compared
with the locks that the server has taken for it, and with whether it gave the transaction a number:
what is called a read must have got none, and locked nothing that was not told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import pq

from proxy.routing.reading import Reader
from proxy.sql import catalog_queries
from proxy.sql.catalog import Catalog
from proxy.sql.statement import Kind, Statement
from tests.integration.touched import shortfalls
from tests.suites.regress.cutter import Piece, Script

OPTIONS: Final = (
    "-c timezone=America/Los_Angeles -c datestyle=Postgres,MDY -c intervalstyle=postgres_verbose"
    " -c statement_timeout=10s -c client_min_messages=error"
)
"""What pg_regress sets, and a bound on what hangs without the others that a script counts on."""

JUDGED: Final = frozenset((Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.CALL))

TOUCHED: Final = """
SELECT c.oid::int8, l.mode, c.relpersistence = 't', c.relkind::text
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND c.oid >= 16384
  AND c.relkind IN ('r', 'p', 'm', 'f', 'v')
"""

LONGEST_SHOWN: Final = 200


@dataclass(slots=True)
class Testimony:
    """What the server said.

    Attributes:
        counts: Statements, by what was done with them.
        violations: What was touched and not told.
    """

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def lines(self, name: str) -> Iterator[str]:
        """Say it in lines."""
        counts = ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))
        yield f"{name}, on a server: {counts}"
        for violation in self.violations:
            yield f"  VIOLATION  {violation}"


class Witness:
    """Runs scripts in one database, each on a connection of its own.

    Args:
        dsn: Of the database, for somebody who may do anything there.
        database: Its name.
    """

    def __init__(self, dsn: str, database: str) -> None:
        self._dsn = dsn
        self._database = database
        self._reader = Reader()
        self._catalog: Catalog | None = None
        self.testimony = Testimony()

    def run(self, files: Iterable[tuple[str, Path]], environment: dict[str, str]) -> None:
        """Run scripts, one after the other.

        Args:
            files: Their names for people, and where they are.
            environment: What \\getenv finds.
        """
        for name, file in files:
            connection = psycopg.connect(
                self._dsn, autocommit=True, prepare_threshold=None, options=OPTIONS
            )
            with connection:
                script = Script(file.read_text(errors="replace"), environment=environment)
                for piece in script.pieces():
                    if connection.broken:
                        self.testimony.counts["connections lost"] += 1
                        break
                    self._take(connection, piece, f"{name}:{piece.line}")
            self._catalog = None  # its temporary tables are gone

    def _take(self, connection: psycopg.Connection[Any], piece: Piece, place: str) -> None:
        pgconn = connection.pgconn
        statements = self._reader.read(piece.text.encode()).statements
        statement = statements[0]
        is_alone = len(statements) == 1 and piece.data is None
        if (
            pgconn.transaction_status == pq.TransactionStatus.IDLE
            and is_alone
            and statement.kind in JUDGED
        ):
            self._judge(connection, statement, piece, place)
        else:
            send(pgconn, piece.text, piece.data)
            if any(one.kind not in _DEFINES_NOTHING for one in statements):
                self._catalog = None
            self.testimony.counts["not judged"] += 1

    def _judge(
        self, connection: psycopg.Connection[Any], statement: Statement, piece: Piece, place: str
    ) -> None:
        testimony = self.testimony
        catalog = self._catalog = self._catalog or self._load()
        [(user, path)] = connection.execute(
            "SELECT current_user::text, pg_catalog.current_setting('search_path')"
        ).fetchall()
        names = tuple(name.strip().strip('"') for name in path.split(","))
        access = catalog.resolve(statement, names, user)
        if not access.exact or access.schema:
            self._catalog = None
        if access.commits or access.hidden:
            send(connection.pgconn, piece.text)
            testimony.counts["told to be anything"] += 1
            return
        connection.execute("BEGIN")
        if not send(connection.pgconn, f"{piece.text}\n;SET CONSTRAINTS ALL IMMEDIATE"):
            connection.execute("ROLLBACK")
            testimony.counts["failed"] += 1
            return
        if connection.pgconn.transaction_status != pq.TransactionStatus.INTRANS:
            testimony.violations.append(f"{place}: it ends its transaction: {shown(piece)}")
            return
        touched = connection.execute(TOUCHED).fetchall()
        [(is_numbered,)] = connection.execute(
            "SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL"
        ).fetchall()
        send(connection.pgconn, "COMMIT")
        if any(is_temporary for _, _, is_temporary, _ in touched):
            testimony.counts["of temporary tables"] += 1
            return
        locks = [(oid, mode) for oid, mode, _, kind in touched if kind != "v"]
        for what in shortfalls(catalog, access, locks, is_numbered=is_numbered):
            testimony.violations.append(f"{place}: {what}: {shown(piece)}")
        kind = "reads" if access.replica is None else statement.kind.value
        testimony.counts[f"{kind} judged" if access.exact else f"{kind}, not told all of"] += 1

    def _load(self) -> Catalog:
        with psycopg.connect(self._dsn) as connection:
            rows = {
                name: connection.execute(sql).fetchall()  # type: ignore[call-overload]
                for name, sql in catalog_queries.QUERIES.items()
            }
        return Catalog.build(self._database, **rows)


_DEFINES_NOTHING: Final = frozenset(
    {
        *(Kind.BEGIN, Kind.SAVEPOINT, Kind.RELEASE, Kind.SET, Kind.SET_LOCAL, Kind.RESET),
        *(Kind.SHOW, Kind.EXPLAIN, Kind.READ, Kind.EMPTY, Kind.FETCH, Kind.CLOSE, Kind.DECLARE),
    }
)


def send(pgconn: pq.abc.PGconn, text: str, data: str | None = None) -> bool:
    """Send a text as psql does, with the rows that follow; tell whether all of it succeeded."""
    is_good = True
    pgconn.send_query(text.encode())
    while (result := pgconn.get_result()) is not None:
        if result.status == pq.ExecStatus.COPY_IN:
            if data:
                pgconn.put_copy_data(data.encode())
            pgconn.put_copy_end()
        elif result.status == pq.ExecStatus.COPY_OUT:
            while pgconn.get_copy_data(0)[0] > 0:
                pass
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            is_good = False
        if pgconn.status == pq.ConnStatus.BAD:
            return False
    return is_good


def shown(piece: Piece) -> str:
    """A text for people."""
    return " ".join(piece.text.split())[:LONGEST_SHOWN]
