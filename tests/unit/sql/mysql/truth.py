"""Has a server say what statements do, to be compared with what the classifier says of them.

Not a test by itself: it needs a server, and somebody to give it a way to run statements there.
`SCHEMA` makes what the statements use; whatever is written by one of them, alone or by the function
`wf`, lands in the table `w`, or is a definition.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from proxy.routing.reading import Reader
from proxy.sql.language import MySQLLanguage
from proxy.sql.mysql import functions
from proxy.sql.statement import Kind, Statement

Run = Callable[[str], object]
"""Runs a text and fetches what comes; raises when the server refuses it."""

SCHEMA = (
    "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b INT, c VARCHAR(20))",
    "CREATE TABLE u (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b INT, c VARCHAR(20))",
    "CREATE TABLE w (id INT PRIMARY KEY AUTO_INCREMENT)",
    "INSERT INTO t (a, b, c) VALUES (1, 2, 'x'), (3, 4, 'y')",
    "INSERT INTO u (a, b, c) VALUES (1, 2, 'x'), (3, 4, 'y')",
    "CREATE FUNCTION wf() RETURNS INT DETERMINISTIC MODIFIES SQL DATA"
    " BEGIN INSERT INTO w VALUES (); RETURN 1; END",
    "CREATE FUNCTION `count`(x INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA"
    " BEGIN INSERT INTO w VALUES (); RETURN 1; END",
    "CREATE FUNCTION `now`() RETURNS INT DETERMINISTIC MODIFIES SQL DATA"
    " BEGIN INSERT INTO w VALUES (); RETURN 1; END",
)

HARMLESS = frozenset({Kind.READ, Kind.EXPLAIN, Kind.SHOW, Kind.UTILITY, Kind.SET, Kind.LOCKING})

_FRAGMENTS = (
    *(
        "wf()",
        "count(1)",
        "count (1)",
        "now ()",
        "abs (1)",
        "1",
        "a",
        "@x",
        "@x := 1",
        "'x'",
        '"y"',
    ),
    *("'", '"', "`", "\\", "\\'", "''", "/*", "*/", "/*!", "/*!40101", "/*!50701", "/*!99999"),
    *("/*M!", "/*M!100100", "-- ", "--", "#", "\n", ";", ",", ",", "(", ")", "+", "-", "/", "*"),
    *("FROM t", "FROM w", "WHERE", "FOR UPDATE", "INTO @x", "UNION", "SELECT", "(SELECT wf())"),
    *("INSERT INTO w VALUES ()", "; INSERT INTO w VALUES ()", ", wf()", "AS", "x'41'", "0x41"),
    *("N'a'", "_utf8mb4'a'", "IN (1, wf())", "CASE WHEN", "THEN", "END", "LIMIT 1", "t", "{d", "}"),
    *(
        "count",
        "now",
        "()",
        "\\N",
        "@`a",
        "\x01",
        "\t",
        "XOR",
        "INTERVAL 1 DAY",
        "WITH q AS",
        "EXPLAIN",
    ),
)
_HEADS = (
    "SELECT ",
    "SELECT ",
    "SELECT ",
    "SELECT * FROM t WHERE ",
    "/*!",
    "SELECT 1 /*",
    "SET @x = ",
)


_STATEMENTS = (
    "SELECT a , b FROM t WHERE a = 1 ORDER BY b LIMIT 5",
    "SELECT t . a , u . b FROM t JOIN u ON t . id = u . id WHERE t . c LIKE 'x%'",
    "SELECT a , COUNT(*) FROM t GROUP BY a HAVING COUNT(*) > 1",
    "SELECT * FROM ( SELECT a FROM t ) q UNION ALL SELECT b FROM u",
    "WITH q AS ( SELECT a FROM t ) SELECT * FROM q",
    "SELECT CASE WHEN a THEN b ELSE c END x , IF( a , b , c ) FROM t",
    "SELECT CAST( a AS CHAR ) , CONVERT( b , SIGNED ) , TRIM( BOTH 'x' FROM c ) FROM t",
    "SELECT SUM(a) OVER ( PARTITION BY b ORDER BY c ) FROM t",
    "SELECT a + INTERVAL 1 DAY , _utf8mb4'x' COLLATE utf8mb4_bin FROM t",
    "SELECT * FROM t USE INDEX ( PRIMARY ) WHERE a IN ( SELECT b FROM u )",
    "EXPLAIN SELECT * FROM ( SELECT a FROM t ) q",
    "SHOW TABLES WHERE 1 = 1",
    "SET @x = 1 + 1",
    "DO 1 + 1",
    "SELECT GROUP_CONCAT( a ORDER BY b SEPARATOR ',' ) FROM t",
    "SELECT a INTO @x FROM t LIMIT 1",
    "SELECT MOD( a , 2 ) , a DIV 2 , NOT b , - a FROM t",
    "SELECT * FROM JSON_TABLE( '[1]' , '$[*]' COLUMNS ( a INT PATH '$' ) ) j",
    "SELECT EXTRACT( DAY FROM c ) , SUBSTRING( c FROM 1 FOR 2 ) FROM t",
    "SELECT * FROM t FOR UPDATE",
)
_INSERTIONS = (
    "wf()",
    "wf( )",
    "( SELECT wf() )",
    "truth.wf()",
    "`wf`()",
    ", wf()",
    "+ wf()",
    "AND wf()",
    "OR wf()",
    "wf ()",
    "count (1)",
    "now ()",
    "/*! , wf() */",
    "/*!50701 , wf() */",
    "/*!40101 + */ wf()",
    "/* ' */",
    "-- '\n",
    "# `\n",
    "'--' ,",
    '"/*" ,',
    "'\\'' , wf() , '\\'' ,",
    "'' '' , wf()",
    "IN ( wf() )",
    "BETWEEN 1 AND wf()",
    "LIKE wf()",
    "COLLATE utf8mb4_bin",
    "wf() AS x ,",
    "@y := wf()",
    "{ fn wf() }",
    "INTERVAL wf() DAY",
    "CASE wf() WHEN 1 THEN 2 END",
    "ORDER BY wf()",
    "WHERE wf()",
    "GROUP BY wf()",
    "HAVING wf()",
    "LIMIT 1",
    "ON wf()",
    "AS `wf()` ,",
    "; INSERT INTO w VALUES ()",
    "(",
    ")",
    "'",
    "`",
    '"',
    "\\",
    "--",
    "/*",
    "*/",
    "#",
    "\n",
    "x'41'",
    "EXISTS ( SELECT wf() )",
    "NOT wf()",
    "BINARY wf()",
    "ROW( 1 , wf() ) = ROW( 1 , 2 )",
    "DISTINCT wf() ,",
    "ALL",
    "wf() ,",
    "abs( wf() ) ,",
    "COUNT( wf() ) ,",
    "COUNT( DISTINCT wf() ) ,",
    "SUM( wf() ) OVER () ,",
)


def random_text(dice: random.Random) -> str:
    """Make a text that may be a statement."""
    parts = [dice.choice(_FRAGMENTS) for _ in range(dice.randint(1, 7))]
    return dice.choice(_HEADS) + dice.choice((" ", "", " ")).join(parts)


def mutated_text(dice: random.Random) -> str:
    """Make a text that was a statement, and often is one still."""
    parts = dice.choice(_STATEMENTS).split(" ")
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        at = dice.randrange(1, len(parts) + 1)
        if dice.random() < 0.3 and at < len(parts):
            parts[at] = dice.choice(_INSERTIONS)
        else:
            parts.insert(at, dice.choice(_INSERTIONS))
    return " ".join(parts)


def is_called_harmless(statement: Statement) -> bool:
    """Whether a statement is said to write nothing, by its text and what is stored here.

    `count` and `now` are stored functions where their names are quoted.
    """
    return statement.kind in HARMLESS and all(
        function.schema is None
        and functions.is_builtin(function.name)
        and f"`{function.name}`".encode() not in statement.text.lower()
        for function in statement.functions
    )


class Truth:
    """Compares a server with the classifier.

    Args:
        run: Runs a text as the client would, with autocommit and several statements allowed.
        rows: Says how many rows `w` has, from another connection that reads what is not committed.

    Attributes:
        executed: Texts that the server took.
        written: Texts that wrote.
    """

    def __init__(self, run: Run, rows: Callable[[], int]) -> None:
        """Take what reaches the server."""
        self._run = run
        self._rows = rows
        self.executed = 0
        self.written = 0

    def writes(self, text: str) -> bool:
        """Run a text, and say whether it has written."""
        before = self._rows()
        try:
            self._run(text)
            self.executed += 1
        except Exception:  # refused; what was run before that may have written all the same
            return self._rows() != before
        return self._rows() != before

    def is_wrong(self, text: str, modes: int) -> bool:
        """Say whether a text writes that the classifier takes for harmless."""
        reading = Reader(language=MySQLLanguage(modes)).read(text.encode())
        harmless = all(is_called_harmless(statement) for statement in reading.statements)
        writes = self.writes(text)
        self.written += writes
        return writes and harmless
