"""What is asked of information_schema, in SQL, on MySQL from 8.0 and MariaDB from 10.5 on.

The rows of `queries` go to `Catalog.build` by their names there. No snapshot covers them, so the
fingerprint is asked before and after and must be the same. The server's own schemas are left out:
by their names alone they are never read away from the primary.

What the control user may not see is left out by the servers without a word: a trigger that is not
shown reads as one that is not there. So the rights are asked for, and what lacks one is not
believed (`missing_rights`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_OURS: Final = "NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')"

SETTINGS: Final = "SELECT @@GLOBAL.lower_case_table_names"
"""How names are compared."""

TABLES: Final = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES
WHERE TABLE_SCHEMA {_OURS}
"""
"""Schema, name, what it is, and its engine; NULL for views, and for what can't be opened."""

VIEWS: Final = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS
WHERE TABLE_SCHEMA {_OURS}
"""
"""Schema, name, query: with a schema at every table in it, and at no function."""

TIME: Final = "CAST(NULL AS TIME)"
"""An expression of the type TIME."""

_TIMES: Final = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, '{TIME}' FROM information_schema.COLUMNS
WHERE DATA_TYPE = 'time' AND TABLE_SCHEMA {_OURS}
"""
COLUMNS: Final = f"""
SELECT TABLE_SCHEMA, TABLE_NAME,
       concat_ws(', ', CASE WHEN DATA_TYPE = 'time' THEN '{TIME}' END,
                 CASE WHEN EXTRA LIKE 'VIRTUAL%' THEN nullif(GENERATION_EXPRESSION, '') END) AS said
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA {_OURS} HAVING said <> ''
"""
"""Table or view, and what it says that is read of a column: the expression by which it is computed
then, and that it is a TIME, which is given the day of today wherever a date is wanted ("Conversion
Between Date and Time Types" in the manual). MariaDB lets an expression tell the time and roll dice;
MySQL does not, and neither lets it call a stored function."""

FOREIGN_KEYS: Final = """
SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME,
       UPDATE_RULE, DELETE_RULE
FROM information_schema.REFERENTIAL_CONSTRAINTS
"""
"""Schema and name of the child, the same of its parent, ON UPDATE, ON DELETE."""

TRIGGERS: Final = f"""
SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION,
       ACTION_STATEMENT, SQL_MODE
FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA {_OURS}
"""
"""Schema and table, name, INSERT, UPDATE or DELETE, body, and the mode it was written in."""

ROUTINES: Final = f"""
SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE,
       CASE WHEN ROUTINE_BODY = 'SQL' THEN ROUTINE_DEFINITION END, SQL_MODE, IS_DETERMINISTIC
FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA {_OURS}
"""
"""Schema, name, FUNCTION or PROCEDURE, body; NULL where it is not in SQL, or can't be seen."""

PARAMETERS: Final = f"""
SELECT SPECIFIC_SCHEMA, SPECIFIC_NAME, ROUTINE_TYPE, PARAMETER_NAME, DATA_TYPE
FROM information_schema.PARAMETERS
WHERE (PARAMETER_NAME IS NOT NULL OR DATA_TYPE = 'time') AND SPECIFIC_SCHEMA {_OURS}
"""
"""Schema and name of a routine, FUNCTION or PROCEDURE, and a name that is a variable in it, with
its type; without a name what a function returns, if that is a TIME."""

_LIBRARIES_MYSQL: Final = "SELECT UDF_NAME FROM performance_schema.user_defined_functions"
_LIBRARIES_MARIADB: Final = "SELECT name FROM mysql.func"

RIGHTS: Final = "SHOW GRANTS"
"""What the control user may do, with its roles: see `missing_rights`."""

_SHARED: Final = {
    "settings": SETTINGS,
    "tables": TABLES,
    "views": VIEWS,
    "foreign_keys": FOREIGN_KEYS,
    "triggers": TRIGGERS,
    "routines": ROUTINES,
    "parameters": PARAMETERS,
}
_BODIES: Final = ("ACTION_STATEMENT", "ROUTINE_DEFINITION")


