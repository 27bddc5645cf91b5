"""A record of PostgreSQL's log, whatever its format, and what it says of statements.

Source: "Error Reporting and Logging" in the manual; the texts are those of `postgres.c`
(`exec_simple_query`, `exec_execute_message`, `check_log_duration`, `errdetail_params`).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxy.doctor.events import Began, Ended, Event, Failed, Ran, Timed

LONGEST: Final = 8 * 2**20
"""Characters of a record. Longer ones are not read: they would be kept whole."""

_ENDS: Final = frozenset(("FATAL", "PANIC"))
"""Severities of what ends a session."""


class Record(NamedTuple):
    """One message of the server.

    Attributes:
        session: Its session id, or its process id where there is none.
        user: Empty where the log does not say.
        database: Empty where the log does not say.
    """

    session: str
    user: str
    database: str
    severity: str
    message: str
    detail: str


_DURATION: Final = re.compile(r"duration: ([0-9.]+) ms(?:  |$)")
_EXECUTE: Final = re.compile(r"(execute fetch from|execute|parse|bind) (\S.*?): (.*)", re.DOTALL)
_AUTHORIZED: Final = re.compile(
    r"connection authorized: user=(.*?) database=(.*?)(?: (?:application_name=|SSL |GSS ).*)?$"
)
_STATEMENT: Final = "statement: "


def read_record(record: Record) -> Event | None:
    """Say what a record tells of statements; None: nothing."""
    message = record.message
    if record.severity != "LOG":
        if record.severity == "ERROR":
            return Failed(record.session, record.database or None)
        return Ended(record.session) if record.severity in _ENDS else None
    seconds: float | None = None
    if message.startswith("duration: "):
        timed = _DURATION.match(message)
        if timed is None:
            return None
        seconds = float(timed[1]) / 1000
        message = message[timed.end() :]
        if not message:
            return Timed(record.session, seconds)
    if message.startswith(_STATEMENT):
        return _ran(record, message[len(_STATEMENT) :], seconds)
    first = message[:1]
    if first in "epb" and (found := _EXECUTE.match(message)) is not None:
        if found[1] == "execute":
            return _ran(record, found[3], seconds)
        # To fetch on from a portal is no new statement.
        return None if seconds is None else Timed(record.session, seconds, is_ahead=True)
    if seconds is not None:
        return None
    return _of_session(record)


def _of_session(record: Record) -> Event | None:
    message = record.message
    if message.startswith("disconnection: "):
        return Ended(record.session)
    if message.startswith("connection authorized: "):
        found = _AUTHORIZED.match(message)
        return None if found is None else Began(record.session, found[1], found[2])
    return None


def _ran(record: Record, text: str, seconds: float | None) -> Ran:
    detail = record.detail
    values = detail[detail.find(":") + 1 :] if detail[1:11] == "arameters:" else ""
    user, database = record.user, record.database
    return Ran(record.session, user or None, database or None, text, values, seconds)
