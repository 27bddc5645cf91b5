"""What MySQL's statements leave in a session: servers say it themselves, with each answer.

A server tells of every variable that has another value, of the schema, and that something else has
changed which it does not name (SESSION_TRACK). So nothing is asked, and a SET is not read.

What can be given to another connection is: variables, the schema, the last insert's id. What can't
pins: user variables, temporary tables, locks, handlers, what is prepared in SQL.

Source: "Server Tracking of Client Session State" in the MySQL manual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast, final

from proxy.engines.mysql.passing import keep_apart
from proxy.engines.mysql.settings import OF_THE_MOMENT, OURS, SCHEMA, plain, quote_name, written
from proxy.errors import Unsupported
from proxy.routing.plan import Plan
from proxy.session import traces
from proxy.session.belongings import Belongings
from proxy.session.errand import Errand
from proxy.session.ports import Link
from proxy.session.state import UNTOUCHED
from proxy.sql.mysql.instead import say_values
from proxy.sql.statement import Effect, FunctionName, Kind, Statement
from proxy.types import PinReason, Reason
from proxy.wire import exchange as exchanges
from proxy.wire.mysql.capabilities import STATUS_AUTOCOMMIT
from proxy.wire.mysql.client_engine import ClientEngine
from proxy.wire.mysql.exchange import Exchange
from proxy.wire.mysql.killing import may_hold_kill, prepares_kill
from proxy.wire.requests import Request

_BY_EFFECT: Final = {
    Effect.ADVISORY_LOCK: PinReason.ADVISORY_LOCK,
    Effect.TEMPORARY: PinReason.TEMPORARY_TABLE,
    Effect.USER_VARIABLE: PinReason.USER_VARIABLE,
    Effect.TABLE_LOCK: PinReason.TABLE_LOCK,
    Effect.HANDLER: PinReason.HANDLER,
    Effect.FOUND_ROWS: PinReason.FOUND_ROWS,
    Effect.UNTRACKED: PinReason.UNKNOWN,
}

_PASSING: Final = frozenset((PinReason.DIAGNOSTICS, PinReason.NEXT_TRANSACTION))
"""Pins that the next statement ends. What FOUND_ROWS() says is there until rows are brought, or
something is found: by each server's own rules, so that only the server can tell."""

_FOUND_ROWS: Final = FunctionName(None, "found_rows", 0)

_LARGEST_KEPT: Final = 64 * 1024
"""Bytes of a read that is remembered for what asks about it."""

_ROW: Final = b"SELECT 1"
"""In place of a statement that brought rows, most often one, and can't be repeated."""

_LARGEST_NUMBER: Final = 2**63 - 1

_CLEAR: Final = b"DO (SELECT 1 FROM (SELECT 1) AS tidegate)"
"""Leaves no warnings behind, of whoever had the connection before. MariaDB forgets them only with
what reads a table."""


