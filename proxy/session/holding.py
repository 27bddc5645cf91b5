"""What is done while a transaction is held back: answered here, served beside it, or let through.

BEGIN, COMMIT and the savepoints between them are answered here. What may be served beside the
transaction is decided here too; anything else opens it at the primary (`sending`). There the server
judges whatever is unusual, also in a transaction that has failed: nothing of that is imitated.
"""

from __future__ import annotations

from typing import Final

from proxy.routing.reading import Reading
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.late import Late
from proxy.session.meaning import why_not_fast
from proxy.session.results import is_of_the_moment
from proxy.sql.statement import Kind
from proxy.sql.transaction_control import read_begin, read_end, read_savepoint
from proxy.wire.postgres.replies import binds_unnamed, only_reads
from proxy.wire.postgres.requests import END_READY


def hold_back(session: Conversation, errand: Errand) -> bool:
    """Answer a BEGIN, and keep it; False: a server must hear it."""
    if not session.services.late_begin or not _is_control(errand):
        return False
    statement = errand.plans[0].statement
    if statement.kind is not Kind.BEGIN or session.belongings.why_at_primary is not None:
        return False
    begin = read_begin(statement.text)
    if begin is None or begin.isolation not in _HELD:
        return False
    session.late = Late(begin)
    _say(session, errand, begin.tag)
    return True


def answer_held(session: Conversation, late: Late, errand: Errand) -> bool:
    """Answer what ends or divides a transaction that is held back; False: it is no such thing."""
    if not _is_control(errand):
        return False
    statement = errand.plans[0].statement
    kind, text = statement.kind, statement.text
    if kind in (Kind.COMMIT, Kind.ROLLBACK):
        is_chained = read_end(text)
        if is_chained is None:
            return False
        session.late = Late(late.begin) if is_chained else None
        session.engine.forget_portals()
        session.services.held_back(opened=False)
        tag = b"ROLLBACK" if late.is_failed or kind is Kind.ROLLBACK else b"COMMIT"
    else:
        name = read_savepoint(text)
        if name is None:
            return False
        if kind is Kind.ROLLBACK_TO and late.go_back(name):
            tag = b"ROLLBACK"
        elif kind is Kind.RELEASE and not late.is_failed and late.release(name):
            tag = b"RELEASE"
        elif kind is Kind.SAVEPOINT and not late.is_failed:
            late.savepoints.append(name)
            tag = b"SAVEPOINT"
        else:
            return False
    _say(session, errand, tag)
    return True


def may_serve_beside(
    session: Conversation, late: Late, errand: Errand, readings: list[Reading]
) -> bool:
    """Tell if a request may be served as if no transaction had begun.

    What tells the time must tell that of the transaction. A portal with a name outlives its
    request, and so may one that is not fetched to its end; but the unnamed one is gone with the
    next Bind, and nobody reads on from it later.
    """
    request = errand.request
    if late.is_failed or request.end is not END_READY:
        return False
    if not request.executions:
        return binds_unnamed(request)
    if why_not_fast(request, errand.plans, session.belongings) is not None:
        return False
    if errand.plans[0].tells_time or readings[0].clock:
        return False
    return binds_unnamed(request) and not is_of_the_moment(request.executions[0])


def _is_control(errand: Errand) -> bool:
    """Whether a request is one statement without parameters, and all of it is here."""
    request = errand.request
    if len(errand.plans) != 1 or request.end is not END_READY or not only_reads(request):
        return False
    return request.executions[0].tail.startswith(_NO_PARAMETERS)


def _say(session: Conversation, errand: Errand, tag: bytes) -> None:
    session.shell.write(session.services.dialect.said(errand.request, tag, session.status))


_HELD: Final = ("", "read committed")
_NO_PARAMETERS: Final = bytes(4)
"""No formats and no values, at the beginning of what a Bind says behind its names."""
