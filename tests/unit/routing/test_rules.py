"""Which rule a statement matches, and what group, rule, session and hint come to."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Any

import pytest

from proxy.freshness.contracts import STRONG, Contract
from proxy.freshness.ledger import Ledger
from proxy.routing.plan import Plan, Planner
from proxy.routing.reading import Reader
from proxy.routing.rules import Candidates, Match, RuleBook
from proxy.routing.terms import NO_WISHES, Wishes, agree
from proxy.settings.rule import Rule
from proxy.sql.digest import digest
from proxy.sql.hints import read_hint
from proxy.types import Consistency, Reason, Token
from tests.unit.session.stage import Catalog

PATH = ("public",)
BOUNDED, EVENTUAL, SESSION = Consistency.BOUNDED, Consistency.EVENTUAL, Consistency.SESSION


def rule(**settings: Any) -> Rule:
    return Rule(**settings)


def names(found: Candidates | None) -> list[str]:
    return [] if found is None else [match.name for match in found.matches]


class Catalogue(Catalog):
    """With a view that leads to another table."""

    def resolve(self, statement: Any, search_path: tuple[str, ...], user: str) -> Any:
        access = super().resolve(statement, search_path, user)
        if any(relation.name == "summary" for relation in statement.reads):
            access.read_set = access.read_set | {self.table("orders")}
        return access


class Place:
    """A database in which statements are planned."""

    def __init__(self) -> None:
        tokens: Iterator[int] = count(1)
        self.planner = Planner(Ledger(Token(next(tokens))))
        self.catalog: Any = Catalogue("shop")
        self.planner.know("shop", self.catalog)
        self.reader = Reader()
        self.scope = self.planner.scope("shop", "ann", PATH)

    def plan(self, sql: str) -> Plan:
        return self.planner.plan(self.scope, self.reader.read(sql.encode()).statements[0])

    def verdict(self, book: RuleBook, sql: str) -> str | None:
        found = book.candidates("ann", "shop", "psql", "10.0.0.7")
        if found is None:
            return None
        match = found.verdict(self.plan(sql), self.catalog, PATH)
        return None if match is None else match.name


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.mark.parametrize(
    ("conditions", "is_matched"),
    [
        ({}, True),
        ({"user": "ann"}, True),
        ({"user": ["bob", "a??"]}, True),
        ({"user": "Ann"}, False),
        ({"database": "shop*"}, True),
        ({"database": "shop", "user": "bob"}, False),
        ({"application_name": "ps*"}, True),
        ({"application_name": "pg*"}, False),
        ({"client": "10.0.0.0/24"}, True),
        ({"client": ["192.168.0.0/16", "10.0.0.7"]}, True),
        ({"client": "local"}, False),
        ({"client": "::/0"}, False),
    ],
)
def test_conditions_on_the_session(conditions: dict[str, Any], is_matched: bool) -> None:
    found = RuleBook([rule(**conditions)]).candidates("ann", "shop", "psql", "10.0.0.7")
    assert (found is not None) is is_matched


@pytest.mark.parametrize(
    ("client", "network", "is_matched"),
    [
        ("local", "local", True),
        ("local", "0.0.0.0/0", False),
        ("::ffff:10.0.0.7", "10.0.0.0/8", True),
        ("::1", "::1", True),
        ("unknown", "0.0.0.0/0", False),
    ],
)
def test_where_a_client_is(client: str, network: str, is_matched: bool) -> None:
    found = RuleBook([rule(client=network)]).candidates("ann", "shop", "", client)
    assert (found is not None) is is_matched


@pytest.mark.parametrize(
    ("conditions", "sql", "is_matched"),
    [
        ({"tables": "public.orders"}, "SELECT a FROM orders", True),
        ({"tables": "public.orders"}, "SELECT a FROM items", False),
        ({"tables": ["public.x", "public.orders"]}, "SELECT a FROM items, orders", True),
        ({"tables": "public.orders"}, "SELECT a FROM summary", True),
        ({"tables": "public.summary"}, "SELECT a FROM summary", True),
        ({"tables": "public.orders"}, "UPDATE orders SET a = 1", True),
        ({"tables": "other.orders"}, "SELECT a FROM other.orders", True),
        ({"tables": "other.orders"}, "SELECT a FROM orders", False),
        ({"regex": r"from orders where a = \?$"}, "SELECT a FROM  orders WHERE A = 17", True),
        ({"regex": "17"}, "SELECT a FROM orders WHERE a = 17", False),
        ({"regex": "^select", "tables": "public.orders"}, "UPDATE orders SET a = 1", False),
    ],
)
def test_conditions_on_the_statement(
    place: Place, conditions: dict[str, Any], sql: str, is_matched: bool
) -> None:
    assert (place.verdict(RuleBook([rule(**conditions)]), sql) is not None) is is_matched


def test_a_fingerprint_stands_for_a_statement_with_any_values(place: Place) -> None:
    sql = "SELECT a FROM orders WHERE a = 1"
    book = RuleBook([rule(fingerprint=digest(place.plan(sql).statement.text))])
    assert place.verdict(book, "select a from orders where a = 99") == "1"
    assert place.verdict(book, "SELECT b FROM orders WHERE a = 1") is None


def test_the_first_that_matches_decides(place: Place) -> None:
    book = RuleBook(
        [
            rule(name="others", user="bob"),
            rule(name="writes", regex="^update"),
            rule(name="orders", tables="public.orders"),
            rule(name="rest"),
        ]
    )
    assert names(book.candidates("ann", "shop", "", "local")) == ["writes", "orders", "rest"]
    assert place.verdict(book, "UPDATE orders SET a = 1") == "writes"
    assert place.verdict(book, "SELECT a FROM orders") == "orders"
    assert place.verdict(book, "SELECT 1") == "rest"


def test_a_statement_is_looked_at_once(place: Place) -> None:
    found = RuleBook([rule(regex="orders")]).candidates("ann", "shop", "", "local")
    assert found is not None
    plan = place.plan("SELECT a FROM orders")
    assert not found.has_judged(plan)
    match = found.verdict(plan, place.catalog, PATH)
    assert found.has_judged(plan)
    assert found.known(plan) is match is found.matches[0]


def test_a_very_long_statement_is_searched_to_a_limit(place: Place) -> None:
    book = RuleBook([rule(regex="the_end")])
    columns = ", ".join(f"column{number}" for number in range(1000))
    assert place.verdict(book, f"SELECT {columns} FROM the_end") is None


def test_new_rules_are_other_candidates(place: Place) -> None:
    book = RuleBook([rule(name="old")])
    before = book.candidates("ann", "shop", "", "local")
    assert before is book.candidates("ann", "shop", "psql", "local")
    assert place.verdict(book, "SELECT 1") == "old"
    book.matches[0].count.number = 7
    book.replace([rule(name="new"), rule(name="old")])
    after = book.candidates("ann", "shop", "", "local")
    assert before is not None
    assert after is not None
    assert before.key != after.key
    assert place.verdict(book, "SELECT 1") == "new"
    assert [match.count.number for match in book.matches] == [0, 7]
    book.replace([])
    assert book.candidates("ann", "shop", "", "local") is None


# What they come to.

GROUP = Contract(EVENTUAL, 9.0)


def contract_of(
    rules: Rule | None = None, own: Wishes = NO_WISHES, hint: str = "", group: Contract = GROUP
) -> tuple[Consistency, float]:
    match = None if rules is None else Match(rules, 0)
    contract = agree(group, match, own, read_hint(hint.encode()) if hint else None).contract
    return contract.consistency, contract.max_staleness


def test_who_is_closest_to_the_statement_counts() -> None:
    own, ruled = Wishes(SESSION, None), rule(consistency="bounded", max_staleness=2)
    assert contract_of() == (EVENTUAL, 9.0)
    assert contract_of(ruled) == (BOUNDED, 2.0)
    assert contract_of(ruled, own) == (SESSION, 2.0)
    assert contract_of(ruled, own, "max_staleness=1s") == (SESSION, 1.0)
    assert contract_of(ruled, own, "consistency=eventual") == (EVENTUAL, 2.0)
    assert contract_of(ruled, own, "consistency=strong") == (Consistency.STRONG, 0.0)


def test_a_hint_that_is_misread_makes_a_read_the_primarys() -> None:
    terms = agree(GROUP, None, Wishes(BOUNDED), read_hint(b"consistency=eventual nonsense"))
    assert terms.contract is STRONG
    assert terms.to_primary is Reason.HINT
    assert terms.uncached is Reason.HINT


def test_where_reads_go() -> None:
    terms = agree(STRONG, Match(rule(route="primary"), 0), NO_WISHES, None)
    assert (terms.to_primary, terms.uncached) == (Reason.RULE, Reason.RULE)
    terms = agree(STRONG, Match(rule(route="primary"), 0), NO_WISHES, read_hint(b"route=replica"))
    assert (terms.to_primary, terms.uncached, terms.only_replicas) == (None, None, True)
    terms = agree(STRONG, Match(rule(route="replica"), 0), NO_WISHES, None)
    assert (terms.to_primary, terms.only_replicas, terms.among) == (None, True, None)
    terms = agree(STRONG, Match(rule(route=["db2:5432"]), 0), NO_WISHES, None)
    assert (terms.only_replicas, terms.among) == (True, {"db2:5432"})
    terms = agree(STRONG, None, NO_WISHES, read_hint(b"route=primary"))
    assert (terms.to_primary, terms.uncached) == (Reason.HINT, Reason.HINT)


def test_what_may_be_cached() -> None:
    never = Match(rule(cache="never"), 0)
    assert agree(STRONG, never, NO_WISHES, None).uncached is Reason.RULE
    assert agree(STRONG, never, NO_WISHES, read_hint(b"cache=5s")).uncached is Reason.RULE
    assert agree(STRONG, None, NO_WISHES, read_hint(b"cache=never")).uncached is Reason.HINT
    aged = Match(rule(cache_max_age=3), 0)
    assert agree(STRONG, aged, NO_WISHES, None).max_age == 3.0
    assert agree(STRONG, aged, NO_WISHES, read_hint(b"cache=5s")).max_age == 3.0
    assert agree(STRONG, None, NO_WISHES, read_hint(b"cache=5s")).max_age == 5.0
    assert agree(STRONG, None, NO_WISHES, None).max_age == inf
