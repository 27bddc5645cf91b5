"""What the classifier says of MySQL's commands: their kinds, what they commit, what they name."""

from __future__ import annotations

import pytest

from proxy.sql.mysql.classify import classify
from proxy.sql.mysql.scanner import scan
from proxy.sql.statement import Action, Effect, Kind, RelationName, Statement
from proxy.types import Reason


def read(sql: str) -> Statement:
    return classify(scan(sql.encode()).fingerprint)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("BEGIN", Kind.BEGIN),
        ("BEGIN WORK", Kind.BEGIN),
        ("BEGIN NOT ATOMIC DELETE FROM t; END", Kind.OPAQUE),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", Kind.BEGIN),
        ("START SLAVE", Kind.UTILITY),
        ("COMMIT AND NO CHAIN RELEASE", Kind.COMMIT),
        ("COMMIT x", Kind.OPAQUE),
        ("ROLLBACK WORK", Kind.ROLLBACK),
        ("ROLLBACK WORK TO SAVEPOINT a", Kind.ROLLBACK_TO),
        ("SAVEPOINT a", Kind.SAVEPOINT),
        ("RELEASE SAVEPOINT a", Kind.RELEASE),
        ("XA START 'x'", Kind.XA),
        ("XA PREPARE 'x'", Kind.XA),
        ("XA ROLLBACK 'x'", Kind.XA),
        ("XA COMMIT 'x' ONE PHASE", Kind.OPAQUE),
        ("SET a = 1", Kind.SET),
        ("SET @a = 1", Kind.SET),
        ("SET GLOBAL a = 1", Kind.UTILITY),
        ("SET PERSIST a = 1", Kind.UTILITY),
        ("SET @@global.a = 1", Kind.UTILITY),
        ("SET GLOBAL a = 1, b = 2", Kind.UTILITY),
        ("SET GLOBAL a = 1, SESSION b = 2", Kind.SET),
        ("SET GLOBAL a = 1, @@b = 2", Kind.SET),
        ("SET GLOBAL a = 1, @b = 2", Kind.SET),
        ("SET NAMES utf8mb4 COLLATE utf8mb4_bin", Kind.SET),
        ("SET CHARACTER SET utf8", Kind.SET),
        ("SET TRANSACTION READ ONLY", Kind.SET_TRANSACTION),
        ("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", Kind.SET),
        ("SET GLOBAL TRANSACTION READ ONLY", Kind.UTILITY),
        ("SET PASSWORD = 'x'", Kind.SCHEMA),
        ("SET DEFAULT ROLE r TO u", Kind.SCHEMA),
        ("SET ROLE r", Kind.SET),
        ("SET role = 1", Kind.SET),
        ("SET x = NEXTVAL(s)", Kind.OPAQUE),
        ("SET STATEMENT max_statement_time=1 FOR SELECT 1", Kind.READ),
        ("SET STATEMENT lock_wait_timeout=-1, optimizer_switch='a=on' FOR (SELECT 1)", Kind.READ),
        ("SET STATEMENT sql_mode='ANSI' FOR SELECT 1", Kind.UTILITY),
        ("SET STATEMENT max_statement_time=1, time_zone='UTC' FOR SELECT 1", Kind.UTILITY),
        ("SET STATEMENT max_statement_time=(SELECT 1) FOR SELECT 1", Kind.UTILITY),
        ("SET STATEMENT max_statement_time=1 FOR SELECT 1 FOR UPDATE", Kind.LOCKING),
        ("SET STATEMENT max_statement_time=1 FOR DELETE FROM t", Kind.WRITE),
        ("SET STATEMENT a=1 FOR CALL p()", Kind.CALL),
        ("SET STATEMENT a=1 FOR SET b = 2", Kind.SET),
        ("SET STATEMENT a=1 FOR COMMIT", Kind.OPAQUE),
        ("SET STATEMENT a=1 FOR SAVEPOINT s", Kind.OPAQUE),
        ("SET STATEMENT a=1 FOR SHOW tidegate.consistency", Kind.OPAQUE),
        ("SET STATEMENT @a=1 FOR SELECT 1", Kind.OPAQUE),
        ("SET tidegate.consistency = 'bounded'", Kind.PROXY),
        ("SHOW tidegate.consistency", Kind.PROXY),
        ("EXPLAIN ROUTE SELECT 1", Kind.PROXY),
        ("SHOW TABLES", Kind.SHOW),
        ("USE d", Kind.USE),
        ("PREPARE s FROM 'DELETE FROM t'", Kind.PREPARE),
        ("EXECUTE s USING @a", Kind.EXECUTE),
        ("EXECUTE IMMEDIATE 'DELETE FROM t'", Kind.OPAQUE),
        ("DEALLOCATE PREPARE s", Kind.DEALLOCATE),
        ("DROP PREPARE s", Kind.DEALLOCATE),
        ("CALL p(1)", Kind.CALL),
        ("CALL d.p", Kind.CALL),
        ("CALL p(NEXTVAL(s))", Kind.OPAQUE),
        ("DO SLEEP(1)", Kind.UTILITY),
        ("DO NEXTVAL(s)", Kind.WRITE),
        ("HANDLER t OPEN", Kind.UTILITY),
        ("HANDLER t READ FIRST", Kind.UTILITY),
        ("HANDLER t EAT", Kind.OPAQUE),
        ("LOAD DATA INFILE 'x' INTO TABLE t", Kind.WRITE),
        ("LOAD INDEX INTO CACHE t", Kind.UTILITY),
        ("TRUNCATE t", Kind.WRITE),
        ("EXPLAIN SELECT 1", Kind.EXPLAIN),
        ("EXPLAIN DELETE FROM t", Kind.EXPLAIN),
        ("EXPLAIN ANALYZE DELETE FROM t", Kind.WRITE),
        ("EXPLAIN FORMAT=TREE INTO @x SELECT 1", Kind.EXPLAIN),
        ("EXPLAIN FOR CONNECTION 5", Kind.EXPLAIN),
        ("ANALYZE UPDATE t SET a=1", Kind.WRITE),
        ("ANALYZE FORMAT=JSON SELECT 1", Kind.EXPLAIN),
        ("ANALYZE TABLE t", Kind.UTILITY),
        ("DESC t", Kind.EXPLAIN),
        ("LOCK TABLES t READ", Kind.UTILITY),
        ("KILL QUERY 5", Kind.UTILITY),
        ("KILL wf()", Kind.OPAQUE),
        ("FLUSH TABLES", Kind.UTILITY),
        ("CREATE TABLE t (a INT)", Kind.SCHEMA),
        ("CREATE TABLE t SELECT NEXTVAL(s)", Kind.OPAQUE),
        ("CREATE TEMPORARY TABLE t (a INT)", Kind.UTILITY),
        ("CREATE OR REPLACE TEMPORARY TABLE t (a INT)", Kind.UTILITY),
        ("CREATE PROCEDURE p() DELETE FROM t", Kind.SCHEMA),
        ("CREATE PROCEDURE p() BEGIN DELETE FROM t; END", Kind.OPAQUE),
        ("DROP TEMPORARY TABLE t", Kind.UTILITY),
        ("DROP TABLE t, u", Kind.SCHEMA),
        ("GRANT SELECT ON *.* TO bob", Kind.SCHEMA),
        ("RENAME TABLE a TO b", Kind.SCHEMA),
        ("REPAIR TABLE t", Kind.SCHEMA),
        ("SIGNAL SQLSTATE '45000'", Kind.UTILITY),
        ("GET DIAGNOSTICS @a = NUMBER", Kind.UTILITY),
        ("BINLOG 'x'", Kind.OPAQUE),
        ("CHANGE MASTER TO MASTER_HOST='x'", Kind.UTILITY),
        ("HELP 'x'", Kind.UTILITY),
        ("SHUTDOWN", Kind.UTILITY),
        ("INSTALL PLUGIN x SONAME 'y'", Kind.SCHEMA),
        ("IMPORT TABLE FROM 'x'", Kind.SCHEMA),
        ("CLONE LOCAL DATA DIRECTORY = 'x'", Kind.OPAQUE),
        ("DELIMITER //", Kind.OPAQUE),
        ("IF 1 THEN DELETE FROM t; END IF", Kind.OPAQUE),
    ],
)
def test_a_command_has_its_kind(sql: str, kind: Kind) -> None:
    statement = read(sql)
    assert statement.kind is kind, statement.detail


