"""What runs beneath a statement: bodies of functions, triggers and rules, each where it is run."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.sql.classify import classify
from proxy.sql.scanner import scan
from proxy.types import Reason
from tests.unit.sql.test_catalog import Database, tables


@pytest.fixture
def database() -> Database:
    return Database()


def sql_function(
    database: Database, name: str, source: str, volatility: str = "s", **more: Any
) -> int:
    return database.body(database.routine(name, volatility, 0), source, "sql", **more)


def block(database: Database, name: str, statements: str, volatility: str = "v") -> int:
    return database.body(database.routine(name, volatility, 0), f"BEGIN {statements} END")


def builtin(database: Database, name: str, volatility: str, arguments: int) -> None:
    oid = len(database.rows["routines"]) + 100
    row = (oid, "pg_catalog", name, volatility, arguments, 0, True, False, False, None)
    database.rows["routines"].append(row)


def test_a_stable_function_is_a_read_of_its_tables(database: Database) -> None:
    table = database.relation("t")
    sql_function(database, "f", "SELECT max(a) FROM t")
    builtin(database, "max", "i", 1)
    access = database.resolve("SELECT f()")
    assert access.read_set == tables(table)
    assert access.replica is None
    assert access.cache is None


def test_a_volatile_function_that_writes_nothing_stays_on_the_primary(database: Database) -> None:
    table = database.relation("t")
    block(database, "f", "PERFORM 1 FROM t;")
    access = database.resolve("SELECT f()")
    assert access.replica is Reason.FUNCTION
    assert access.exact
    assert not access.taints
    assert access.read_set == tables(table)
    assert access.write_set == frozenset()


def test_an_immutable_function_is_trusted_and_its_tables_are_read(database: Database) -> None:
    table = database.relation("t")
    block(database, "f", "PERFORM now() FROM t; EXECUTE x; PERFORM random();", "i")
    access = database.resolve("SELECT f()")
    assert access.read_set == tables(table)
    assert access.replica is None
    assert access.cache is None
    assert access.exact


@pytest.mark.parametrize("label", ["s", "v"])
def test_what_a_body_writes_is_told(database: Database, label: str) -> None:
    table, other = database.relation("t"), database.relation("u")
    block(database, "f", "INSERT INTO t SELECT * FROM u; PERFORM f();", label)
    access = database.resolve("SELECT f()")
    assert access.write_set == tables(table)
    assert access.read_set == tables(table, other)
    assert access.exact
    assert not access.schema
    assert access.replica is not None


@pytest.mark.parametrize(
    "statements",
    [
        "EXECUTE x;",
        "DO $$BEGIN END$$;",
        "PERFORM unheard_of();",
        "nonsense",
        "DROP TABLE t;",
        "CALL p();",
    ],
)
def test_what_cannot_be_told_may_be_anything(database: Database, statements: str) -> None:
    table = database.relation("t")
    block(database, "f", f"UPDATE t SET a = 1; {statements}")
    access = database.resolve("SELECT f()")
    assert not access.exact
    assert access.schema
    assert access.replica is not None
    assert access.write_set <= tables(table)


@pytest.mark.parametrize(
    "statement",
    [
        *("CREATE TABLE u (a int);", "EXECUTE 'GRANT SELECT ON t TO PUBLIC';"),
        "EXECUTE $x$CREATE VIEW v AS SELECT 1$x$;",
    ],
)
def test_what_a_body_does_to_definitions_is_told(database: Database, statement: str) -> None:
    block(database, "f", statement)
    access = database.resolve("SELECT f()")
    assert access.schema
    assert not access.hidden


def test_an_immutable_function_that_calls_what_writes_is_no_read(database: Database) -> None:
    table = database.relation("t")
    block(database, "writes", "INSERT INTO t VALUES (1);")
    sql_function(database, "f", "SELECT public.writes()", "i")
    access = database.resolve("SELECT f()")
    assert access.replica is Reason.WRITE
    assert access.write_set == tables(table)


@pytest.mark.parametrize("source", ["EXECUTE x;", "INSERT INTO t VALUES (1);"])
def test_nor_is_one_that_calls_what_may_write_anything(database: Database, source: str) -> None:
    table = database.relation("t")
    database.add("triggers", table, 4)
    block(database, "writes", source)
    sql_function(database, "f", "SELECT public.writes()", "i")
    access = database.resolve("SELECT f()")
    assert access.replica is not None
    assert not access.exact


def test_a_stable_function_in_another_language_stays_as_it_was(database: Database) -> None:
    database.routine("f", "s", 0)
    access = database.resolve("SELECT f()")
    assert access.replica is Reason.FUNCTION
    assert access.exact


def test_names_in_a_body_follow_the_callers_path_or_its_own(database: Database) -> None:
    mine, yours = database.relation("t", schema="mine"), database.relation("t", schema="yours")
    users = database.relation("t", schema="bob")
    owners = database.relation("t", schema="alice")
    sql_function(database, "f", "SELECT 1 FROM t")
    sql_function(database, "own", "SELECT 1 FROM t", settings=["search_path=yours"])
    sql_function(database, "calls", "SELECT public.f()", settings=["search_path=yours"])
    sql_function(database, "empty", "SELECT 1 FROM mine.t", settings=['search_path=""'])
    sql_function(database, "definer", "SELECT 1 FROM t", owner="alice")
    database.view("v", "SELECT public.f()")
    path = ("public", "mine")
    assert database.resolve("SELECT f()", path).read_set == tables(mine)
    assert database.resolve("SELECT * FROM v", path).read_set == tables(mine)
    assert database.resolve("SELECT own()", path).read_set == tables(yours)
    assert database.resolve("SELECT calls()", path).read_set == tables(yours)
    assert database.resolve("SELECT empty()", path).read_set == tables(mine)
    assert database.resolve("SELECT f()", ("public", "$user")).read_set == tables(users)
    assert database.resolve("SELECT definer()", ("public", "$user")).read_set == tables(owners)


@pytest.mark.parametrize(
    "setting", ["standard_conforming_strings=off", "role=bob", "search_path=a b"]
)
def test_a_setting_that_changes_what_text_means_hides_it(database: Database, setting: str) -> None:
    sql_function(database, "f", "SELECT 1", "v", settings=[setting])
    assert not database.resolve("SELECT f()").exact


@pytest.mark.parametrize(
    "sets",
    [
        "SET search_path TO other;",
        'SET LOCAL "Search_Path" TO other;',
        "SET ROLE alice;",
        "RESET ALL;",
        "PERFORM set_config('search_path', 'other', true);",
        "PERFORM set_config(x, 'other', true);",
    ],
)
def test_a_body_that_changes_the_path_makes_every_bare_name_uncertain(
    database: Database, sets: str
) -> None:
    database.relation("t")
    block(database, "sets", sets)
    block(database, "bare", "INSERT INTO t VALUES (1);")
    block(database, "full", "INSERT INTO public.t VALUES (1);")
    assert not database.resolve("SELECT sets(), bare()").exact
    access = database.resolve("SELECT sets(), full()")
    assert access.exact
    assert access.taints


def test_a_custom_setting_changes_no_name(database: Database) -> None:
    table = database.relation("t")
    block(database, "f", "PERFORM set_config('app.x', 'y', true); INSERT INTO t VALUES (1);")
    access = database.resolve("SELECT f()")
    assert access.exact
    assert access.taints
    assert access.write_set == tables(table)


def test_a_clock_in_a_body_counts(database: Database) -> None:
    sql_function(database, "f", "SELECT now()")
    sql_function(database, "g", "SELECT 'today'::text")
    sql_function(database, "h", "SELECT random()")
    assert database.resolve("SELECT f()").cache is Reason.CLOCK
    assert database.resolve("SELECT f()").clock
    assert database.resolve("SELECT g()").cache is Reason.CLOCK
    assert database.resolve("SELECT h()").cache is Reason.VOLATILE


def test_a_text_that_becomes_a_time_in_a_variable_may_say_now(database: Database) -> None:
    database.add("time_types", 1184, "timestamptz")
    for name, body, signature, reason in (
        ("f", "DECLARE t timestamptz; BEGIN RETURN 1; END", [23, 25], Reason.CLOCK),
        ("g", "BEGIN RETURN x; END", [1184, 25], Reason.CLOCK),
        ("h", "BEGIN RETURN 1; END", [23, 1184], None),
        ("i", "BEGIN x := 'to' || 'day'; RETURN 1; END", [23, 1184], Reason.CLOCK),
        ("j", "DECLARE r record; BEGIN r.x := y; RETURN 1; END", [23, 25], Reason.CLOCK),
        ("k", "DECLARE r int; BEGIN r := y; RETURN 1; END", [23, 25], None),
    ):
        database.body(database.routine(name, "s", 1), body, signature=signature)
        assert database.resolve(f"SELECT {name}(1)").cache is reason, name


def test_a_cursor_left_open_is_at_the_primary(database: Database) -> None:
    block(database, "f", "OPEN c FOR SELECT 1; RETURN c;", "s")
    assert database.resolve("SELECT f()").replica is Reason.FUNCTION


def test_defaults_of_arguments_are_followed(database: Database) -> None:
    table = database.relation("t")
    block(database, "g", "INSERT INTO public.t VALUES (1); RETURN 1;")
    oid = database.routine("f", "v", 1, defaults=1)
    database.body(oid, "SELECT 1", "sql", defaults="public.g()")
    assert database.resolve("SELECT f()").write_set == tables(table)


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN ATOMIC\n SELECT 1 FROM public.t;\n SELECT CASE 1 WHEN 1 THEN 2 END;\nEND",
        "RETURN ( SELECT 1 FROM public.t)",
    ],
)
def test_a_body_in_sql_is_what_the_server_wrote(database: Database, body: str) -> None:
    table = database.relation("t")
    head = "CREATE OR REPLACE FUNCTION public.f(a text DEFAULT 'RETURN 1'::text)\n STABLE"
    sql_function(database, "f", "", definition=f"{head}\n{body}\n")
    assert database.resolve("SELECT f()").read_set == tables(table)


def test_a_trigger_is_followed_and_so_is_what_it_sets_off(database: Database) -> None:
    first, second, third = (database.relation(name) for name in "abc")
    database.add("triggers", first, 4, block(database, "f", "UPDATE b SET x = 1; RETURN NEW;"))
    database.add("triggers", second, 16, block(database, "g", "DELETE FROM c; RETURN NEW;"))
    database.add("triggers", third, 8, block(database, "h", "INSERT INTO a VALUES (1);"))
    access = database.resolve("INSERT INTO a VALUES (1)")
    assert access.write_set == tables(first, second, third)
    assert access.exact
    assert not access.counted
    assert database.resolve("UPDATE a SET x = 1").write_set == tables(first)


def test_the_condition_of_a_trigger_counts(database: Database) -> None:
    table, other = database.relation("a"), database.relation("b")
    block(database, "asks", "INSERT INTO b VALUES (1);")
    function = block(database, "f", "RETURN NEW;")
    definition = (
        "CREATE TRIGGER t BEFORE INSERT ON public.a FOR EACH ROW"
        " WHEN ((public.asks() = new.x)) EXECUTE FUNCTION public.f()"
    )
    database.add("triggers", table, 4, function, False, definition)
    assert database.resolve("INSERT INTO a VALUES (1)").write_set == tables(table, other)


def test_a_trigger_that_may_run_at_commit_looks_in_every_schema(database: Database) -> None:
    table, other = database.relation("a"), database.relation("b", schema="elsewhere")
    function = block(database, "f", "INSERT INTO b VALUES (1); RETURN NEW;")
    database.add("triggers", table, 4, function, True)
    assert database.resolve("INSERT INTO a VALUES (1)").write_set == tables(table, other)


@pytest.mark.parametrize(
    ("rule", "written"),
    [
        ("DO INSTEAD NOTHING", "a"),
        ("DO ALSO INSERT INTO public.b SELECT new.x", "ab"),
        (
            "WHERE (new.x > 1) DO INSTEAD"
            " ( UPDATE public.b SET x = new.x;\n DELETE FROM public.c;\n)",
            "abc",
        ),
        ("DO ALSO SELECT 1 FROM public.c", "a"),
        ("WHERE (EXISTS ( SELECT public.f())) DO ALSO NOTHING", "ac"),
    ],
)
def test_rules_are_followed(database: Database, rule: str, written: str) -> None:
    oids = {name: database.relation(name) for name in "abc"}
    block(database, "f", "DELETE FROM public.c;")
    text = f"CREATE RULE r AS\n    ON INSERT TO public.a {rule};"
    database.add("rules", oids["a"], "3", text)
    access = database.resolve("INSERT INTO a VALUES (1)")
    assert access.write_set == tables(*(oids[name] for name in written))
    assert access.exact
    assert database.resolve("DELETE FROM a").write_set == tables(oids["a"])


@pytest.mark.parametrize("rule", [None, "?", "CREATE RULE r AS ON INSERT TO public.a DO ALSO ("])
def test_a_rule_that_is_not_understood_may_do_anything(
    database: Database, rule: str | None
) -> None:
    table = database.relation("a")
    database.add("rules", table, "3", rule)
    assert not database.resolve("INSERT INTO a VALUES (1)").exact


def test_functions_without_end_are_refused(database: Database) -> None:
    for number in range(80):
        block(database, f"f{number}", f"PERFORM f{number + 1}();")
    assert not database.resolve("SELECT f0()").exact


def test_what_is_declared_overrides_what_is_written(database: Database) -> None:
    one, two = database.relation("t"), database.relation("u")
    block(database, "f", "EXECUTE x;")
    database.routine("c", "v", 2)
    database.declare("f", reads="t", label="s")
    database.declare("c", reads="t", writes="u")
    access = database.resolve("SELECT f()")
    assert (access.read_set, access.replica, access.cache) == (tables(one), None, None)
    access = database.resolve("SELECT c(1, 2)")
    assert access.write_set == tables(two)
    assert access.read_set == tables(one, two)
    assert access.exact


def test_a_declaration_with_a_table_that_is_not_there_is_not_believed(database: Database) -> None:
    database.relation("t")
    database.routine("f", "v", 0)
    database.declare("f", reads="t nothing", label="s")
    assert database.catalog().problems == ["public.f: there is no public.nothing"]
    assert not database.resolve("SELECT f()").exact


def test_a_policy_may_ask_for_custom_settings(database: Database) -> None:
    builtin(database, "current_setting", "s", 2)
    for name, asked in (
        ("good", "current_setting('App.tenant'::text, true)"),
        ("bad", "current_setting('work_mem'::text)"),
        ("made", "current_setting(('app.'::text || a))"),
    ):
        oid = database.relation(name, secured=True)
        database.add("policies", oid, f"(tenant = {asked})")
    access = database.resolve("SELECT * FROM good")
    assert access.replica is None
    assert access.settings == {"app.tenant"}
    for name in ("bad", "made"):
        assert database.resolve(f"SELECT * FROM {name}").replica is Reason.FUNCTION


def test_the_way_to_each_table_is_told(database: Database) -> None:
    table = database.relation("t")
    child = database.relation("child")
    database.add("foreign_keys", child, table, "a", "c", "bob")
    block(database, "f", "DELETE FROM t; RETURN 1;")
    database.view("v", "SELECT public.f() FROM public.child")
    statement = classify(scan(b"SELECT * FROM v, child c").fingerprint)
    function = "view public.v -> function public.f"
    assert set(database.catalog().trace(statement, ("public",), "bob")) >= {
        ("public.t", function, False),
        ("public.t", function, True),
        ("public.child", f"{function} -> cascade to public.child", True),
    }


def test_a_stable_function_that_is_not_understood_stays_as_it_was(database: Database) -> None:
    table = database.relation("t")
    odd = "SELECT * FROM JSON_TABLE(x, '$' COLUMNS (a int)) j"
    sql_function(database, "f", odd)
    sql_function(database, "g", odd, "i")
    access = database.resolve("SELECT f()")
    assert access.replica is Reason.FUNCTION
    assert access.exact
    assert not access.taints
    sql_function(database, "h", f"SELECT 1 FROM t; {odd}", "i")
    assert database.resolve("SELECT g()").replica is None
    assert database.resolve("SELECT h()").read_set == tables(table)


def test_event_triggers_hear_of_temporary_tables(database: Database) -> None:
    table = database.relation("t")
    assert database.resolve("CREATE TEMP TABLE x (id int)").exact
    database.add("event_triggers", block(database, "f", "INSERT INTO t VALUES (1);"))
    access = database.resolve("CREATE TEMP TABLE x (id int)")
    assert access.write_set == tables(table)
    assert database.resolve("SELECT 1 FROM t").write_set == frozenset()


@pytest.mark.parametrize(
    ("statements", "hidden"),
    [
        ("EXECUTE what;", False),
        ("EXECUTE what; INSERT INTO t VALUES (1);", False),
        ("PERFORM set_config('search_path', x, true); INSERT INTO t VALUES (1);", False),
        ("PERFORM dblink_exec('dbname=shop', 'DELETE FROM t');", True),
        ("EXECUTE what; PERFORM dblink('dbname=shop', 'SELECT f()');", True),
        ("PERFORM in_c();", True),
        ("PERFORM never_heard_of();", True),
    ],
)
def test_what_goes_past_the_transaction_is_hidden_from_its_locks(
    database: Database, statements: str, hidden: bool
) -> None:
    database.relation("t")
    database.routine("in_c", "v", 0)
    builtin(database, "set_config", "v", 3)
    block(database, "f", statements)
    access = database.resolve("SELECT f()")
    assert not access.exact
    assert access.hidden is hidden


@pytest.mark.parametrize(
    ("statements", "exact", "commits"),
    [
        ("DELETE FROM t;", True, False),
        ("DELETE FROM t; COMMIT;", True, True),
        ("BEGIN DELETE FROM t; ROLLBACK; END;", True, True),
        ("DELETE FROM t; CALL commits();", True, True),
        ("DELETE FROM t; CALL atomic();", True, False),
        ("DELETE FROM t; CALL definer();", True, False),
        ("DELETE FROM t; CALL in_sql();", True, False),
        ("DELETE FROM t; PERFORM commits();", True, False),  # refused
        ("DELETE FROM t; PERFORM calls();", True, False),
        ("DELETE FROM t; PERFORM commits(); CALL commits();", True, True),
        ("EXECUTE x; DELETE FROM t;", False, False),
        ("EXECUTE x; DELETE FROM t; COMMIT;", False, True),
    ],
)
def test_what_a_procedure_writes_and_whether_it_commits_is_told(
    database: Database, statements: str, exact: bool, commits: bool
) -> None:
    table = database.relation("t")
    block(database, "commits", "COMMIT;")
    block(database, "calls", "CALL commits();")
    calls = "BEGIN CALL commits(); END"
    for name, more in (("atomic", {"settings": ["work_mem=1MB"]}), ("definer", {"owner": "amy"})):
        database.body(database.routine(name, "v", 0), calls, **more)  # type: ignore[arg-type]
    sql_function(database, "in_sql", "CALL commits()", "v")
    block(database, "p", statements)
    access = database.resolve("CALL p()")
    assert access.exact is exact
    assert access.commits is commits
    assert access.write_set == tables(table)
    assert access.replica is not None
    assert not access.hidden


@pytest.mark.parametrize(
    "statements", ["DO 'BEGIN END';", "CALL in_perl();", "nonsense", "CALL unheard_of();"]
)
def test_a_procedure_that_cannot_be_looked_into_is_hidden(
    database: Database, statements: str
) -> None:
    database.routine("in_perl", "v", 0)
    block(database, "p", statements)
    access = database.resolve("CALL p()")
    assert not access.exact
    assert access.hidden
    assert database.resolve("CALL in_perl()").hidden


@pytest.mark.parametrize(
    ("statements", "exact", "commits"),
    [
        ("DELETE FROM t;", True, False),
        ("DELETE FROM t; COMMIT;", True, True),
        ("CALL p();", True, True),
        ("PERFORM f();", True, False),
        ("EXECUTE x; DELETE FROM t;", False, False),
    ],
)
def test_what_a_do_writes_and_whether_it_commits_is_told(
    database: Database, statements: str, exact: bool, commits: bool
) -> None:
    table = database.relation("t")
    block(database, "p", "DELETE FROM t; COMMIT;")
    block(database, "f", "DELETE FROM t;")
    access = database.resolve(f"DO $$BEGIN {statements} END$$")
    assert access.exact is exact
    assert access.commits is commits
    assert access.write_set == tables(table)
    assert not access.hidden


@pytest.mark.parametrize(
    "text",
    [
        "DO 'x'",
        "DO $$BEGIN DO 'BEGIN END'; END$$",
        "DO $$BEGIN DELETE FROM t; END$$ LANGUAGE plpython3u",
        "DO LANGUAGE 'sql' 'DELETE FROM t'",
        r"DO E'BEGIN DELETE FROM t; END'",
        r"DO 'BEGIN DELETE FROM t; PERFORM ''\''''; END'",
        "DO 'BEGIN ' 'DELETE FROM t; END'",
        "DO",
        f"DO $$BEGIN DELETE FROM t; {' ' * 8192} END$$",
    ],
)
def test_a_do_that_cannot_be_looked_into_is_hidden(database: Database, text: str) -> None:
    database.relation("t")
    access = database.resolve(text)
    assert not access.exact
    assert access.taints
    assert access.hidden


def test_a_function_among_the_arguments_counts(database: Database) -> None:
    table = database.relation("t")
    block(database, "f", "DELETE FROM t; COMMIT;")
    database.body(database.routine("p", "v", 1), "BEGIN END")
    access = database.resolve("CALL p(f())")
    assert access.write_set == tables(table)
    assert access.exact
