"""What is wrong with rules that are right by themselves: what they name, and what never comes to
them."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from proxy.settings.model import ServerGroup, Settings
from proxy.settings.rule import Rule, label
from proxy.settings.values import Network
from proxy.types import Consistency

Finding = tuple[int, str, str]
"""A rule's place, the setting to report, and what is wrong."""

_WILD: Final = frozenset("*?[")
_STRONG: Final = Consistency.STRONG


def check_rules(group: ServerGroup) -> Iterator[Finding]:
    """Yield what is wrong with a group's rules."""
    names: dict[str, int] = {}
    for place, rule in enumerate(group.rules):
        called = label(rule, place)
        if called in names:
            yield place, "name", f'rule "{called}" is there twice: give each a name of its own'
        names.setdefault(called, place)
        for setting, what in _check_rule(group, rule):
            yield place, setting, f'rule "{called}" {what}'
        for earlier in range(place):
            if implies(rule, group.rules[earlier]):
                first = label(group.rules[earlier], earlier)
                yield (
                    place,
                    "name",
                    f'rule "{called}" never matches, since rule "{first}" in front of it matches'
                    " all that it does: put it first, or take it out",
                )
                break


def check_mirrors(settings: Settings, name: str) -> Iterator[Finding]:
    """Yield what is wrong with where a group's rules mirror to."""
    group = settings.server_groups[name]
    for place, rule in enumerate(group.rules):
        if rule.mirror is None:
            continue
        called = label(rule, place)
        other = settings.server_groups.get(rule.mirror)
        if rule.mirror == name:
            yield (
                place,
                "mirror",
                f'rule "{called}" mirrors to its own server group: name another one',
            )
        elif other is None:
            yield (
                place,
                "mirror",
                f'rule "{called}" mirrors to "{rule.mirror}", and there is no such server group',
            )
        elif other.engine is not group.engine:
            yield (
                place,
                "mirror",
                f'rule "{called}" mirrors to "{rule.mirror}", which is {other.engine.value}, not'
                f" {group.engine.value}",
            )


def _check_rule(group: ServerGroup, rule: Rule) -> Iterator[tuple[str, str]]:
    if isinstance(rule.route, tuple):
        for address in rule.route:
            if address not in group.servers:
                yield "route", f'names "{address}", which is not among the servers: add it there'
    consistency = rule.consistency or group.consistency
    staleness = group.max_staleness if rule.max_staleness is None else rule.max_staleness
    if rule.consistency not in (None, _STRONG) and not staleness:
        yield (
            "max_staleness",
            f'needs max_staleness above 0 for "{consistency.value}": set it here or in the group',
        )
    if rule.max_staleness is not None and consistency is _STRONG:
        yield (
            "max_staleness",
            'has max_staleness, which "strong" reads know nothing of: set consistency too',
        )
    if rule.timeout == 0:
        yield "timeout", "has a timeout of 0: leave it out for none"
    if rule.rewrite is not None:
        others = [name for name in rule.actions if name not in ("rewrite", "rewrite_regex")]
        if others:
            yield (
                "rewrite",
                f"rewrites, so {others[0]} does nothing: give what it makes a rule of its own",
            )
        if not rule.rewrite.strip() and rule.rewrite_regex is None:
            yield "rewrite", "rewrites to nothing: use reject, or give a statement"
    elif rule.rewrite_regex is not None:
        yield "rewrite_regex", "has rewrite_regex, and nothing to put there: set rewrite"
    if rule.reject is not None:
        others = [name for name in rule.actions if name not in ("reject", "rewrite")]
        if others:
            yield "reject", f"rejects, so {others[0]} does nothing: take one of them out"
        if not rule.reject:
            yield "reject", "rejects without a word: say why"


def implies(rule: Rule, other: Rule) -> bool:
    """Tell whether whatever matches a rule matches another too, as far as can be told."""
    return (
        _names(rule.user, other.user)
        and _names(rule.database, other.database)
        and _names(rule.application_name, other.application_name)
        and _networks(rule.client, other.client)
        and _all_in(rule.fingerprint, other.fingerprint)
        and _all_in(rule.tables, other.tables)
        and (other.regex is None or rule.regex == other.regex)
    )


def _names(own: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    if other is None or "*" in other:
        return True
    if own is None:
        return False
    return all(
        name in other
        or (_WILD.isdisjoint(name) and any(fnmatchcase(name, pattern) for pattern in other))
        for name in own
    )


def _networks(
    own: tuple[Network | None, ...] | None, other: tuple[Network | None, ...] | None
) -> bool:
    if other is None:
        return True
    return own is not None and all(any(_is_within(one, wider) for wider in other) for one in own)


def _is_within(one: Network | None, wider: Network | None) -> bool:
    if one is None or wider is None:
        return one is wider
    if one.version != wider.version:
        return False
    return one.network_address in wider and one.prefixlen >= wider.prefixlen


def _all_in(own: tuple[str, ...] | None, other: tuple[str, ...] | None) -> bool:
    return other is None or (own is not None and set(own) <= set(other))