def _mysqls(sql: str) -> str:
    """Leave out bodies that have strings in them: see `originals`."""
    for body in _BODIES:
        doubtful = f"""{body} LIKE '%''%' OR {body} LIKE '%"%'"""
        sql = sql.replace(body, f"CASE WHEN NOT ({doubtful}) THEN {body} END")
    return sql


def _mariadbs(sql: str) -> str:
    """Say that in what is shown of a body a backslash is one: see `originals`."""
    return sql.replace("SQL_MODE", "concat(SQL_MODE, ',NO_BACKSLASH_ESCAPES')")


_QUERIES_MYSQL: Final = {
    **{name: _mysqls(sql) for name, sql in _SHARED.items()},
    "columns": _TIMES,
    "libraries": _LIBRARIES_MYSQL,
}
_QUERIES_MARIADB: Final = {
    **{name: _mariadbs(sql) for name, sql in _SHARED.items()},
    "columns": COLUMNS,
    "libraries": _LIBRARIES_MARIADB,
}


def queries(*, is_mariadb: bool) -> dict[str, str]:
    """Give every query of a catalog, by the name under which its rows go to `Catalog.build`."""
    return _QUERIES_MARIADB if is_mariadb else _QUERIES_MYSQL


def _digest(table: str, columns: str, condition: str = "TRUE") -> str:
    listed = ", ".join(f"coalesce({column}, '')" for column in columns.split())
    return (
        f"(SELECT concat(count(*), '/', coalesce(sum(crc32(concat_ws('/', {listed}))), 0))"
        f" FROM information_schema.{table} WHERE {condition})"
    )


FINGERPRINT: Final = "SELECT " + ",\n".join(
    (
        "(SELECT coalesce(max(CREATE_TIME >= now() - INTERVAL 2 SECOND), 0)"
        f" FROM information_schema.TABLES WHERE TABLE_SCHEMA {_OURS})",
        _digest(
            "TABLES",
            "TABLE_SCHEMA TABLE_NAME TABLE_TYPE ENGINE CREATE_TIME",
            f"TABLE_SCHEMA {_OURS}",
        ),
        _digest(
            "VIEWS",
            "TABLE_SCHEMA TABLE_NAME VIEW_DEFINITION DEFINER SECURITY_TYPE",
            f"TABLE_SCHEMA {_OURS}",
        ),
        _digest(
            "TRIGGERS",
            "EVENT_OBJECT_SCHEMA EVENT_OBJECT_TABLE TRIGGER_NAME EVENT_MANIPULATION ACTION_TIMING"
            " ACTION_STATEMENT SQL_MODE DEFINER CREATED",
        ),
        _digest(
            "ROUTINES",
            "ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE ROUTINE_DEFINITION SQL_MODE DEFINER"
            " SECURITY_TYPE LAST_ALTERED",
            f"ROUTINE_SCHEMA {_OURS}",
        ),
        _digest("USER_PRIVILEGES", "GRANTEE PRIVILEGE_TYPE IS_GRANTABLE"),
        _digest("SCHEMA_PRIVILEGES", "GRANTEE TABLE_SCHEMA PRIVILEGE_TYPE IS_GRANTABLE"),
        _digest("TABLE_PRIVILEGES", "GRANTEE TABLE_SCHEMA TABLE_NAME PRIVILEGE_TYPE"),
        _digest("COLUMN_PRIVILEGES", "GRANTEE TABLE_SCHEMA TABLE_NAME COLUMN_NAME PRIVILEGE_TYPE"),
    )
)
"""Whether a table is younger than two seconds; then what changes whenever a definition or a right
does, for what is done elsewhere.

Every ALTER TABLE gives a table a new CREATE_TIME, keys, comments and instant ones included, and
TRUNCATE does not; but it counts in seconds, so while one is young `DETAILS` must be asked, too.
Where 1,100 tables, 100 views and 100 triggers are it takes 25 ms on MySQL 9.7, 60 ms on MariaDB
10.11, all of it the server's. Not all rights are in it: EXECUTE on a routine is not, nor are roles.
"""

