"""Which rule a statement matches: the first whose conditions all hold. Pure.

What depends on the session only (user, database, application, address) is looked at once for each
session, and again when it changes its name or the rules change: what is left are its `Candidates`,
None where there are none. What depends on the statement is looked at once for each plan and
`Candidates`. A statement that is run again is one look-up in a dict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address
from math import inf
from typing import Final, final

from proxy.observe.counters import Count, Counters
from proxy.routing.plan import Plan
from proxy.routing.rewrite import Rewrite
from proxy.routing.throttle import Throttle
from proxy.settings.rule import Rule, label
from proxy.settings.values import LOCAL, CacheUse, Network, RouteTo
from proxy.sql.digest import digest, shown
from proxy.sql.lineage import Lineage
from proxy.types import Mirrored

TEXT_LIMIT: Final = 4096
"""Characters of a statement that regular expressions are shown, which bounds what they may cost."""

_KEPT: Final = 16
"""Candidates whose verdicts are kept with a plan: of rules that are no more some may be left."""


@final
class Match:
    """One rule, ready to be used.

    Attributes:
        name: What it is called.
        count: How many statements it has decided on.
        route: Where reads go; None where `among` says it, or nothing does.
        among: The names of the servers that may serve reads beside the primary.
        mirror: The server group that statements are sent to as well; None: nowhere.
        mirrored: What has become of those.
    """

    __slots__ = (
        "_regex",
        "_rule",
        "among",
        "consistency",
        "count",
        "max_age",
        "max_staleness",
        "mirror",
        "mirrored",
        "name",
        "never_cached",
        "reject",
        "rewrite",
        "route",
        "throttle",
        "timeout",
    )

    def __init__(self, rule: Rule, number: int) -> None:
        self._rule = rule
        self._regex = None if rule.regex is None else re.compile(rule.regex)
        self.name = label(rule, number)
        self.count = Count()
        self.consistency = rule.consistency
        self.max_staleness = rule.max_staleness
        self.never_cached = rule.cache is CacheUse.NEVER
        self.max_age: float = inf if rule.cache_max_age is None else rule.cache_max_age
        self.timeout = rule.timeout
        self.mirror = rule.mirror
        self.mirrored = Counters(Mirrored)
        self.reject = rule.reject
        self.rewrite: Rewrite | None = None
        if rule.rewrite is not None:
            self.rewrite = Rewrite(self.name, rule.rewrite, rule.rewrite_regex)
        self.throttle: Throttle | None = None
        if rule.throttle_rate is not None or rule.throttle_concurrency is not None:
            self.throttle = Throttle(rule.throttle_rate, rule.throttle_concurrency)
        self.route: RouteTo | None = None
        self.among: frozenset[str] | None = None
        if isinstance(rule.route, RouteTo):
            self.route = rule.route
        elif rule.route is not None:
            self.among = frozenset([f"{server.host}:{server.port}" for server in rule.route])

    @property
    def counts_each(self) -> bool:
        """Whether each statement must be looked at, even where its answer is known."""
        return self.throttle is not None or self.mirror is not None

    def may_match(self, user: str, database: str, application_name: str, client: str) -> bool:
        """Tell whether a session's statements may match."""
        rule = self._rule
        return (
            _is_called(user, rule.user)
            and _is_called(database, rule.database)
            and _is_called(application_name, rule.application_name)
            and _is_from(client, rule.client)
        )

    def matches_statement(self, plan: Plan, names: frozenset[str]) -> bool:
        """Tell whether a statement of such a session does.

        Args:
            plan: Of the statement.
            names: Of the tables it touches, with their schemas.
        """
        rule, text = self._rule, plan.statement.text
        if rule.fingerprint is not None and digest(text) not in rule.fingerprint:
            return False
        if rule.tables is not None and names.isdisjoint(rule.tables):
            return False
        return self._regex is None or self._regex.search(shown(text)[:TEXT_LIMIT]) is not None


