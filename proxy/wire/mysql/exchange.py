"""The server's side of a conversation with MySQL or MariaDB: commands out, replies in.

Replies are passed on as they came, but for what the client has not agreed to (`translate`) and the
id that a prepared statement goes by. What was sent in front of a command is answered in front of
its reply, and kept back; servers read one command after the other, whatever is sent behind it.

Sources: "Command Phase" in the MySQL source documentation.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.wire import exchange, requests
from proxy.wire.exchange import Prelude
from proxy.wire.mysql import capabilities, commands, ok, replies
from proxy.wire.mysql.codec import HEADER, packet, renumber
from proxy.wire.mysql.editing import Editor
from proxy.wire.mysql.execute import query
from proxy.wire.mysql.prepared import Facts
from proxy.wire.mysql.replies import ReplyReader
from proxy.wire.mysql.requests import SEVERAL_OFF, SEVERAL_ON, Request
from proxy.wire.mysql.resultset import read_text_row
from proxy.wire.mysql.tracking import NOTHING, Tracked
from proxy.wire.mysql.translate import Translator, differs
from proxy.wire.prepared import Prepared
from proxy.wire.requests import END_COPY_END
from proxy.wire.status import IDLE, IN_TRANSACTION

SEPARATOR: Final = b"\0"
"""Between statements of ours, which are sent one by one: a client may not have agreed to several in
a text, and then its connection has not either."""

RESET: Final = b"\1reset"
"""In place of a statement of ours: COM_RESET_CONNECTION, and what each session begins with."""

ANEW: Final = RESET + SEPARATOR + b"USE information_schema"
"""Statements of ours that leave nothing of a client's: a reset leaves its schema, and a session
can't be without one any more; in this one nobody has tables."""

_STATE: Final = Prelude.STATE
_POSITION: Final = Prelude.POSITION
_QUESTION: Final = None
_SEVERAL: Final = capabilities.MULTI_STATEMENTS
_IN_TRANS: Final = capabilities.STATUS_IN_TRANS

_PREPARED_ID: Final = HEADER + 1
"""Where the id stands in the answer to a COM_STMT_PREPARE."""

# Errors, by their numbers ("Server Error Message Reference").
_INTERRUPTED: Final = (1317, 3024, 1969)
"""KILL QUERY; max_execution_time; MariaDB's max_statement_time."""

_GOODBYES: Final = (1053, 1927, 3169, 4031)
"""The server is being stopped; the connection was killed (MariaDB, MySQL); it was idle too long."""

_ROLL_BACK: Final = (1213, 1614)
"""A deadlock, and an XA branch that had one: the whole transaction is gone."""

_REPREPARE: Final = (1615,)

_NOT_PARSED: Final = (1064, 1065)
"""It is no SQL; it is empty."""

_RUNS_TEXTS: Final = re.compile(rb"call|execute|prepare", re.IGNORECASE)
"""In each text that runs another: by PREPARE and EXECUTE, which are in procedures too."""

_LOOKED_AT: Final = 64 * 1024
"""Bytes of a text that is looked at for these words."""