@final
class MySQLTraces(traces.Traces):
    """See the base, and the module."""

    def apply(self, belongings: Belongings, link: Link, statement: Statement, text: bytes) -> None:
        """See the base."""
        exchange = cast(Exchange, link.exchange)
        pins = belongings.pins
        if Effect.ASKS_BEFORE not in statement.effects:
            pins -= _PASSING
            if exchange.brought_rows:
                pins.discard(PinReason.FOUND_ROWS)
        elif _FOUND_ROWS in statement.functions:
            pins.discard(PinReason.FOUND_ROWS)
        if any(warnings for _, _, warnings in exchange.outcomes[-1:]):
            pins.add(PinReason.DIAGNOSTICS)
        explained = len(pins)
        _pin(belongings, statement)
        if statement.detail == "unlock" and _is_of_tables(statement):
            pins.discard(PinReason.TABLE_LOCK)
        elif statement.kind is Kind.DISCARD:
            self._begin_anew(belongings, link)
        if exchange.opened:
            pins.add(PinReason.HOLD_CURSOR)
        else:
            pins.discard(PinReason.HOLD_CURSOR)
        for _, inserted, _ in exchange.outcomes:
            if inserted:
                belongings.last_id = inserted
                belongings.sequences = link
        self._follow(belongings, link, exchange, is_explained=len(pins) > explained)

    def _follow(
        self, belongings: Belongings, link: Link, exchange: Exchange, *, is_explained: bool
    ) -> None:
        """Take in what the server has said of its session; once, for all of a request."""
        tracked = exchange.take_tracked()
        if tracked is None:
            return
        profile = belongings.profile
        state, theirs = profile.state, link.state
        for raw_name, raw_value in tracked.variables:
            name = raw_name.decode("utf-8", "replace").lower()
            if name in OURS:
                belongings.pins.add(PinReason.UNKNOWN)
            elif name in OF_THE_MOMENT:
                belongings.pins.add(PinReason.SETTINGS)
            else:
                value = written(name, raw_value.decode("utf-8", "surrogateescape"))
                state = state.with_setting(name, value)
                theirs = theirs.with_setting(name, value)
                if name == "autocommit":
                    _follow_autocommit(belongings, value)
        if tracked.schema is not None:
            named = tracked.schema.decode("utf-8", "surrogateescape")
            schema = quote_name(named) if named else None  # it has been dropped
            state = state.with_setting(SCHEMA, schema)
            theirs = theirs.with_setting(SCHEMA, schema)
            if schema is not None and exchange.is_nowhere:
                link.retired = True  # it can't be in none any more
        if state is not profile.state:
            belongings.named.clear()
            profile.become(state)
        link.state = theirs
        is_explained = is_explained or bool(tracked.variables) or tracked.schema is not None
        if tracked.state_changed and not is_explained:
            belongings.pins.add(PinReason.UNKNOWN)

    def _begin_anew(self, belongings: Belongings, link: Link) -> None:
        """The client has reset its connection: it is as at login again, but for the schema."""
        belongings.forget_statements(link)
        belongings.pins.intersection_update(belongings.terms.pins)
        profile = belongings.profile
        schema = profile.state.get(SCHEMA)
        profile.discard_all()
        profile.own.reset_all(in_transaction=False)
        profile.become(profile.state.with_setting(SCHEMA, schema))
        belongings.last_id = 0
        link.state = UNTOUCHED.with_setting(SCHEMA, schema)
        _follow_autocommit(belongings, profile.state.get("autocommit") or "ON")

    def is_replicated(self, belongings: Belongings, exchange: exchanges.Exchange) -> bool:
        """See the base: sql_log_bin can't be changed while a transaction is open.

        A procedure that sets it, and sets it back, is given away by the server, which names every
        variable that was set, whatever it is now.
        """
        own = cast(Exchange, exchange)
        if any(name.lower() == b"sql_log_bin" for name, _ in own.tracked.variables):
            return False
        return plain(belongings.profile.state.get("sql_log_bin"), "on") in ("on", "1")

    def heard(self, belongings: Belongings, errand: Errand, link: Link) -> None:
        """See the base: what is a statement's own for as long as it runs is not the session's."""
        exchange = cast(Exchange, link.exchange)
        if keep_apart(exchange.tracked, errand.plans, exchange.restored, _texts_of(errand)):
            belongings.pins.add(PinReason.SETTINGS)

    def failed(self, belongings: Belongings, errand: Errand, link: Link) -> None:
        """See the base: SHOW WARNINGS and SHOW ERRORS tell more."""
        exchange = cast(Exchange, link.exchange)
        for plan in errand.plans[: len(exchange.outcomes)]:
            _pin(belongings, plan.statement)
        self._follow(belongings, link, exchange, is_explained=False)
        belongings.pins.add(PinReason.DIAGNOSTICS)

    def tainted(
        self, belongings: Belongings, plan: Plan, text: bytes, values: Sequence[bytes | None]
    ) -> None:
        """See the base: the server says so, if anything was."""
        belongings.transaction.tainted = False

    def question(self, belongings: Belongings, plans: Sequence[Plan], link: Link) -> bytes | None:
        """See the base: nothing."""
        return None

    def whole_question(self, belongings: Belongings, link: Link) -> bytes:
        """See the base."""
        return _CLEAR

    def take_word(
        self, belongings: Belongings, link: Link, rows: Sequence[Sequence[bytes | None]]
    ) -> None:
        """See the base: nothing was asked."""

    def must_come_first(
        self, owner: object, belongings: Belongings, plans: Sequence[Plan], link: Link
    ) -> list[bytes]:
        """See the base: the last insert's id, and warnings only of the statement before.

        What asks about that statement has it brought there by `recall`.
        """
        commands = []
        is_others = link.sequences_of is not owner
        link.sequences_of = owner
        effects = frozenset[Effect]().union(*[plan.statement.effects for plan in plans])
        exchange = cast(Exchange, link.exchange)
        is_told = Effect.ASKS_BEFORE in effects or _is_the_next(belongings, link)
        if exchange.has_warned and not is_told:
            exchange.has_warned = False
            commands.append(_CLEAR)
        is_elsewhere = is_others or belongings.sequences is not link
        if Effect.ASKS_INSERT_ID in effects and is_elsewhere:
            belongings.sequences = link
            commands.append(b"SET SESSION last_insert_id = %d" % belongings.last_id)
        return commands

    def wash(self, link: Link) -> list[bytes]:
        """See the base: there are no settings whose names nobody knows."""
        return []

    def restore(
        self,
        request: Request,
        plans: Sequence[Plan],
        texts: Sequence[bytes],
        belongings: Belongings,
    ) -> bool:
        """See the base: a client's connection has our number.

        DEFAULT is the server's own, for a client as for us.
        """
        if len(plans) == 1 and plans[0].is_plain:
            return False
        if not request.is_one_text:
            return False
        if any(map(_may_kill, plans, texts)) or _may_hide_kill(request, plans):
            request.refusal = Unsupported("KILL is served in a text of its own only")
            return False
        if not any(Effect.ASKS_NUMBER in plan.statement.effects for plan in plans):
            return False
        values, modes = _number_of(belongings), belongings.profile.modes
        return _say_instead(request, texts, [say_values(text, modes, values) for text in texts])

    def say_prepared(self, sql: bytes, belongings: Belongings) -> bytes:
        """See the base: the same."""
        text = sql.lower()
        if b"row_count" in text:
            # It can't be said in a text that is there before its value is.
            belongings.pins.add(PinReason.PREPARED_STATEMENT)
        if b"onnection_id" not in text:
            return sql
        return say_values(sql, belongings.profile.modes, _number_of(belongings))

    def note(self, belongings: Belongings, errand: Errand, link: Link | None) -> None:
        """See the base."""
        request = errand.request
        if not request.executions:
            return
        recent = belongings.recent
        _engine(belongings).ready = b""
        if link is None:
            recent.link = None
            recent.is_rows = True
            recent.rows = request
            return
        exchange = cast(Exchange, link.exchange)
        recent.link = link
        recent.turn = exchange.turns
        recent.count = exchange.affected
        recent.is_rows = exchange.brought_rows
        recent.rows = None
        if recent.is_rows:
            is_small = request.size <= _LARGEST_KEPT
            if is_small and (errand.is_plain or _may_repeat(errand.plans)):
                recent.rows = request

    def recall(
        self, belongings: Belongings, errand: Errand, link: Link
    ) -> tuple[list[bytes], Request | None] | None:
        """See the base.

        Where others had the connection, what it says is nobody's: a read is repeated, and behind
        anything else there were no warnings, or the client would have kept it.
        """
        recent = belongings.recent
        engine = _engine(belongings)
        if engine.ready:
            recent.link, recent.is_rows, recent.rows = None, True, engine.said(engine.ready)
            engine.ready = b""
        if _is_the_next(belongings, link):
            return None
        if recent.is_rows:
            return ([_CLEAR], recent.rows) if recent.rows is not None else ([_CLEAR, _ROW], None)
        if recent.count is not None and errand.request.is_one_text:
            text, modes = errand.texts[0], belongings.profile.modes
            values = {"row_count": f"IFNULL({recent.count}, {_LARGEST_NUMBER})"}  # of its own type
            _say_instead(errand.request, errand.texts[:1], [say_values(text, modes, values)])
        return [_CLEAR], None


