"""What can be set of a rule: on what it matches, and what is done then.

The first rule that matches a statement decides on it, alone. What a rule says nothing of stays as
the group has it.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from pydantic.dataclasses import dataclass

from proxy.settings.values import (
    CONFIG,
    CacheUse,
    Fingerprints,
    Networks,
    Positive,
    Regex,
    Route,
    Seconds,
    Tables,
    Texts,
)
from proxy.types import Consistency

CONDITIONS: Final = (
    *("user", "database", "application_name", "client"),
    *("fingerprint", "regex", "tables"),
)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Rule:
    """What is done with some statements: the first rule that matches decides alone. See
    docs/rules.md."""

    name: str = ""
    """What metrics and `EXPLAIN ROUTE` call it; its number, counted from 1, when not set."""

    user: Texts | None = None
    """Users it is for, as they logged in. `*`, `?` and `[abc]` stand for what they do in file
    names."""

    database: Texts | None = None
    """Databases, in the same way."""

    application_name: Texts | None = None
    """What clients call themselves, in the same way; what they SET counts."""

    client: Networks | None = None
    """Where clients connect from; `local` is a Unix socket."""

    fingerprint: Fingerprints | None = None
    """Statements, as `EXPLAIN ROUTE` shows them: a statement is the same whatever its values."""

    regex: Regex | None = None
    """What is searched for in the statement as `EXPLAIN ROUTE` shows it: one space between words,
    lower case, no comments, `?` in the places of values. The first 4096 characters
    count."""

    tables: Tables | None = None
    """Tables of which one must be touched, behind views, partitions and cascades."""

    route: Route | None = None
    """Where its reads go, if they may leave the primary: to the primary after all, to replicas
    only, or to replicas among these; where none has what the read must see, the primary serves."""

    consistency: Consistency | None = None
    """What its reads may count on, when the client says nothing of that itself."""

    max_staleness: Seconds | None = None
    """How old what they see may be, unless `consistency` is `strong`."""

    cache: CacheUse | None = None
    """`never`: they are not answered from the cache, and their results are not kept."""

    cache_max_age: Seconds | None = None
    """How old a cached result may be at most, whatever else holds."""

    timeout: Seconds | None = None
    """How long a statement may take; then it is cancelled."""

    reject: str | None = None
    """What the client is told instead: the statement is not run."""

    rewrite: str | None = None
    """What is run instead: a whole statement, or with `rewrite_regex` what each of its matches is
    replaced by (`\\1` is what its first group matched). Parameters must stay as they are."""

    rewrite_regex: Regex | None = None
    """What is replaced by `rewrite`, in the text as the client sent it."""

    throttle_rate: Positive | None = None
    """How many are let through a second; others wait, up to `query_wait_timeout`."""

    throttle_concurrency: Positive | None = None
    """How many are under way at a time; others wait, up to `query_wait_timeout`."""

    mirror: str | None = None
    """Another server group that they are sent to as well, once they have succeeded. Nobody waits
    for that, and what comes of it is thrown away."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of those it has."""
        return tuple(name for name in CONDITIONS if getattr(self, name) is not None)

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of what it does."""
        others = {"name", *CONDITIONS}
        return tuple(
            each.name
            for each in fields(self)
            if each.name not in others and getattr(self, each.name) is not None
        )


def label(rule: Rule, number: int) -> str:
    """What a rule is called.

    Args:
        rule: The rule.
        number: Its place, counted from 0.
    """
    return rule.name or str(number + 1)