@final
class Exchange(exchange.Exchange):
    """See the module, and the base.

    Attributes:
        capabilities: Of the connection.
        tracked: What the last reply said of the session's state.
        outcomes: Of each of its results: rows affected, the last id, the number of warnings.
        opened: Whether a cursor is open on the connection.
        turns: How many texts and executions were sent on it.
        affected: How many rows the last request has changed; -1: it failed.
        is_nowhere: Whether it is for sessions without a schema, and has never had one.
        restored: Variables that statements of before have had for themselves. Some time the server
            tells that they are as they were.
        brought_rows: Whether it brought rows.
        has_warned: Whether warnings or an error may still be told of on the connection.
    """

    __slots__ = (
        "_ahead",
        "_answer",
        "_awaits",
        "_discarding",
        "_editor",
        "_end",
        "_file_remain",
        "_has_rows",
        "_keeps_end",
        "_reader",
        "_request",
        "_setup",
        "_several",
        "_translator",
        "affected",
        "brought_rows",
        "capabilities",
        "has_warned",
        "is_nowhere",
        "opened",
        "outcomes",
        "restored",
        "tracked",
        "turns",
    )

    def __init__(self, agreed: int, max_prepared: int, setup: bytes = b"") -> None:
        """Begin behind a login.

        Args:
            agreed: The capabilities of the connection.
            max_prepared: Statements that are kept on it.
            setup: What each of its sessions begins with, as statements of ours.
        """
        super().__init__()
        self.capabilities = agreed
        self._reader = ReplyReader(agreed)
        self._ahead: deque[tuple[Prelude | None, int]] = deque()  # commands that come first
        self._answer: list[bytes] = []  # to a question of our own
        self._awaits = False  # whether the reply to the request itself is still to come
        self._request: Request | None = None
        self._discarding = self._keeps_end = False
        self._end = b""
        self._file_remain = 0  # bytes still to come of a file's packet
        self._has_rows = False
        self._setup = setup
        self._several = bool(agreed & _SEVERAL)  # whether a text may hold several statements
        self._editor = Editor(max_prepared)
        self._translator: Translator | None = None
        self.tracked = NOTHING
        self.outcomes: list[replies.Outcome] = []
        self.opened = False
        self.turns = 0
        self.affected = 0
        self.brought_rows = False
        self.has_warned = False
        self.restored: set[str] = set()
        self.is_nowhere = False

    def take_tracked(self) -> Tracked | None:
        """Hand out, once, what the last reply said of the session's state; None: nothing."""
        tracked, self.tracked = self.tracked, NOTHING
        return None if tracked is NOTHING else tracked

    # Sending.

    def prelude(self, prelude: Prelude, sql: bytes) -> bytes:
        """See the base."""
        return self._say(prelude, sql)

    def ask(self, sql: bytes) -> bytes:
        """See the base."""
        self._start()
        self.rows = []
        self.reported = self.notices = b""
        self._discarding = True
        said = self._say(_QUESTION, sql)
        self._expect_next()
        return said

    def reset(self) -> bytes:
        """See the base."""
        return self.ask(RESET if self.is_nowhere else ANEW)

    def prepare(self, sql: bytes, statements: Iterable[Prepared]) -> bytes:
        """See the base."""
        self._start()
        self._discarding = True
        pieces = [self._say(_STATE, sql)] if sql else []
        for prepared in statements:
            pieces.append(prepared.message)
            self._editor.prepares(prepared)
            self._ahead.append((_QUESTION, commands.STMT_PREPARE))
        self._expect_next()
        return b"".join(pieces)

    def begin(
        self, request: requests.Request, *, sync: bool = False, keeps_end: bool = False
    ) -> bytes:
        """See the base."""
        assert isinstance(request, Request)
        self._start()
        self._request = request
        self._keeps_end = keeps_end
        self._awaits = True
        reader = self._reader
        if request.executions:
            self.turns += 1
        theirs = request.capabilities
        if theirs and differs(reader.capabilities, theirs):
            self._translator = Translator(reader.capabilities, theirs)
        said = self._put(request)
        self._expect_next()
        return said

    def _put(self, request: Request) -> bytes:
        """The request's words on this connection."""
        command = request.command
        prepared = request.prepared
        pieces = self._editor.close_strays()
        if command == commands.RESET_CONNECTION:
            # It takes what each session begins with along, so more is sent; a ping ends it.
            return b"".join((*pieces, self._say(_STATE, RESET), _PING))
        if command == commands.QUERY:
            if not request.capabilities:  # a text of ours
                text = query(request.packets[HEADER + 1 :], self._reader.capabilities)
                return b"".join((*pieces, packet(0, text)))
            pieces += self._allow_several(bool(request.capabilities & _SEVERAL))
        if command == commands.STMT_PREPARE and prepared is not None:
            self._editor.prepares(prepared)
        elif prepared is not None:
            return b"".join(pieces + self._editor.say(request, prepared))
        pieces.append(request.packets)
        return b"".join(pieces) if len(pieces) > 1 else request.packets

    def _allow_several(self, wanted: bool) -> list[bytes]:
        """Let a text hold several statements, or not: as its client may, who shares with others."""
        if self._several is wanted:
            return []
        self._several = wanted
        self._ahead.append((_QUESTION, commands.SET_OPTION))
        return [packet(0, bytes((commands.SET_OPTION,)) + (SEVERAL_ON if wanted else SEVERAL_OFF))]

    def _say(self, prelude: Prelude | None, sql: bytes) -> bytes:
        """Send statements of ours, one by one."""
        self.turns += 1
        pieces = []
        for statement in sql.split(SEPARATOR):
            if statement == RESET:
                pieces.append(_RESET_CONNECTION)
                self._ahead.append((prelude, commands.RESET_CONNECTION))
                self.forget_statements()
                if self._setup:
                    pieces.append(self._say(prelude, self._setup))
            else:
                pieces.append(packet(0, query(statement, self._reader.capabilities)))
                self._ahead.append((prelude, commands.QUERY))
        return b"".join(pieces)

    def _start(self) -> None:
        self.done = False
        self.plain = True
        self.error = None
        self.state_error = self.position_missing = False
        self.tags = []
        self.confirmed = 0
        self.copying_in = False
        self._request = None
        self._awaits = self._discarding = self._keeps_end = False
        self._translator = None
        self.tracked = NOTHING
        self.outcomes = []

    def _expect_next(self) -> None:
        """Make ready for the next reply that is owed; there may be none."""
        self._has_rows = False
        while True:
            if self._ahead:
                self._reader.expect(self._ahead[0][1])
                return
            request = self._request
            if not self._awaits or request is None:
                self.done = True
                return
            self._reader.expect(request.command)
            if self._translator is not None:
                self._translator.status = self._reader.status
            if not self._reader.done:
                return
            self._awaits = False  # it is answered by nothing

    def take_end(self) -> bytes:
        """See the base."""
        end, self._end = self._end, b""
        return end

    def go_on(self, request: requests.Request) -> bytes:
        """See the base: there are no batches."""
        return b""

    def end_batch(self) -> bytes:
        """See the base: there are no batches."""
        return b""

    def give_up(self, *, is_open: bool) -> bytes | None:
        """See the base: a file that ends early would be loaded as far as it came."""
        return None if self.copying_in else b""

    def copy(self, request: requests.Request) -> bytes:
        """See the base."""
        assert isinstance(request, Request)
        if request.end is END_COPY_END:
            self.copying_in = False
        piece, start, ahead = request.packets, self._file_remain, self._file_ahead
        if not ahead:
            return piece
        pos = start
        while pos < len(piece):
            pos += HEADER + int.from_bytes(piece[pos : pos + 3], "little")
        self._file_remain = pos - len(piece)
        return renumber(piece, start, -ahead)

    @property
    def _file_ahead(self) -> int:
        """How far the client's count is ahead of the server's."""
        return 0 if self._translator is None else self._translator.ahead

    def discard(self) -> None:
        """See the base."""
        self._discarding = True

    # Receiving.

    def feed(self, data: bytes) -> bytes:
        """See the base."""
        pieces: list[bytes] = []
        while True:
            passed = self._reader.feed(data)
            if passed:
                told = self._take(passed)
                if told:
                    pieces.append(told)
            if not self._reader.done or self.done:
                break
            self._finish_reply()
            if self.done:
                if self._reader.has_rest:
                    raise RemoteProtocolError("the server answered what it was not asked")
                break
            if not self._reader.has_rest:
                break
            data = b""
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take(self, passed: bytes) -> bytes:
        """Take in a part of the reply that is due; returns what goes on to the client."""
        reader = self._reader
        if self._ahead:
            self._take_ahead(passed, self._ahead[0][0])
            return b""
        request = self._request
        wish = -1
        for kind, start, _ in reader.found:
            if kind == replies.FILE:
                wish = passed[start + 3]
            elif kind == replies.PREPARED and request is not None:
                passed = self._take_prepared(request, passed, start)
            elif kind == replies.ROWS:
                self._has_rows = True
        if self._discarding:
            return b""
        if self._translator is not None:
            passed = self._translator.feed(passed, reader.found)
        if wish >= 0:
            self.copying_in = True
            self.copy_sequence = wish + 1 + self._file_ahead & 0xFF
            self._file_remain = 0
        if self._keeps_end:
            self._end += passed
            return b""
        return passed

    def _take_prepared(self, request: Request, passed: bytes, start: int) -> bytes:
        """A statement of the client's is there: it is told its own id."""
        self._note_prepared()
        place = start + _PREPARED_ID
        return passed[:place] + request.name + passed[place + 4 :]

    def _note_prepared(self) -> None:
        reader = self._reader
        self._editor.has_id(reader.statement, Facts(reader.parameters, reader.columns))

    def _take_ahead(self, passed: bytes, prelude: Prelude | None) -> None:
        """Keep back the reply to what was sent in front."""
        if prelude is _QUESTION:
            self._answer.append(passed)
        for kind, _, _ in self._reader.found:
            if kind == replies.PREPARED:
                self._note_prepared()
            elif kind == replies.ROWS:
                self._has_rows = True

    def _read_answer(self) -> None:
        """Read the rows of a question's answer, which are behind its columns' definitions."""
        answer = b"".join(self._answer)
        self._answer = []
        if not self._has_rows:
            return
        packets: list[bytes] = []
        pos = 0
        while pos < len(answer):
            stop = pos + HEADER + int.from_bytes(answer[pos : pos + 3], "little")
            packets.append(answer[pos:stop])
            pos = stop
        columns = self._reader.columns
        is_marked = not self._reader.capabilities & capabilities.DEPRECATE_EOF
        self.rows += [read_text_row(row, columns) for row in packets[1 + columns + is_marked : -1]]

    def _finish_reply(self) -> None:
        """A reply is whole."""
        reader = self._reader
        error = reader.error
        if self._ahead:
            prelude, command = self._ahead.popleft()
            if command == commands.STMT_PREPARE:
                self._editor.is_answered()
            if error and self.error is None:
                self.error = error
                self.state_error = prelude is _STATE
            if prelude is _POSITION and (error or not self._has_rows):
                self.position_missing = True
            if prelude is _QUESTION and command == commands.QUERY:
                self._read_answer()
            if self.state_error or self.position_missing:
                self._discarding = True
        else:
            self._finish_request(error)
        self._note_status(error)
        self._expect_next()

    def _finish_request(self, error: bytes) -> None:
        reader = self._reader
        request = self._request
        self._awaits = False
        self.copying_in = False
        self.tracked = reader.tracked
        self.outcomes = reader.outcomes
        if request is None:
            return
        found = reader.found
        self.brought_rows = not error and bool(found) and found[-1][0] == replies.END
        self.affected = reader.outcomes[-1][0] if reader.outcomes and not error else -1
        if request.command == commands.STMT_PREPARE:
            self._editor.is_answered()
        self.opened = reader.cursor_exists
        if request.command == commands.SET_OPTION and not error:
            self._several = request.packets[HEADER + 1 :] == SEVERAL_ON
        if error:
            self.error = self.error or error
            self.has_warned = True
        else:
            self.confirmed = len(request.undo)
        self.tags = [b"OK %d" % affected for affected, _, _ in reader.outcomes]
        for _, _, warnings in reader.outcomes:
            if warnings:
                self.has_warned = True
        if request.verb:
            # A COMMIT that fails may have been made durable all the same.
            self.tags = [request.verb]
        self.plain = (
            reader.tracked is NOTHING
            and len(reader.outcomes) == 1
            and not reader.outcomes[0][2]
            and not reader.cursor_exists
            and reader.columns > 0
        )

    def _note_status(self, error: bytes) -> None:
        """Note how the transaction stands; an error doesn't say that.

        What was run in front of it in the same text may have begun one. So may what failed itself,
        where statements are not committed by themselves: until the server says that there is none,
        there may be locks to be let go of.
        """
        reader = self._reader
        if error and _code(error) in _ROLL_BACK:
            reader.status &= ~_IN_TRANS
            self.status = IDLE
            return
        is_doubtful = error and not reader.status & capabilities.STATUS_AUTOCOMMIT
        self.status = IN_TRANSACTION if is_doubtful or reader.status & _IN_TRANS else IDLE

    def idle_feed(self, data: bytes) -> None:
        """See the base: an error is a farewell, and nothing else may come."""
        if len(data) > HEADER and data[HEADER] == ok.ERROR:
            self.farewell = data
            return
        raise RemoteProtocolError("the server answered what it was not asked")

    def say_at_once(self) -> bytes:
        """See the base."""
        return b""

    # What is prepared on the connection.

    def must_prepare(self, request: requests.Request) -> list[Prepared]:
        """See the base: its id here is not known before."""
        assert isinstance(request, Request)
        prepared = request.prepared
        if prepared is None or request.command == commands.STMT_PREPARE:
            return []
        return [prepared] if self._editor.lacks(request, prepared) else []

    def lacking(self, request: requests.Request) -> list[Prepared]:
        """See the base."""
        return [it for it in self.must_prepare(request) if it.sense is not None]

    def doubt(self, is_in_doubt: bool) -> None:
        """See the base: settings are tracked, so there is no doubt."""

    def keep_statements(self, names: frozenset[bytes]) -> None:
        """See the base: they have no names that anybody else could use."""

    def forget_statements(self) -> None:
        """See the base."""
        self._editor.forget()

    # What an error means.

    @property
    def was_canceled(self) -> bool:
        """See the base."""
        return self._code in _INTERRUPTED

    @property
    def ran_nothing(self) -> bool:
        """See the base: each statement is parsed before it is run, the first before all others.

        What runs another text may fail so in its middle, and in a transaction something may have
        been committed in front.
        """
        request = self._request
        if request is None or self._code not in _NOT_PARSED or self.outcomes:
            return False
        if request.command != commands.QUERY or self.status != IDLE or not request.executions:
            return False
        sql = request.executions[0].sql
        if sql is None or len(sql) > _LOOKED_AT:
            return False
        return _RUNS_TEXTS.search(sql) is None

    @property
    def said_goodbye(self) -> bool:
        """See the base."""
        return self._code in _GOODBYES

    @property
    def wants_new_texts(self) -> bool:
        """See the base."""
        return self._code in _REPREPARE

    @property
    def _code(self) -> int:
        return 0 if self.error is None else _code(self.error)

    def has_snapshot(self, request: requests.Request, passed: bytes) -> bool:
        """See the base: it is taken when the first row is read, and what says what the columns are
        may be sent before."""
        return self._has_rows or self.done


def _code(error: bytes) -> int:
    return int.from_bytes(error[HEADER + 1 : HEADER + 3], "little")


_PING: Final = packet(0, bytes((commands.PING,)))
_RESET_CONNECTION: Final = packet(0, bytes((commands.RESET_CONNECTION,)))