def _is_the_next(belongings: Belongings, link: Link) -> bool:
    """Whether a connection's last statement was the session's last, too."""
    recent = belongings.recent
    return link is recent.link and cast(Exchange, link.exchange).turns == recent.turn


def _pin(belongings: Belongings, statement: Statement) -> None:
    """Keep the connection for what a statement has left there."""
    pins = belongings.pins
    for effect in statement.effects:
        reason = _BY_EFFECT.get(effect)
        if reason is not None:
            pins.add(reason)
    if statement.kind is Kind.PREPARE:
        pins.add(PinReason.PREPARED_STATEMENT)
    elif statement.kind is Kind.SET_TRANSACTION:
        pins.add(PinReason.NEXT_TRANSACTION)


def _may_kill(plan: Plan, text: bytes) -> bool:
    """Whether a statement would have the server end whomever it knows by a number of ours."""
    statement = plan.statement
    if statement.kind is Kind.PREPARE or statement.kind is Kind.OPAQUE:
        return prepares_kill(text)
    return Effect.KILLS in statement.effects


def _may_hide_kill(request: Request, plans: Sequence[Plan]) -> bool:
    if len(plans) != 1 or plans[0].statement.text or plans[0].statement.kind is not Kind.OPAQUE:
        return False
    sql = request.executions[0].sql
    return sql is not None and may_hold_kill(sql)