@final
class Candidates:
    """The rules that a session's statements may match, in their order.

    Attributes:
        key: Tells them from others, also from those of rules that are no more.
        may_rewrite: Whether one of them rewrites statements.
        may_mirror: Whether one of them mirrors them.
    """

    __slots__ = ("key", "matches", "may_mirror", "may_rewrite")

    def __init__(self, key: tuple[int, ...], matches: Sequence[Match]) -> None:
        self.key = key
        self.matches = tuple(matches)
        self.may_rewrite = any(match.rewrite is not None for match in self.matches)
        self.may_mirror = any(match.mirror is not None for match in self.matches)

    def has_judged(self, plan: Plan) -> bool:
        """Whether the verdict on a statement is known."""
        return self in plan.verdicts

    def known(self, plan: Plan) -> Match | None:
        """The verdict on a statement that has been judged."""
        found: Match | None = plan.verdicts[self]
        return found

    def verdict(self, plan: Plan, catalog: Lineage | None, path: Sequence[str]) -> Match | None:
        """Find the rule that decides on a statement.

        Args:
            plan: Of the statement.
            catalog: Names its tables.
            path: Where names without a schema are looked for.
        """
        verdicts = plan.verdicts
        names = table_names(plan, catalog, path)
        found = None
        for match in self.matches:
            if match.matches_statement(plan, names):
                found = match
                break
        if len(verdicts) >= _KEPT:
            verdicts.clear()
        verdicts[self] = found
        return found


@final
class RuleBook:
    """The rules of a server group, as they are now.

    Attributes:
        matches: All of them, in their order.
    """

    __slots__ = ("_candidates", "_generation", "matches")

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._generation = 0
        self._candidates: dict[tuple[int, ...], Candidates] = {}
        self.matches: tuple[Match, ...] = ()
        self.replace(rules)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Take other rules: every session must ask for its candidates again."""
        before = {match.name: match for match in self.matches}
        self._generation += 1
        self._candidates.clear()
        self.matches = tuple([Match(rule, number) for number, rule in enumerate(rules)])
        for match in self.matches:
            known = before.get(match.name, match)
            match.count, match.mirrored = known.count, known.mirrored

    @property
    def may_rewrite(self) -> bool:
        """Whether a rule rewrites statements."""
        return any(match.rewrite is not None for match in self.matches)

    def counts(self) -> dict[str, Count]:
        """How many statements each rule has decided on, by its name."""
        return {match.name: match.count for match in self.matches}

    def mirrored(self) -> dict[str, Counters[Mirrored]]:
        """What has become of what each rule mirrored, by its name."""
        return {match.name: match.mirrored for match in self.matches if match.mirror is not None}

    def candidates(
        self, user: str, database: str, application_name: str, client: str
    ) -> Candidates | None:
        """Find what a session's statements may match; None: nothing."""
        places = [
            place
            for place, match in enumerate(self.matches)
            if match.may_match(user, database, application_name, client)
        ]
        if not places:
            return None
        key = (self._generation, *places)
        found = self._candidates.get(key)
        if found is None:
            found = Candidates(key, [self.matches[place] for place in places])
            self._candidates[key] = found
        return found


def table_names(plan: Plan, catalog: Lineage | None, path: Sequence[str]) -> frozenset[str]:
    """Name the tables that a statement touches: as it names them, and what is behind that."""
    names: set[str] = set()
    statement = plan.statement
    for schema, name in statement.reads | statement.writes:
        names.update([f"{place}.{name}" for place in ((schema,) if schema else path)])
    tables = set(plan.writes)
    if plan.read_set is not None:
        tables |= plan.read_set.tables
    if catalog is not None:
        names.update([catalog.name_of(table.oid) for table in tables])
    return frozenset(names)


def _is_called(name: str, patterns: tuple[str, ...] | None) -> bool:
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_from(client: str, networks: tuple[Network | None, ...] | None) -> bool:
    if networks is None:
        return True
    if client == LOCAL:
        return None in networks
    try:
        address = ip_address(client)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    return any(network is not None and address in network for network in networks)