def test_settings_that_a_statement_has_for_itself_are_named() -> None:
    sql = "SET STATEMENT `Max_Statement_Time`=1, b = 2 FOR SET STATEMENT c = 3 FOR SELECT a FROM t"
    statement = read(sql)
    assert statement.for_itself == {"max_statement_time", "b", "c"}
    assert statement.reads == {RelationName(None, "t")}
    found = read("SET STATEMENT max_statement_time=1 FOR SELECT a FROM t")
    assert found.cache_reason is Reason.SETTINGS
    assert found.reads == {RelationName(None, "t")}


@pytest.mark.parametrize(
    "sql",
    [
        *("BEGIN", "START TRANSACTION", "SET autocommit = 1", "SET PASSWORD = 'x'"),
        *("LOCK TABLES t WRITE", "UNLOCK TABLES", "FLUSH TABLES", "RESET MASTER", "TRUNCATE t"),
        *("OPTIMIZE TABLE t", "ANALYZE TABLE t", "CHECK TABLE t", "REPAIR TABLE t"),
        *("CACHE INDEX t IN k", "LOAD INDEX INTO CACHE t", "CREATE TABLE t (a INT)"),
        *("CREATE TABLE t SELECT 1", "DROP TABLE t", "ALTER TABLE t ADD a INT", "GRANT r TO u"),
        *("CREATE PROCEDURE p() BEGIN SELECT 1; END", "RENAME TABLE a TO b", "BACKUP STAGE START"),
        *("CREATE SEQUENCE s", "CREATE USER u", "INSTALL PLUGIN a SONAME 'b'", "STOP REPLICA"),
        *("IMPORT TABLE FROM 'x'", "CHANGE REPLICATION SOURCE TO SOURCE_HOST='x'"),
    ],
)
def test_what_commits_says_so(sql: str) -> None:
    """As MySQL 9.7 and MariaDB 10.11 did, one or both, when they were asked."""
    assert read(sql).ends_transaction


