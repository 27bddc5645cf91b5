"""What the proxy itself is asked: EXPLAIN ROUTE, and settings of its own. No server hears of it."""

from __future__ import annotations

from typing import Final

from proxy.errors import ClientVisibleError, FailedTransaction
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.explain import asks_position
from proxy.session.grammar import OwnCommand
from proxy.session.own import POSITION
from proxy.session.phase import WAITING
from proxy.types import Reason
from proxy.wire.requests import END_READY, Execution, Request
from proxy.wire.status import IDLE, IN_FAILED

_ABORTED: Final = "current transaction is aborted, commands ignored until end of transaction block"


def answer_ourselves(session: Conversation, request: Request, asked: Execution) -> None:
    """Answer what the proxy is asked, whatever the state of a transaction."""
    status = session.status
    command = session.grammar.read_own(asked.sql or b"")
    try:
        if command is not None:
            if request.executions:
                _set(session, command)
            answer = session.services.dialect.said(request, command.tag, status)
        elif asks_position(asked.sql or b""):
            if request.executions:
                _ask_position(session, request)
                return
            answer = session.services.dialect.table(request, [POSITION], [], status)
        else:
            answer = _table(session, request, asked)
    except ClientVisibleError as error:
        _fail(session, request, error)
    else:
        session.shell.write(answer)


def _ask_position(session: Conversation, request: Request) -> None:
    session.errand = Errand(request, ())
    session.phase = WAITING
    session.line = session.services.tell_position(session)


def show_position(session: Conversation, request: Request, text: str) -> None:
    """Tell a client that has waited for it where the primary is."""
    dialect = session.services.dialect
    session.shell.write(dialect.table(request, [POSITION], [[text]], session.status))


def _set(session: Conversation, command: OwnCommand) -> None:
    status = session.status
    if status == IN_FAILED:
        raise FailedTransaction(_ABORTED)
    session.profile.own.set(
        command.name,
        command.value,
        hand=session.services.hand,
        is_local=command.is_local,
        in_transaction=status != IDLE,
    )


def _table(session: Conversation, request: Request, asked: Execution) -> bytes:
    services, status = session.services, session.status
    is_there = session.link is not None or status == IN_FAILED
    why = Reason.TRANSACTION if is_there else session.belongings.why_at_primary
    columns, rows = services.explain(session.profile, asked, why)
    return services.dialect.table(request, columns, rows, status)


def _fail(session: Conversation, request: Request, error: ClientVisibleError) -> None:
    is_whole = request.end is END_READY
    if not is_whole:
        session.intake.skip()
    session.engine.undo(request, 0)
    dialect = session.services.dialect
    ready = dialect.ready(session.status) if is_whole else b""
    session.shell.write(dialect.error(error) + ready)
