"""What a statement means in one place, and for how long that is believed."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from proxy.freshness.ledger import Ledger
from proxy.freshness.tables import EVERY_DATABASE, everything_in, schema_of
from proxy.routing.plan import UNSEEN, Plan, Planner, Scope
from proxy.routing.reading import Reader
from proxy.sql.access import Access
from proxy.sql.statement import Statement
from proxy.types import Reason, Table, Token

ORDERS, ITEMS = Table("shop", 16384), Table("shop", 16385)
ANY = everything_in("shop")
SCHEMA = schema_of(EVERY_DATABASE)


class Catalog:
    """Says the same of every statement, and is asked no more often than it must."""

    def __init__(self, **access: Any) -> None:
        self.access = Access(**access)
        self.asked: list[tuple[Statement, tuple[str, ...], str]] = []

    def resolve(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Access:
        self.asked.append((statement, search_path, user))
        return self.access


@pytest.fixture
def ledger() -> Ledger:
    tokens = count(1)
    ledger = Ledger(Token(next(tokens)))
    ledger.new_epoch(Token(next(tokens)))
    return ledger


@pytest.fixture
def planner(ledger: Ledger) -> Planner:
    return Planner(ledger)


@pytest.fixture
def scope(planner: Planner) -> Scope:
    return planner.scope("shop", "ann", ("public",))


reader = Reader()


def statement(sql: str) -> Statement:
    return reader.read(sql.encode()).statements[0]


SELECT = statement("SELECT a FROM orders")
INSERT = statement("INSERT INTO orders VALUES (1)")


def know(planner: Planner, **access: Any) -> Catalog:
    catalog = Catalog(**access)
    planner.know("shop", catalog)  # type: ignore[arg-type]
    return catalog


def test_a_read_that_may_leave_the_primary(planner: Planner, scope: Scope) -> None:
    know(planner, read_set=frozenset({ORDERS}))
    plan = planner.plan(scope, SELECT)
    assert plan.reason is Reason.REPLICA
    assert plan.read_set is not None
    assert plan.read_set.tables == {ORDERS}
    assert plan.uncached is None
    assert not plan.writes
    assert not plan.taints


def test_a_read_that_may_not_says_why(planner: Planner, scope: Scope) -> None:
    know(planner, replica=Reason.FUNCTION, detail="f", exact=False, taints=True)
    plan = planner.plan(scope, SELECT)
    assert plan.read_set is None
    assert (plan.reason, plan.detail) == (Reason.FUNCTION, "f")
    assert plan.writes == {ANY, SCHEMA}
    assert plan.taints


def test_a_read_that_may_not_be_kept_says_why(planner: Planner, scope: Scope) -> None:
    know(planner, read_set=frozenset({ORDERS}), cache=Reason.VOLATILE)
    plan = planner.plan(scope, SELECT)
    assert plan.read_set is not None
    assert plan.uncached is Reason.VOLATILE


def test_a_write_of_one_table_is_counted_by_its_tag(planner: Planner, scope: Scope) -> None:
    know(planner, write_set=frozenset({ORDERS}))
    plan = planner.plan(scope, INSERT)
    assert plan.writes == {ORDERS}
    assert plan.counts == ORDERS
    assert plan.reason is Reason.WRITE


def test_a_write_with_a_cascade_is_not(planner: Planner, scope: Scope) -> None:
    know(planner, write_set=frozenset({ORDERS, ITEMS}))
    assert planner.plan(scope, INSERT).counts is None


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("DO 'x'", {ANY, SCHEMA}),
        ("not SQL at all", {ANY, SCHEMA}),
        ("CREATE TABLE x (a int)", {SCHEMA}),
        ("GRANT SELECT ON orders TO bob", {SCHEMA}),
        ("BEGIN", set()),
        ("COMMIT", set()),
        ("SET a TO 1", set()),
        ("", set()),
    ],
)
def test_what_needs_no_catalog(
    planner: Planner, scope: Scope, sql: str, writes: set[Table]
) -> None:
    plan = planner.plan(scope, statement(sql))
    assert plan.writes == writes
    assert plan.read_set is None


def test_only_what_is_not_understood_may_commit_by_itself(planner: Planner, scope: Scope) -> None:
    assert planner.plan(scope, statement("DO 'x'")).may_commit
    assert not planner.plan(scope, INSERT).may_commit
    assert not planner.plan(scope, statement("CREATE TABLE x (a int)")).may_commit


def test_a_temporary_table_is_seen_by_nobody_else(planner: Planner, scope: Scope) -> None:
    know(planner)
    assert not planner.plan(scope, statement("CREATE TEMP TABLE x (a int)")).writes


@pytest.mark.parametrize("sql", ["SELECT a FROM orders", "SELECT f()", "UPDATE orders SET a = 1"])
def test_without_a_catalog_anything_may_be_written(
    planner: Planner, scope: Scope, sql: str
) -> None:
    """A view may call what writes."""
    plan = planner.plan(scope, statement(sql))
    assert plan.read_set is None
    assert ANY in plan.writes


def test_a_plan_is_made_once(planner: Planner, scope: Scope) -> None:
    catalog = know(planner, read_set=frozenset({ORDERS}))
    assert planner.plan(scope, SELECT) is planner.plan(scope, SELECT)
    assert catalog.asked == [(SELECT, ("public",), "ann")]


def test_a_plan_belongs_to_its_scope(planner: Planner, scope: Scope) -> None:
    catalog = know(planner, read_set=frozenset({ORDERS}))
    other = planner.scope("shop", "bob", ("sales", "public"))
    assert planner.plan(other, SELECT) is not planner.plan(scope, SELECT)
    assert [(path, user) for _, path, user in catalog.asked] == [
        (("sales", "public"), "bob"),
        (("public",), "ann"),
    ]
    assert planner.scope("shop", "bob", ("sales", "public")) is other


def test_scopes_have_a_limit(ledger: Ledger) -> None:
    planner = Planner(ledger, limit=2)
    first = planner.scope("shop", "u0", ())
    for number in range(1, 4):
        planner.scope("shop", f"u{number}", ())
    assert planner.scope("shop", "u0", ()) is not first


def test_plans_have_a_limit(ledger: Ledger) -> None:
    planner = Planner(ledger, limit=2)
    scope = planner.scope("shop", "ann", ("public",))
    for number in range(5):
        planner.plan(scope, statement(f"SET a{number} TO 1"))
    assert len(scope.plans) <= 3


def test_the_latest_plans_stay(ledger: Ledger) -> None:
    planner = Planner(ledger, limit=4)
    scope = planner.scope("shop", "ann", ("public",))
    statements = [statement(f"SET a{number} TO 1") for number in range(6)]
    plans = [planner.plan(scope, it) for it in statements]
    assert planner.plan(scope, statements[5]) is plans[5]
    assert planner.plan(scope, statements[4]) is plans[4]


def test_a_new_catalog_makes_new_plans(planner: Planner, scope: Scope) -> None:
    know(planner, read_set=frozenset({ORDERS}))
    before = planner.plan(scope, SELECT)
    know(planner, read_set=frozenset({ITEMS}))
    after = planner.plan(scope, SELECT)
    assert after is not before
    assert after.read_set is not None
    assert after.read_set.tables == {ITEMS}


@pytest.mark.parametrize("database", ["shop", None])
def test_a_catalog_that_is_distrusted_is_not_asked(
    planner: Planner, scope: Scope, database: str | None
) -> None:
    catalog = know(planner, read_set=frozenset({ORDERS}))
    planner.plan(scope, SELECT)
    planner.distrust(database)
    assert not planner.is_known("shop")
    assert planner.plan(scope, SELECT).reason is Reason.CATALOG_LOADING
    assert len(catalog.asked) == 1


def is_current(planner: Planner, plan: Plan) -> bool:
    return plan.generation == planner.generation


def test_a_plan_is_of_an_old_generation_once_its_catalog_is_distrusted(
    planner: Planner, scope: Scope
) -> None:
    know(planner, write_set=frozenset({ORDERS}))
    plan = planner.plan(scope, INSERT)
    assert is_current(planner, plan)
    planner.distrust("shop")
    assert not is_current(planner, plan)


def test_a_catalog_that_is_believed_again_is_as_good_as_new(planner: Planner, scope: Scope) -> None:
    """Most changes of definitions are none: the catalog that was read last is read again."""
    catalog = know(planner, write_set=frozenset({ORDERS}))
    planner.plan(scope, INSERT)
    planner.distrust()
    planner.know("shop", catalog)  # type: ignore[arg-type]
    assert is_current(planner, planner.plan(scope, INSERT))


def test_a_change_in_another_database_leaves_plans_alone(planner: Planner, scope: Scope) -> None:
    know(planner, write_set=frozenset({ORDERS}))
    planner.plan(scope, INSERT)
    planner.distrust("web")
    assert planner.is_known("shop")
    assert is_current(planner, planner.plan(scope, INSERT))


def test_the_server_is_asked_of_what_its_locks_tell(planner: Planner, scope: Scope) -> None:
    know(planner, exact=False, write_set=frozenset({ITEMS}))
    plan = planner.plan(scope, SELECT)
    assert plan.discovers
    assert plan.known == {ITEMS}
    know(planner, exact=False, hidden=True)
    assert not planner.plan(scope, SELECT).discovers


def test_the_server_is_asked_of_what_nobody_has_seen(planner: Planner, scope: Scope) -> None:
    """Counted for everything, each would have definitions read again."""
    know(planner)
    plan = planner.plan(scope, UNSEEN)
    assert plan.discovers
    assert plan.known == frozenset()
    assert plan.writes == planner.everything("shop")
    assert plan.taints
    assert not plan.may_commit
    assert plan.read_set is None


CALL = statement("CALL p()")


def test_what_was_called_while_definitions_were_read_is_judged_by_them(
    planner: Planner, scope: Scope
) -> None:
    """Else it would have them read again, and meanwhile the next one is called."""
    suspect = planner.plan(scope, CALL)
    assert not planner.may_have_redefined("shop", [suspect])
    know(planner, write_set=frozenset({ITEMS}))
    assert planner.is_known("shop")
    assert not planner.may_have_redefined("shop", [suspect])


@pytest.mark.parametrize("does", [{"exact": False}, {"schema": True}])
def test_definitions_that_a_suspect_may_have_changed_are_read_again(
    planner: Planner, scope: Scope, does: dict[str, bool]
) -> None:
    suspect = planner.plan(scope, CALL)
    assert not planner.may_have_redefined("shop", [suspect])
    know(planner, **does)
    assert not planner.is_known("shop")
    know(planner, **does)
    assert planner.is_known("shop")
    assert planner.may_have_redefined("shop", [suspect])


@pytest.mark.parametrize("is_known", [True, False])
def test_what_certainly_changes_definitions_is_no_suspect(
    planner: Planner, scope: Scope, is_known: bool
) -> None:
    suspect = planner.plan(scope, CALL)
    if is_known:
        know(planner)
    certain = planner.plan(scope, statement("CREATE TABLE t ()"))
    assert planner.may_have_redefined("shop", [suspect, certain])


def test_without_a_catalog_a_procedure_may_do_anything(planner: Planner, scope: Scope) -> None:
    plan = planner.plan(scope, CALL)
    assert plan.writes == {ANY, SCHEMA}
    assert plan.may_commit
    assert plan.commits
    assert plan.taints


def test_a_procedure_writes_what_its_body_does(planner: Planner, scope: Scope) -> None:
    know(planner, write_set=frozenset({ORDERS}))
    plan = planner.plan(scope, CALL)
    assert plan.writes == {ORDERS}
    assert plan.counts is None
    assert not plan.may_commit
    assert not plan.commits
    assert plan.read_set is None


@pytest.mark.parametrize("hidden", [False, True])
def test_a_procedure_that_can_be_looked_into_commits_in_no_transaction(
    planner: Planner, scope: Scope, hidden: bool
) -> None:
    know(planner, exact=False, commits=True, hidden=hidden)
    plan = planner.plan(scope, CALL)
    assert plan.commits
    assert plan.may_commit is hidden
    assert plan.discovers is not hidden


def test_definitions_that_a_body_changes_count(planner: Planner, scope: Scope) -> None:
    know(planner, schema=True, write_set=frozenset({ORDERS}))
    assert planner.plan(scope, SELECT).writes == {ORDERS, SCHEMA}