@pytest.mark.parametrize(
    "sql",
    [
        *("SELECT 1", "INSERT INTO t VALUES (1)", "SAVEPOINT a", "SET @a = 1", "SET NAMES utf8"),
        *("CREATE TEMPORARY TABLE t (a INT)", "DROP TEMPORARY TABLE t", "CHECKSUM TABLE t"),
        *("LOAD DATA INFILE 'x' INTO TABLE t", "USE d", "SHOW TABLES", "HANDLER t OPEN"),
        *(
            "LOCK INSTANCE FOR BACKUP",
            "EXPLAIN SELECT 1",
            "XA RECOVER",
            "SET TRANSACTION READ ONLY",
        ),
        *("PREPARE s FROM 'x'", "KILL 5", "SET GLOBAL a = 1", "SET ROLE NONE", "DO 1"),
    ],
)
def test_what_commits_nothing_says_nothing(sql: str) -> None:
    assert not read(sql).ends_transaction


@pytest.mark.parametrize(
    ("sql", "effects"),
    [
        ("SET @a = 1", {Effect.USER_VARIABLE}),
        ("SET a = @b", {Effect.SETTING, Effect.USER_VARIABLE}),
        ("SET a = 1, @b = 2", {Effect.SETTING, Effect.USER_VARIABLE}),
        ("SET NAMES utf8", {Effect.SETTING}),
        ("SET last_insert_id = 5", {Effect.SETTING, Effect.INSERT_ID}),
        ("SET RESOURCE GROUP x", {Effect.UNTRACKED}),
        ("LOCK TABLES t READ", {Effect.TABLE_LOCK}),
        ("FLUSH TABLES WITH READ LOCK", {Effect.TABLE_LOCK}),
        ("FLUSH TABLES t FOR EXPORT", {Effect.TABLE_LOCK}),
        ("HANDLER t OPEN", {Effect.HANDLER}),
        ("CREATE TEMPORARY TABLE t SELECT @a", {Effect.TEMPORARY, Effect.USER_VARIABLE}),
        ("DROP TEMPORARY TABLE t", {Effect.TEMPORARY}),
        ("SHOW WARNINGS", {Effect.ASKS_BEFORE}),
        ("SHOW COUNT(*) ERRORS", {Effect.ASKS_BEFORE}),
        ("GET DIAGNOSTICS @a = NUMBER", {Effect.ASKS_BEFORE, Effect.USER_VARIABLE}),
        ("PREPARE s FROM @a", {Effect.USER_VARIABLE}),
        ("EXECUTE s USING @a", {Effect.USER_VARIABLE}),
        ("DO RELEASE_LOCK('a')", {Effect.ADVISORY_LOCK}),
        ("CALL p(@x)", {Effect.USER_VARIABLE}),
    ],
)
def test_what_is_left_or_asked_for_is_told(sql: str, effects: set[Effect]) -> None:
    assert read(sql).effects == effects


