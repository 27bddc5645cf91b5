"""How one read is to be served: what group, rule, session and hint come to. Pure.

Who is closest to the statement counts: its hint, then what its session has set, then the rule, then
the group. A hint that was misread makes the read the primary's.
"""

from __future__ import annotations

from math import inf
from typing import Final, final

from proxy.cache.entry import Limits
from proxy.freshness.contracts import STRONG, Contract
from proxy.freshness.handed import Handed
from proxy.routing.rules import Match, RuleBook
from proxy.settings.values import RouteTo
from proxy.sql.hints import Hint
from proxy.types import Consistency, Reason

_RULE: Final = Reason.RULE
_HINT: Final = Reason.HINT


@final
class Wishes:
    """What a client has set of its own: `SET tidegate.consistency`, `SET tidegate.max_staleness`,
    `SET tidegate.position`."""

    __slots__ = ("consistency", "max_staleness", "position")

    def __init__(
        self,
        consistency: Consistency | None = None,
        max_staleness: float | None = None,
        position: Handed | None = None,
    ) -> None:
        self.consistency = consistency
        self.max_staleness = max_staleness
        self.position = position


NO_WISHES: Final = Wishes()


@final
class Terms:
    """See the module.

    Attributes:
        contract: What the read may count on.
        handed: What it must see however weak that is; None: nothing in particular.
        to_primary: Why the primary is to serve it; None: it need not.
        only_replicas: Whether the primary serves it only where no replica may.
        among: The names of the servers that may serve it beside the primary; None: all.
        uncached: Why it is neither answered from the cache nor kept; None: it may be.
        max_age: Seconds since a cached result was kept, at most.
        rule: What was matched.
        is_plain: Whether it is as if nobody had said anything.
        limits: What a ready answer must keep to; None: nothing but freshness.
    """

    __slots__ = (
        "among",
        "contract",
        "handed",
        "is_plain",
        "limits",
        "max_age",
        "only_replicas",
        "rule",
        "to_primary",
        "uncached",
    )

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.handed: Handed | None = None
        self.to_primary: Reason | None = None
        self.only_replicas = False
        self.among: frozenset[str] | None = None
        self.uncached: Reason | None = None
        self.max_age = inf
        self.rule: Match | None = None
        self.limits: Limits | None = None
        self.is_plain = False


@final
class Policy:
    """What a server group says of its reads; it may change while clients are there.

    Attributes:
        contract: Where nobody says otherwise.
        book: The rules.
    """

    __slots__ = ("book", "contract")

    def __init__(self, contract: Contract = STRONG, book: RuleBook | None = None) -> None:
        self.contract = contract
        self.book = RuleBook() if book is None else book


def agree(
    group: Contract,
    rule: Match | None,
    own: Wishes,
    hint: Hint | None,
    *,
    must_be_strong: bool = False,
) -> Terms:
    """Work out how a read is to be served."""
    consistency, staleness = group.consistency, group.max_staleness
    if rule is not None:
        consistency = rule.consistency or consistency
        staleness = staleness if rule.max_staleness is None else rule.max_staleness
    consistency = own.consistency or consistency
    staleness = staleness if own.max_staleness is None else own.max_staleness
    if hint is not None:
        consistency = hint.consistency or consistency
        staleness = staleness if hint.max_staleness is None else hint.max_staleness
    is_misread = hint is not None and hint.misread != ""
    is_weak = consistency is not Consistency.STRONG and not (is_misread or must_be_strong)
    terms = Terms(Contract(consistency, staleness) if is_weak else STRONG)
    if is_weak:
        terms.handed = own.position
    if rule is not None:
        _take_rule(terms, rule)
    if hint is not None:
        _take_hint(terms, hint)
    if terms.to_primary is not None and terms.uncached is None:
        terms.uncached = terms.to_primary
    if rule is not None or terms.max_age < inf:
        terms.limits = Limits(terms.max_age, None if rule is None else rule.count)
    terms.is_plain = (
        terms.contract is STRONG
        and rule is None
        and terms.to_primary is None
        and terms.uncached is None
        and terms.max_age == inf
        and not terms.only_replicas
    )
    return terms


def _take_rule(terms: Terms, rule: Match) -> None:
    terms.rule = rule
    terms.among = rule.among
    terms.only_replicas = rule.route is RouteTo.REPLICA or rule.among is not None
    terms.to_primary = _RULE if rule.route is RouteTo.PRIMARY else None
    terms.uncached = _RULE if rule.never_cached else None
    terms.max_age = rule.max_age


def _take_hint(terms: Terms, hint: Hint) -> None:
    if hint.misread or hint.route is RouteTo.PRIMARY:
        terms.to_primary = _HINT
    elif hint.route is RouteTo.REPLICA:
        terms.to_primary = None
        terms.only_replicas = True
        if terms.uncached is _RULE and terms.rule is not None and not terms.rule.never_cached:
            terms.uncached = None
    if hint.never_cached:
        terms.uncached = _HINT
    if hint.cache_max_age is not None:
        terms.max_age = min(terms.max_age, hint.cache_max_age)
