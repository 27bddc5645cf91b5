"""An engine's SQL, as far as whoever reads statements needs to know it.

Base class and subclasses, not a protocol: compiled, a call through it costs next to nothing, and it
stands in front of every statement.
"""

from __future__ import annotations

import re
from typing import Final, final

from proxy.sql import classify as postgres
from proxy.sql import scanner as postgres_scanner
from proxy.sql.mysql import classify as mysql
from proxy.sql.mysql import scanner as mysql_scanner
from proxy.sql.scanner import Scan
from proxy.sql.statement import Statement

_NUMBERED: Final = re.compile(rb"\$(\d+)")


class Language:
    """Turns texts into fingerprints, and fingerprints into statements."""

    def scan(self, sql: bytes, modes: int = 0) -> Scan:
        """Look at a request's text once.

        Args:
            sql: As the client sent it.
            modes: How its session has texts cut into tokens, where that can be set.
        """
        raise NotImplementedError

    def classify(self, fingerprint: bytes) -> Statement:
        """Find out what a statement does."""
        raise NotImplementedError

    def classify_block(self, sql: bytes, statement: Statement) -> Statement:
        """Find out what a statement does whose fingerprint leaves out what it runs.

        Args:
            sql: All of it, as it was sent.
            statement: What its fingerprint says.
        """
        raise NotImplementedError

    def quote(self, name: str) -> str:
        """Write a name so that it can't be anything else."""
        raise NotImplementedError

    def has_same_parameters(self, sql: bytes, other: bytes) -> bool:
        """Whether two texts take the same parameters.

        What looks like one in a literal counts too, which makes this stricter.
        """
        raise NotImplementedError


@final
class PostgresLanguage(Language):
    """PostgreSQL's."""

    def scan(self, sql: bytes, modes: int = 0) -> Scan:
        """See `Language`: what can be set makes texts unreadable."""
        return postgres_scanner.scan(sql)

    def classify(self, fingerprint: bytes) -> Statement:
        """See `Language`."""
        return postgres.classify(fingerprint)

    def classify_block(self, sql: bytes, statement: Statement) -> Statement:
        """See `Language`: DO, whose text is in a literal."""
        return postgres.classify_block(sql, statement)

    def quote(self, name: str) -> str:
        """See `Language`."""
        return '"' + name.replace('"', '""') + '"'

    def has_same_parameters(self, sql: bytes, other: bytes) -> bool:
        """See `Language`: each has a number."""
        return set(_NUMBERED.findall(sql)) == set(_NUMBERED.findall(other))


@final
class MySQLLanguage(Language):
    """MySQL's and MariaDB's.

    Modes are those of `proxy.sql.mysql.scanner`, added up. Fingerprints, and the statements made
    from them, mean the same in all of them.
    """

    def scan(self, sql: bytes, modes: int = 0) -> Scan:
        """See `Language`."""
        return mysql_scanner.scan(sql, modes)

    def classify(self, fingerprint: bytes) -> Statement:
        """See `Language`."""
        return mysql.classify(fingerprint)

    def classify_block(self, sql: bytes, statement: Statement) -> Statement:
        """See `Language`: there is no such statement."""
        return statement

    def quote(self, name: str) -> str:
        """See `Language`: double quotes make a string of it, but for ANSI_QUOTES."""
        return "`" + name.replace("`", "``") + "`"

    def has_same_parameters(self, sql: bytes, other: bytes) -> bool:
        """See `Language`: all are question marks."""
        return sql.count(b"?") == other.count(b"?")
