"""Where a rule rewrites statements: at the first sight of a text, before anything else is asked of
it.

What comes of it is judged like any other statement.
"""

from __future__ import annotations

from proxy.routing.plan import Planner
from proxy.routing.reading import Reader
from proxy.routing.rewrite import KINDS
from proxy.session.profile import Profile


def rewrite(reader: Reader, planner: Planner, profile: Profile, sql: bytes) -> bytes:
    """Say what is run in place of a text; the same object: the text itself."""
    rules = profile.rules
    if rules is None or not rules.may_rewrite or not profile.is_readable:
        return sql
    statements = reader.read(sql, profile.modes).statements
    if len(statements) != 1 or statements[0].kind not in KINDS:
        return sql
    plan = planner.plan(profile.scope, statements[0])
    rule = profile.rule_of(plan)
    if rule is None or rule.rewrite is None:
        return sql
    rule.count.number += 1
    return rule.rewrite.apply(reader, sql, profile.modes)
