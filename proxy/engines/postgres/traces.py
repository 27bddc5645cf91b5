"""What PostgreSQL's statements leave in a session, and how its servers are asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from proxy.engines.postgres.effects import apply_effects
from proxy.engines.postgres.grammar import ROLES
from proxy.engines.postgres.questions import (
    QUESTION,
    read_answer,
    read_prepared,
    settings_question,
)
from proxy.engines.postgres.restoring import may_reset, restore, say_default
from proxy.engines.postgres.sequences import asks_sequences, touches_sequences
from proxy.routing.plan import Plan
from proxy.session import traces
from proxy.session.belongings import Belongings
from proxy.session.errand import Errand
from proxy.session.pins import may_have_unpinned
from proxy.session.ports import Dialect, Link
from proxy.sql.setting_calls import custom_names, read_setting_calls
from proxy.sql.statement import Effect, Statement
from proxy.types import PinReason
from proxy.wire.requests import Request


@final
class PostgresTraces(traces.Traces):
    """See the base."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def apply(self, belongings: Belongings, link: Link, statement: Statement, text: bytes) -> None:
        """See the base."""
        apply_effects(belongings, link, statement, text)

    def failed(self, belongings: Belongings, errand: Errand, link: Link) -> None:
        """See the base: the error says all there is to know."""

    def tainted(
        self, belongings: Belongings, plan: Plan, text: bytes, values: Sequence[bytes | None]
    ) -> None:
        """See the base: of custom settings, only those with names can be asked for."""
        is_plain = Effect.SETTING in plan.statement.effects and read_setting_calls(text) is not None
        if not is_plain:
            belongings.transaction.is_dark = True
        belongings.customs |= custom_names(text)
        for value in values:
            if value:
                belongings.customs |= custom_names(b"'%b'" % value)

    def question(self, belongings: Belongings, plans: Sequence[Plan], link: Link) -> bytes | None:
        """See the base."""
        transaction = belongings.transaction
        if transaction.tainted or transaction.unsure:
            return self.whole_question(belongings, link)
        if belongings.pins != belongings.terms.pins:
            for plan in plans:
                if may_have_unpinned(plan.statement):
                    return QUESTION
        return None

    def whole_question(self, belongings: Belongings, link: Link) -> bytes:
        """See the base."""
        states = (belongings.profile.state, belongings.transaction.state, link.state)
        names = {name for state in states for name, _ in state.settings if "." in name}
        names |= belongings.customs
        return QUESTION + b";" + settings_question(names)

    def take_word(
        self, belongings: Belongings, link: Link, rows: Sequence[Sequence[bytes | None]]
    ) -> None:
        """See the base.

        The first row is the answer to `QUESTION`; what follows is set, if that was asked.
        """
        if not rows:
            belongings.pins.add(PinReason.UNKNOWN)
            return
        belongings.take_pins(read_answer(rows[0]))
        link.exchange.keep_statements(read_prepared(rows[0]))
        belongings.rejoin()
        if len(rows) > 1:
            link.state = belongings.profile.adopt(rows[1:])
            belongings.is_misled = link.state is not belongings.profile.state
            belongings.customs.clear()
            if belongings.transaction.is_dark:
                link.stained_by = belongings

    def must_come_first(
        self, owner: object, belongings: Belongings, plans: Sequence[Plan], link: Link
    ) -> list[bytes]:
        """See the base: what currval() and lastval() know on a connection will be the client's."""
        if not any(touches_sequences(plan.statement) for plan in plans):
            return []
        is_others = link.sequences_of is not owner
        link.sequences_of = owner
        belongings.sequences = link
        if is_others and any(asks_sequences(plan.statement) for plan in plans):
            return [b"DISCARD SEQUENCES"]
        return []

    def wash(self, link: Link) -> list[bytes]:
        """See the base: RESET ALL leaves the roles."""
        roles = {name: value for name, value in link.state.settings if name in ROLES}
        link.state = link.state.with_settings(roles)
        link.stained_by = None
        return [b"RESET ALL"]

    def restore(
        self,
        request: Request,
        plans: Sequence[Plan],
        texts: Sequence[bytes],
        belongings: Belongings,
    ) -> bool:
        """See the base."""
        if not may_reset(request, plans):
            return False
        return restore(request, plans, texts, belongings.profile.startup, self._dialect)

    def say_prepared(self, sql: bytes, belongings: Belongings) -> bytes:
        """See the base: what resets something."""
        return say_default(sql, belongings.profile.startup, self._dialect)
