"""What a statement that succeeded leaves in its session, drawn from its text.

Two things are kept true here: what the client's session is like (`profile.state`), and what the
server connection's is (`link.state`). They differ after a RESET: the connection falls back to the
login's default, the client to its startup parameter; the difference is set before anything else is
run, and what the server then reports is told to the client, who has heard of the default.
"""

from __future__ import annotations

from proxy.engines.postgres.grammar import AUTHORIZATION, ROLE, ROLES
from proxy.engines.postgres.shaping import OF_TRANSACTION
from proxy.session.belongings import Belongings
from proxy.session.grammar import COMMANDS
from proxy.session.pins import BY_EFFECT
from proxy.session.ports import Link
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
from proxy.wire.status import IDLE


def apply_effects(belongings: Belongings, link: Link, statement: Statement, text: bytes) -> None:
    """Take in what a statement left behind."""
    kind = statement.kind
    for effect in statement.effects:
        reason = BY_EFFECT.get(effect)
        if reason is not None:
            belongings.pins.add(reason)
        elif effect is Effect.SETTING and kind not in COMMANDS:
            belongings.transaction.unsure = True
        if effect is Effect.TEMPORARY_CODE:
            belongings.temporary_runs = True
    if kind is Kind.SCHEMA and PinReason.TEMPORARY_TABLE in belongings.pins:
        belongings.temporary_runs = True  # a view of something temporary is temporary itself
    if kind is Kind.LISTEN:
        belongings.pins.add(PinReason.LISTEN)
    elif kind in COMMANDS:
        command = read_command(text)
        if command is None and kind is Kind.PREPARE:
            belongings.pins.add(PinReason.UNKNOWN)  # nobody else may have the connection it is on
        elif command is None:
            belongings.transaction.doubt()
        else:
            _apply(belongings, link, command)


def _apply(belongings: Belongings, link: Link, command: Command) -> None:
    belongings.named.clear()
    match command:
        case Set():
            _apply_set(belongings, link, command)
        case Reset(name):
            _apply_reset(belongings, link, name)
        case Discard("all"):
            belongings.forget_statements(link)
            belongings.profile.discard_all()
            belongings.profile.own.reset_all(in_transaction=False)
            link.state = UNTOUCHED
            belongings.is_misled = True
        case Prepare():
            _apply_prepare(belongings, link, command)
        case Deallocate(None):
            belongings.forget_statements(link)
            belongings.profile.become(belongings.profile.state.without_statements())
            link.state = link.state.without_statements()
        case Deallocate(str(name)):
            belongings.profile.become(belongings.profile.state.without_statement(name))
            link.state = link.state.without_statement(name)


def _apply_prepare(belongings: Belongings, link: Link, command: Prepare) -> None:
    name, text = command.name, command.text
    if belongings.transaction.constants_stay_lost:
        # It can't be prepared again as it was; on this connection nobody else may find it.
        belongings.pins.add(PinReason.UNKNOWN)
        return
    belongings.profile.become(
        belongings.profile.state.with_statement(name, text, belongings.grammar)
    )
    link.state = link.state.with_statement(name, text, belongings.grammar)


def _apply_set(belongings: Belongings, link: Link, command: Set) -> None:
    if command.is_local or command.name in OF_TRANSACTION:
        return
    name, value = command.name, command.value
    if value.lower() == "default" or (name == ROLE and value.lower() == "none"):
        _apply_reset(belongings, link, name)
        return
    _drop_role(belongings, link, name)
    belongings.profile.set(name, value)
    link.state = link.state.with_setting(name, value)


def _apply_reset(belongings: Belongings, link: Link, name: str | None) -> None:
    belongings.is_misled = True
    if name is None:
        belongings.profile.reset_all()
        belongings.profile.own.reset_all(in_transaction=link.exchange.status != IDLE)
        kept = {key: value for key, value in link.state.settings if key in ROLES}
        link.state = link.state.with_settings(kept)
        return
    _drop_role(belongings, link, name)
    belongings.profile.reset(name)
    link.state = link.state.with_setting(name, None)


def _drop_role(belongings: Belongings, link: Link, name: str) -> None:
    """The role goes with the authorization, whatever it was."""
    if name == AUTHORIZATION:
        belongings.profile.become(belongings.profile.state.with_setting(ROLE, None))
        link.state = link.state.with_setting(ROLE, None)
