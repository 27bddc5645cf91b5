"""What a statement that succeeded leaves in its session, drawn from its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.session.pins import BY_EFFECT
from proxy.sql.statement import Kind, Statement
from proxy.types import PinReason

if TYPE_CHECKING:
    from proxy.session.ports import Link
    from proxy.session.session import Session


def apply_effects(session: Session, link: Link, statement: Statement, text: bytes) -> None:
    """Take in what a statement left behind."""
    for effect in statement.effects:
        reason = BY_EFFECT.get(effect)
        if reason is not None:
            session.pins.add(reason)
    if statement.kind is Kind.LISTEN:
        session.pins.add(PinReason.LISTEN)
