"""What a statement that succeeded leaves in its session, drawn from its text.

Two things are kept true here: what the client's session is like (`profile.state`), and what the
server connection's is (`link.state`). They differ after a RESET: the connection falls back to the
login's default, the client to its startup parameter; the difference is set before the next request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.session.pins import BY_EFFECT
from proxy.session.profile import AUTHORIZATION, ROLE
from proxy.session.state import UNTOUCHED
from proxy.sql.session_commands import (
    Command,
    Deallocate,
    Discard,
    Prepare,
    Reset,
    Set,
    read_command,
)
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import PinReason

if TYPE_CHECKING:
    from proxy.session.ports import Link
    from proxy.session.session import Session

COMMANDS = frozenset((Kind.SET, Kind.RESET, Kind.DISCARD, Kind.PREPARE, Kind.DEALLOCATE))
_ROLES = (ROLE, AUTHORIZATION)


def apply_effects(session: Session, link: Link, statement: Statement, text: bytes) -> None:
    """Take in what a statement left behind."""
    kind = statement.kind
    for effect in statement.effects:
        reason = BY_EFFECT.get(effect)
        if reason is not None:
            session.pins.add(reason)
        elif effect is Effect.SETTING and kind not in COMMANDS:
            session.doubt()
    if kind is Kind.LISTEN:
        session.pins.add(PinReason.LISTEN)
    elif kind in COMMANDS:
        command = read_command(text)
        if command is None and kind is Kind.PREPARE:
            session.pins.add(PinReason.UNKNOWN)  # nobody else may have the connection it is on
        elif command is None:
            session.doubt()
        else:
            _apply(session, link, command)


def _apply(session: Session, link: Link, command: Command) -> None:
    session.named.clear()
    match command:
        case Set():
            _apply_set(session, link, command)
        case Reset(name):
            _apply_reset(session, link, name)
        case Discard("all"):
            session.forget_statements(link)
            session.profile.discard_all()
            link.state = UNTOUCHED
        case Prepare(name, text):
            session.profile.become(session.profile.state.with_statement(name, text))
            link.state = link.state.with_statement(name, text)
        case Deallocate(None):
            session.forget_statements(link)
            session.profile.become(session.profile.state.without_statements())
            link.state = link.state.without_statements()
        case Deallocate(str(name)):
            session.profile.become(session.profile.state.with_statement(name, None))
            link.state = link.state.with_statement(name, None)


def _apply_set(session: Session, link: Link, command: Set) -> None:
    if command.is_local:
        return
    name, value = command.name, command.value
    if value.lower() == "default" or (name == ROLE and value.lower() == "none"):
        _apply_reset(session, link, name)
        return
    _drop_role(session, link, name)
    session.profile.set(name, value)
    link.state = link.state.with_setting(name, value)


def _apply_reset(session: Session, link: Link, name: str | None) -> None:
    if name is None:
        session.profile.reset_all()
        kept = {key: value for key, value in link.state.settings if key in _ROLES}
        link.state = link.state.with_settings(kept)
        return
    _drop_role(session, link, name)
    session.profile.reset(name)
    link.state = link.state.with_setting(name, None)


def _drop_role(session: Session, link: Link, name: str) -> None:
    """The role goes with the authorization, whatever it was."""
    if name == AUTHORIZATION:
        session.profile.become(session.profile.state.with_setting(ROLE, None))
        link.state = link.state.with_setting(ROLE, None)