DETAILS: Final = "SELECT " + ",\n".join(
    (
        _digest(
            "COLUMNS",
            "TABLE_SCHEMA TABLE_NAME COLUMN_NAME ORDINAL_POSITION COLUMN_TYPE COLUMN_DEFAULT"
            " IS_NULLABLE COLLATION_NAME EXTRA GENERATION_EXPRESSION",
            f"TABLE_SCHEMA {_OURS}",
        ),
        _digest(
            "REFERENTIAL_CONSTRAINTS",
            "CONSTRAINT_SCHEMA TABLE_NAME CONSTRAINT_NAME UNIQUE_CONSTRAINT_SCHEMA"
            " REFERENCED_TABLE_NAME UPDATE_RULE DELETE_RULE",
        ),
    )
)
"""What two changes of a table in one second are told apart by. 150 ms where there are 5,000
columns, on MySQL; half of that on MariaDB."""

COMMANDS: Final = r"""
SHOW GLOBAL STATUS WHERE Variable_name REGEXP
'^Com_(create|alter|drop|rename|grant|revoke|set_password|set_default_role|install|uninstall|truncate)'
"""
"""How many definitions and rights were asked to be changed, by anybody, as the asking began. It
takes 1 to 5 ms, so it may be asked oftener than `FINGERPRINT`, which it can't replace: when it
moves, the change is still to come."""

RIGHTS_COMMAND: Final = re.compile("grant|revoke|role|user|password", re.IGNORECASE)
"""Which of them are about rights."""

_RIGHTS: Final = frozenset({"SELECT", "SHOW VIEW", "TRIGGER"})
"""MariaDB shows the body of a routine to whoever may read mysql.proc."""

_GRANT: Final = re.compile(r"GRANT (.+) ON \*\.\* TO ")
_REVOKE: Final = re.compile(r"REVOKE .+ ON ")


def missing_rights(grants: Iterable[str], *, is_mariadb: bool) -> list[str]:
    """Say which rights on `*.*` are missing for all to be seen; any that was taken back in part.

    Args:
        grants: The lines of `RIGHTS`.
        is_mariadb: Whose they are.
    """
    needed = set(_RIGHTS if is_mariadb else _RIGHTS | {"SHOW_ROUTINE"})
    taken_back: list[str] = []
    for line in grants:
        granted = _GRANT.match(line)
        if granted is not None:
            given = {right.strip() for right in granted[1].split(",")}
            needed -= given
            if "ALL PRIVILEGES" in given:
                needed.clear()
        elif _REVOKE.match(line):
            taken_back.append(line)
    return sorted(needed) + taken_back


COUNTERS: Final = """
SELECT OBJECT_SCHEMA, OBJECT_NAME, COUNT_INSERT + COUNT_UPDATE + COUNT_DELETE, 0
FROM performance_schema.table_io_waits_summary_by_table WHERE OBJECT_TYPE = 'TABLE'
"""
"""Schema, table, rows written since the server began, and nothing. MySQL has it switched on;
MariaDB has not (`performance_schema = ON`). What InnoDB itself does to a child of a foreign key is
not in it, on MariaDB and before MySQL 9.6: what counts for a parent must count for its children.
16 ms for 1,200 tables."""

COUNTERS_USERSTAT: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, ROWS_CHANGED, 0 FROM information_schema.TABLE_STATISTICS
"""
"""The same from MariaDB with `userstat = ON`."""

COUNTERS_BY_TIME: Final = f"""
SELECT TABLE_SCHEMA, TABLE_NAME, 0, CASE WHEN UPDATE_TIME IS NULL THEN 0 ELSE
       crc32(concat(UPDATE_TIME, '/',
                    CASE WHEN UPDATE_TIME >= now() - INTERVAL 2 SECOND THEN now(6) ELSE '' END)) END