@pytest.mark.parametrize(
    "sql",
    [
        "SET @a = wf()",
        "SET sort_buffer_size = 1 + wf()",
        "SET @a = (SELECT wf())",
        "SET STATEMENT a = wf() FOR SELECT 1",
        "SHOW TABLES WHERE wf()",
        "SHOW VARIABLES WHERE Variable_name = 'a' AND wf() = 1",
        "EXPLAIN SELECT * FROM (SELECT wf()) d",  # which MariaDB runs
        "ANALYZE SELECT wf()",
        "DO wf()",
        "CALL p(wf())",
        "CALL wf()",
        "HANDLER t READ FIRST WHERE wf() LIMIT 1",
        "LOAD DATA INFILE 'x' INTO TABLE t (a, @b) SET c = wf(@b), d = 1",
        "CREATE TABLE x SELECT wf()",
        "CREATE TABLE x (a INT) ENGINE=InnoDB AS (SELECT wf())",
        "CREATE TEMPORARY TABLE x WITH q AS (SELECT 1) SELECT wf() FROM q",
        "CREATE TEMPORARY TABLE x IGNORE SELECT wf()",
    ],
)
def test_no_call_in_a_command_is_overlooked(sql: str) -> None:
    statement = read(sql)
    assert statement.kind is not Kind.OPAQUE, statement.detail
    assert "wf" in {function.name for function in statement.functions}


def test_load_data_names_its_table_and_file() -> None:
    statement = read("LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE s.T FIELDS TERMINATED BY ','")
    assert statement.writes == {RelationName("s", "T")}
    assert statement.actions == {Action.INSERT, Action.DELETE}
    assert statement.detail == "load local"


def test_explained_changes_write_nothing() -> None:
    statement = read("EXPLAIN UPDATE t SET a = 1")
    assert not statement.writes
    assert statement.reads == {RelationName(None, "t")}


def test_some_commands_answer_with_rows() -> None:
    assert read("SHOW TABLES").returns_rows
    assert read("CHECK TABLE t").returns_rows
    assert read("XA RECOVER").returns_rows
    assert not read("XA END 'x'").returns_rows
    assert not read("DO 1").returns_rows
