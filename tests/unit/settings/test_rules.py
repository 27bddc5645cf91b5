"""Rules in the file: what is said of those that are wrong, or never come to anything."""

from __future__ import annotations

import pytest

from proxy.errors import ConfigError
from proxy.settings import parse
from proxy.settings.rule import Rule
from proxy.settings.values import Address, RouteTo

HEAD = '[server_groups.app]\nservers = ["db:5432", "db2:5432"]\nauth_user = "tidegate"\n'


def rules(*tables: str) -> tuple[Rule, ...]:
    text = HEAD + "".join(f"[[server_groups.app.rules]]\n{table}\n" for table in tables)
    return parse(text, {}).server_groups["app"].rules


def problems(*tables: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        rules(*tables)
    return [problem.removeprefix("server_groups.app.") for problem in caught.value.problems]


def test_a_rule_has_conditions_and_actions() -> None:
    (rule,) = rules(
        'name = "a"\nuser = "ann"\nclient = ["10.0.0.0/8", "local"]\nroute = "replica"\n'
        'timeout = "5s"'
    )
    assert rule.conditions == ("user", "client")
    assert rule.actions == ("route", "timeout")
    assert rule.user == ("ann",)
    assert rule.route is RouteTo.REPLICA


def test_a_rule_may_name_servers() -> None:
    (rule,) = rules('route = ["db2:5432"]')
    assert rule.route == (Address("db2", 5432),)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (
            'regex = "(a"',
            "rules[0].regex: must be a regular expression, and this does not compile:"
            ' missing ), unterminated subpattern at position 0, not "(a"',
        ),
        ('tabels = "x"', "rules[0].tabels: unknown setting; did you mean tables?"),
        (
            'tables = "orders"',
            'rules[0].tables: must be a table with its schema, like "public.orders", or a list of'
            ' them, not "orders"',
        ),
        (
            'client = "10.0.0.256"',
            'rules[0].client: must be an address or a network like "10.0.0.7", "10.0.0.0/8" or'
            ' "local", or a list of them, not "10.0.0.256"',
        ),
        (
            'fingerprint = "xyz"',
            "rules[0].fingerprint: must be what EXPLAIN ROUTE shows as fingerprint, 16 of 0-9 and"
            ' a-f, or a list, not "xyz"',
        ),
        ("user = []", "rules[0].user: must be a text, or a list of texts that is not empty"),
        (
            'route = "anywhere"',
            'rules[0].route: must be "primary", "replica", or a list of servers like'
            ' ["10.0.0.2:5432"], not "anywhere"',
        ),
        (
            'name = "far"\nroute = ["db3:5432"]',
            'rules[0].route: rule "far" names "db3:5432", which is not among the servers: add it'
            " there",
        ),
        (
            'consistency = "bounded"\nmax_staleness = 0',
            'rules[0].max_staleness: rule "1" needs max_staleness above 0 for "bounded": set it'
            " here or in the group",
        ),
        (
            "max_staleness = 1",
            'rules[0].max_staleness: rule "1" has max_staleness, which "strong" reads know nothing'
            " of: set consistency too",
        ),
        ("timeout = 0", 'rules[0].timeout: rule "1" has a timeout of 0: leave it out for none'),
        (
            'reject = "no"\nroute = "primary"',
            'rules[0].reject: rule "1" rejects, so route does nothing: take one of them out',
        ),
        (
            'rewrite = "SELECT 1"\ntimeout = 1',
            'rules[0].rewrite: rule "1" rewrites, so timeout does nothing: give what it makes a'
            " rule of its own",
        ),
        (
            'rewrite_regex = "a"',
            'rules[0].rewrite_regex: rule "1" has rewrite_regex, and nothing to put there: set'
            " rewrite",
        ),
        (
            'mirror = "app"',
            'rules[0].mirror: rule "1" mirrors to its own server group: name another one',
        ),
        (
            'mirror = "next"',
            'rules[0].mirror: rule "1" mirrors to "next", and there is no such server group',
        ),
        ('reject = ""', 'rules[0].reject: rule "1" rejects without a word: say why'),
    ],
)
def test_what_is_wrong_is_said_with_the_rule_and_what_to_do(table: str, problem: str) -> None:
    assert problems(table) == [problem]


def shadowed(number: int, first: str) -> str:
    return (
        f'rules[{number}].name: rule "{number + 1}" never matches, since rule "{first}" in front of'
        " it matches all that it does: put it first, or take it out"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('route = "primary"', 'user = "ann"'),
        ('user = "a*"', 'user = ["ann", "abe"]'),
        ('client = "10.0.0.0/8"', 'client = "10.1.0.0/16"\nuser = "ann"'),
        ('client = ["local", "::/0"]', 'client = "local"'),
        ('tables = ["public.a", "public.b"]', 'tables = "public.a"\nuser = "ann"'),
        ('regex = "a"', 'regex = "a"\ndatabase = "shop"'),
        ('application_name = "*"', ""),
    ],
)
def test_a_rule_that_never_matches_is_a_mistake(first: str, second: str) -> None:
    assert problems(first, second) == [shadowed(1, "1")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('user = "ann"', 'route = "primary"'),
        ('user = "a*"', 'user = "*n"'),
        ('client = "10.1.0.0/16"', 'client = "10.0.0.0/8"'),
        ('client = "10.0.0.0/8"', 'client = "local"'),
        ('tables = "public.a"', 'tables = ["public.a", "public.b"]'),
        ('regex = "a"', 'regex = "ab"'),
        ('user = "ann"\ndatabase = "shop"', 'user = "ann"'),
    ],
)
def test_a_rule_that_may_match_is_none(first: str, second: str) -> None:
    assert len(rules(first, second)) == 2


def test_two_rules_of_one_name_are_a_mistake() -> None:
    found = problems('name = "a"\nuser = "ann"', 'name = "a"\nuser = "bob"')
    assert found == ['rules[1].name: rule "a" is there twice: give each a name of its own']