FROM information_schema.TABLES WHERE TABLE_TYPE <> 'VIEW' AND TABLE_SCHEMA {_OURS}
"""
"""The same where nothing counts: a digest of when a table was last written. It can't tell our own
commits from others', so every table that is written to counts as written by others, too. 60 ms for
1,100 tables on MariaDB."""

UNSEEN: Final = r"""
SHOW GLOBAL STATUS WHERE Variable_name REGEXP
'^Com_(alter_table|rename_table|truncate|flush|import|xa_commit)$'
OR Variable_name REGEXP '^Performance_schema_(table_handles|table_instances|thread_instances)_lost$'
"""
"""How often something was done that may show neither in definitions nor in counters: partitions
are exchanged, counters are emptied, and XA COMMIT shows rows that were counted when they were
written. And for whom there was no room to count: `LOST`."""

LOST: Final = "_lost"
"""The end of a name in the answer to `UNSEEN`."""

COUNTS_ALL: Final = """
SELECT NOT EXISTS (SELECT 1 FROM performance_schema.setup_instruments
                   WHERE NAME = 'wait/io/table/sql/handler' AND ENABLED <> 'YES')
   AND NOT EXISTS (SELECT 1 FROM performance_schema.setup_consumers
                   WHERE NAME = 'global_instrumentation' AND ENABLED <> 'YES')
   AND NOT EXISTS (SELECT 1 FROM performance_schema.threads
                   WHERE TYPE = 'FOREGROUND' AND INSTRUMENTED <> 'YES')
   AND NOT EXISTS (SELECT 1 FROM performance_schema.setup_actors WHERE ENABLED <> 'YES')
   AND EXISTS (SELECT 1 FROM performance_schema.setup_actors WHERE HOST = '%' AND USER = '%')
   AND NOT EXISTS (SELECT 1 FROM performance_schema.setup_objects
                   WHERE OBJECT_TYPE = 'TABLE' AND ENABLED <> 'YES' AND OBJECT_SCHEMA
                   NOT IN ('mysql', 'performance_schema', 'information_schema'))
   AND EXISTS (SELECT 1 FROM performance_schema.setup_objects
               WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = '%' AND OBJECT_NAME = '%')
"""
"""Whether performance_schema counts what everybody writes to every table, as it does by default:
before the statement that writes is answered, commit or not. Seen on MySQL 9.7 and MariaDB 10.11."""

COUNTS_ALL_USERSTAT: Final = "SELECT @@GLOBAL.userstat"
"""The same of `userstat`; but tables under LOCK TABLES it counts when they are unlocked."""

IN_USE: Final = "SHOW OPEN TABLES WHERE In_use > 0"
"""Such tables, among others: schema and table come first."""

HAS_COUNTERS: Final = "SELECT @@GLOBAL.performance_schema"
HAS_USERSTAT: Final = "SHOW GLOBAL VARIABLES WHERE Variable_name = 'userstat' AND Value = 'ON'"

_FILES_MYSQL: Final = "SELECT NAME, TABLE_ID FROM information_schema.INNODB_TABLES"
_FILES_MARIADB: Final = "SELECT NAME, TABLE_ID FROM information_schema.INNODB_SYS_TABLES"
_ENCODED: Final = re.compile("@([0-9a-f]{4})")


def files(*, is_mariadb: bool) -> str:
    """Ask for what InnoDB numbers anew with every TRUNCATE, which counts no row.

    Name, as the file is called, and number. Needs PROCESS; 22 ms for 1,200 tables on MySQL.
    """
    return _FILES_MARIADB if is_mariadb else _FILES_MYSQL


def table_of_file(name: str) -> tuple[str, str]:
    """Say which schema and table a file is of; a partition's is its table's."""
    schema, _, table = name.partition("/")
    table = re.split("#p#", table, maxsplit=1, flags=re.IGNORECASE)[0]
    return _decoded(schema), _decoded(table)


def _decoded(name: str) -> str:
    """Undo the encoding of most characters ("Mapping of Identifiers to File Names")."""
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), name)