def _texts_of(errand: Errand) -> list[bytes]:
    return [execution.sql or b"" for execution in errand.request.executions]


def _may_repeat(plans: Sequence[Plan]) -> bool:
    """Whether a request brings the same rows again, and changes nothing."""
    if len(plans) != 1:
        return False
    plan = plans[0]
    if plan.writes or plan.taints or plan.statement.effects:
        return False
    kind = plan.statement.kind
    is_read = plan.read_set is not None or kind is Kind.SHOW
    return is_read or (kind is Kind.UTILITY and plan.reason is Reason.VARIABLE)


def _engine(belongings: Belongings) -> ClientEngine:
    engine = belongings.engine
    assert isinstance(engine, ClientEngine)
    return engine


def _number_of(belongings: Belongings) -> dict[str, str]:
    return {"connection_id": f"CAST({_engine(belongings).number} AS UNSIGNED)"}


def _say_instead(request: Request, texts: Sequence[bytes], said: Sequence[bytes]) -> bool:
    """Put texts in the places of others, which a request holds one behind the other."""
    whole = request.executions[0].sql
    if whole is None or all(new is old for new, old in zip(said, texts, strict=True)):
        return False
    pieces: list[bytes] = []
    pos = 0
    for old, new in zip(texts, said, strict=True):
        start = whole.find(old, pos)
        if start < 0:
            return False  # it has been said, and is sent again
        pieces += (whole[pos:start], new)
        pos = start + len(old)
    request.say_instead(b"".join((*pieces, whole[pos:])), frozenset())
    return True


def _is_of_tables(statement: Statement) -> bool:
    return statement.text.lower().startswith(b"unlock table")


def _follow_autocommit(belongings: Belongings, value: str) -> None:
    engine = _engine(belongings)
    if plain(value) in ("on", "1"):
        engine.status |= STATUS_AUTOCOMMIT
    else:
        engine.status &= ~STATUS_AUTOCOMMIT
