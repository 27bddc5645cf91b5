"""The server's side of a conversation: requests out, answers in.

`Exchange` belongs to one server connection. It turns a request into what must be sent on *this*
connection (`editing` finds the words), and the server's bytes into what may go on to the client,
with the facts that matter pointed out.

Most answers are passed on as they came: only ReadyForQuery, CommandComplete, ErrorResponse and
a few more are looked at. Where a request was edited, the answer to each message is what it is owed:
passed on, kept back, or said in the server's place.

Sources: "Message Flow" in the PostgreSQL manual, "Extended Query" and "Pipelining".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.wire import exchange, requests
from proxy.wire.exchange import Prelude
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.editing import Editor, Owed
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.items import TAKEN, Item
from proxy.wire.postgres.requests import Request
from proxy.wire.prepared import Prepared
from proxy.wire.requests import END_COPY_END, END_OPEN, END_READY
from proxy.wire.status import IN_FAILED

_ONE_ROW: Final = backend.command_complete(b"SELECT 1")

_WATCH_PLAIN: Final = watch(b"ZECSGWANK1")
_WATCH_EDITED: Final = watch(b"ZECSGWANK123tTnsIV")
_WATCH_ROWS: Final = watch(b"ZECSDAN")


_STATE: Final = Prelude.STATE
_POSITION: Final = Prelude.POSITION


@final
class Exchange(exchange.Exchange):
    """See the module, and the base.

    Attributes:
        parameters: What the server has reported, by name.
        editor: Finds the words for this connection.
    """

    __slots__ = (
        "_copy_ended",
        "_discarding",
        "_editing",
        "_end",
        "_framer",
        "_keeps_end",
        "_owed",
        "_preludes",
        "_request",
        "_sync_counts",
        "editor",
        "parameters",
    )

    def __init__(self, parameters: dict[bytes, bytes], max_prepared: int) -> None:
        super().__init__()
        self._framer = Framer(_WATCH_PLAIN)
        self._preludes: deque[Prelude] = deque()
        self._editing = False
        self._discarding = False
        self._request: Request | None = None
        self._copy_ended = False  # the client has said that it has no more rows to be copied
        self._sync_counts = False  # the Sync was sent behind that
        self._keeps_end = False
        self._end = b""
        self.parameters = parameters
        self.editor = Editor(max_prepared)
        self._owed = self.editor.owed

    # Sending.

    def prelude(self, prelude: Prelude, sql: bytes) -> bytes:
        """See the base."""
        self._preludes.append(prelude)
        self.editor.unnamed = None
        return frontend.query(sql)

    def ask(self, sql: bytes) -> bytes:
        """See the base."""
        self._start()
        self.editor.unnamed = None
        self.rows = []
        self.reported = self.notices = b""
        self._request = None
        self._discarding = True
        self._editing = False
        self._framer.watched = _WATCH_ROWS
        return frontend.query(sql)

    def reset(self) -> bytes:
        """See the base."""
        self.editor.forget_statements()
        return self.ask(b"DISCARD ALL")

    def prepare(self, sql: bytes, statements: Iterable[Prepared]) -> bytes:
        """See the base."""
        self._start()
        settings = self.prelude(_STATE, sql) if sql else b""
        self.reported = b""
        self._request = None
        self._discarding = True
        self._editing = True
        self.editor.in_doubt = False
        self._framer.watched = _WATCH_EDITED
        return settings + self.editor.prepare(statements)

    def begin(
        self, request: requests.Request, *, sync: bool = False, keeps_end: bool = False
    ) -> bytes:
        """See the base.

        What is kept back is, of a single statement in a simple query, the CommandComplete and what
        follows; of a batch, ReadyForQuery.
        """
        assert isinstance(request, Request)
        self._start()
        self._request = request
        self._keeps_end = keeps_end
        self._editing = sync or request.end is END_OPEN or self.editor.must_edit(request)
        self._framer.watched = _WATCH_EDITED if self._editing else _WATCH_PLAIN
        if not self._editing:
            return self.editor.as_it_is(request)
        data = self._edit(request)
        return data + self.editor.sync() if sync else data

    def _edit(self, request: Request) -> bytes:
        if any(item.tag in _COPY_ENDS for item in request.items):
            self._copy_ended = True
        self.editor.is_refusing = self.status == IN_FAILED
        return self.editor.edit(request)

    def _start(self) -> None:
        self.done = False
        self.plain = True
        self.error = None
        self.state_error = False
        self.position_missing = False
        self.tags = []
        self.confirmed = 0
        self.unnamed_is_lost = False
        self.copying_in = self.wants_sync = False
        self._copy_ended = self._sync_counts = False
        self._discarding = self._keeps_end = False

    def take_end(self) -> bytes:
        """See the base."""
        end, self._end = self._end, b""
        return end

    def go_on(self, request: requests.Request) -> bytes:
        """See the base."""
        assert isinstance(request, Request)
        self.wants_sync = False
        self._sync_counts = self._copy_ended
        if not self._editing and not self.editor.must_edit(request):
            return self.editor.as_it_is(request)
        if not self._editing:
            self._editing = True
            self._framer.watched = _WATCH_EDITED
        return self._edit(request)

    def end_batch(self) -> bytes:
        """See the base: a Sync."""
        return self.go_on(_end_of_batch())

    def give_up(self, *, is_open: bool) -> bytes:
        """See the base. A Sync alone would commit what was run so far."""
        said = frontend.copy_fail(b"the client is gone") if self.copying_in else b""
        if is_open:
            end = _end_of_batch()
            end.items.insert(0, Item(tags.DESCRIBE, _NO_SUCH_PORTAL, None, b""))
            said += self.go_on(end)
        return said

    def copy(self, request: requests.Request) -> bytes:
        """See the base."""
        assert isinstance(request, Request)
        if request.end is END_COPY_END:
            self.copying_in = False
            self._copy_ended = True
        return b"".join([item.message for item in request.items])

    def discard(self) -> None:
        """See the base."""
        self._discarding = True

    # Receiving.

    def feed(self, data: bytes) -> bytes:
        """See the base.

        What comes behind the answer does not belong to it, as if it had come later: a server that
        is being stopped says so right behind the answer to a COMMIT, and that is no failure of it.
        """
        passed = self._frame(data)
        found = self._framer.found
        if self._preludes:
            return self._after_preludes(passed, found)
        return self._answer(passed, found, 0)

    def idle_feed(self, data: bytes) -> None:
        """See the base."""
        framer = self._framer
        framer.watched = _WATCH_PLAIN
        passed = self._frame(data)
        self._overhear(passed, framer.found)

    def _overhear(self, passed: bytes, found: list[tuple[int, int, int]]) -> None:
        for tag, start, stop in found:
            message = passed[start:stop]
            if tag == tags.ERROR_RESPONSE:
                self.farewell = message
                continue
            if tag == tags.PARAMETER_STATUS:
                self._note_parameter(message)
            elif tag not in _NOT_OF_THE_ANSWER:
                raise RemoteProtocolError("the server answered what it was not asked")
            self.asynchronous += message

    def _frame(self, data: bytes) -> bytes:
        try:
            return self._framer.feed(data)
        except ValueError as error:
            raise RemoteProtocolError(f"invalid message from the server: {error}") from None

    def _after_preludes(self, passed: bytes, found: list[tuple[int, int, int]]) -> bytes:
        """Keep back the answers to what was sent in front of the request."""
        for index, (tag, start, stop) in enumerate(found):
            if tag == tags.READY_FOR_QUERY:
                self._preludes.popleft()
                if self.state_error:
                    self._discarding = True
                if not self._preludes:
                    return self._answer(passed, found[index + 1 :], stop)
            elif tag == tags.ERROR_RESPONSE:
                if self.error is None:
                    self.error = passed[start:stop]
                self.state_error = self._preludes[0] is _STATE
                self.position_missing = not self.state_error
                self._discarding = True
            elif tag == tags.COMMAND_COMPLETE and self._preludes[0] is _POSITION:
                if passed[start:stop] != _ONE_ROW:
                    self.position_missing = True
                    self._discarding = True
            elif tag == tags.PARAMETER_STATUS:
                self._note_parameter(passed[start:stop])
            elif tag == tags.NOTIFICATION_RESPONSE:
                self.asynchronous += passed[start:stop]
        return b""

    def _answer(self, passed: bytes, found: list[tuple[int, int, int]], start: int) -> bytes:
        """Take in what has come of the answer, and then what has come behind it."""
        if found and found[-1][0] != tags.READY_FOR_QUERY:
            for place, (tag, _, stop) in enumerate(found, start=1):
                if tag == tags.READY_FOR_QUERY:
                    told = self._take(passed[:stop], found[:place], start)
                    self._overhear(passed, found[place:])
                    return told
        return self._take(passed, found, start)

    def _take(self, passed: bytes, found: list[tuple[int, int, int]], start: int) -> bytes:
        if self._owed:
            told = self._settle(passed, found, start)
        else:
            if found:
                self._note(passed, found)
            if self._discarding:
                return b""
            told = passed[start:] if start else passed
        return self._keep_end(told, passed, found) if self._keeps_end else told

    def _keep_end(self, told: bytes, passed: bytes, found: list[tuple[int, int, int]]) -> bytes:
        """Keep back from the first message on that tells of a commit."""
        request = self._request
        cut = len(told)
        if self._end:
            cut = 0
        elif request is not None and request.simple:
            for tag, begin, _ in found:
                if tag in _TELL_OF_COMMIT:
                    cut -= len(passed) - begin
                    break
        elif self.done:
            cut -= len(backend.READY_IDLE)
        self._end += told[cut:]
        return told[:cut]

    def _note(self, passed: bytes, found: list[tuple[int, int, int]]) -> None:
        """Point out what matters in an answer that is passed on as it came."""
        for tag, start, stop in found:
            if tag == tags.COMMAND_COMPLETE:
                self.tags.append(passed[start + 5 : stop - 1])
            elif tag == tags.READY_FOR_QUERY:
                self.status = passed[start + 5]
                self.done = True
                self._framer.watched = _WATCH_PLAIN
                self.editor.drop_doubtful(self.status)
                request = self._request
                if request is not None and self.error is None:
                    self.confirmed = len(request.undo)
            elif tag == tags.PARSE_COMPLETE:
                self.confirmed += 1  # in an answer passed on as it came, of the unnamed statement
            else:
                self._note_other(tag, passed[start:stop])

    def _note_other(self, tag: int, message: bytes) -> None:
        if tag == tags.ERROR_RESPONSE:
            if self.error is None:
                self.error = message
            self.copying_in = False
            self.editor.unnamed = None  # or not: it depends on where the error came
            self.unnamed_is_lost = self.unnamed_is_lost or self._is_parse_of_unnamed()
        elif tag == tags.DATA_ROW:
            self.rows.append(backend.read_data_row(message))
        elif tag == tags.PARAMETER_STATUS:
            self._note_parameter(message)
            self.plain = False
            if self._discarding:
                self.reported += message
        elif tag in (tags.COPY_IN_RESPONSE, tags.COPY_BOTH_RESPONSE):
            self.copying_in = not self._copy_ended
            if not self._in_query() and not self._sync_counts:
                # A Sync that comes while a server waits for rows is lost on it.
                self.wants_sync = True
                if len(self._owed) > 1 and self._owed[-1].completes == b"Z":
                    self._owed.pop()
        elif tag in _NOT_OF_THE_ANSWER:
            self.plain = False
            if not self._discarding:
                return
            if tag == tags.NOTIFICATION_RESPONSE:
                self.asynchronous += message
            elif tag == tags.NOTICE_RESPONSE:
                self.notices += message

    def _note_parameter(self, message: bytes) -> None:
        name, value = backend.read_parameter_status(message)
        self.parameters[name] = value

    def _settle(self, passed: bytes, found: list[tuple[int, int, int]], begin: int) -> bytes:
        """Pass on, keep back and fill in, by what is owed for each message that was sent."""
        pieces: list[bytes] = []
        kept = begin  # from here on, nothing has been put into `pieces` yet
        self._say_what_is_due(pieces)
        for tag, start, stop in found:
            if tag == tags.ERROR_RESPONSE:
                self._note_other(tag, passed[start:stop])
                self._skip_to_ready()
                continue
            owed = self._owed[0] if self._owed else None
            if owed is not None and tag in owed.completes:
                self._owed.popleft()
                self._confirm(owed)
                if not owed.forward:
                    pieces.append(passed[kept:start])
                    kept = stop
            if tag in (tags.COMMAND_COMPLETE, tags.READY_FOR_QUERY):
                self._note(passed, [(tag, start, stop)])
                if tag == tags.COMMAND_COMPLETE and self._is_hidden():
                    pieces.append(passed[kept:start])
                    kept = stop
                while self.done and self._owed:
                    self.editor.skip(self._owed.popleft())
            else:
                self._note_other(tag, passed[start:stop])
            if self._owed and self._owed[0].said:
                pieces.append(passed[kept:stop] if kept < stop else b"")
                kept = max(kept, stop)
                self._say_what_is_due(pieces)
        pieces.append(passed[kept:])
        return b"" if self._discarding else b"".join(pieces)

    def say_at_once(self) -> bytes:
        """See the base.

        Otherwise it waits for the server's first word: an answer may yet be thrown away.
        """
        if not all(owed.said for owed in self._owed):
            return b""
        pieces: list[bytes] = []
        self._say_what_is_due(pieces)
        return b"".join(pieces)

    def must_prepare(self, request: requests.Request) -> list[Prepared]:
        """See the base: nothing, since names are given by us."""
        return []

    def lacking(self, request: requests.Request) -> list[Prepared]:
        """See the base."""
        assert isinstance(request, Request)
        found: list[Prepared] = []
        for item in request.items:
            prepared = item.prepared
            if prepared is not None and prepared.sense is not None and self.editor.lacks(item):
                found.append(prepared)
        return found

    def doubt(self, is_in_doubt: bool) -> None:
        """See the base."""
        self.editor.in_doubt = is_in_doubt

    def keep_statements(self, names: frozenset[bytes]) -> None:
        """See the base."""
        self.editor.keep_statements(names)

    def forget_statements(self) -> None:
        """See the base: DISCARD ALL, or DEALLOCATE ALL."""
        self.editor.forget_statements()

    @property
    def was_canceled(self) -> bool:
        """See the base."""
        return self._said(backend.SQLSTATE) == _CANCELED

    @property
    def ran_nothing(self) -> bool:
        """See the base: a text is parsed as a whole, before anything of it is run.

        What parses another while it runs, a DO for one, says so: in which text, or from where.
        """
        if self.error is None or self.tags:
            return False
        said = backend.read_error(self.error)
        is_within = backend.INTERNAL_QUERY in said or backend.WHERE in said
        return said.get(backend.SQLSTATE) == _SYNTAX_ERROR and not is_within

    @property
    def said_goodbye(self) -> bool:
        """See the base."""
        return self._said(backend.SEVERITY_UNTRANSLATED) in _LAST_WORDS

    @property
    def wants_new_texts(self) -> bool:
        """See the base."""
        return self._said(backend.ROUTINE) == _REVALIDATION

    def _said(self, field: bytes) -> bytes | None:
        return None if self.error is None else backend.read_error(self.error).get(field)

    def has_snapshot(self, request: requests.Request, passed: bytes) -> bool:
        """See the base.

        Of a batch it is taken at Bind. A server sends what is in front of that when its buffer is
        full: a statement's description may be larger (PostgreSQL, "exec_bind_message" and
        PQ_SEND_BUFFER_SIZE, 8 KB).
        """
        if request.simple:
            return True
        pos = 0
        while pos + HEADER <= len(passed):
            tag = passed[pos]
            if tag == tags.BIND_COMPLETE:
                return True
            if tag not in _BEFORE_BIND:
                return False
            pos += 1 + read_int32(passed, pos + 1)
        return False

    def _say_what_is_due(self, pieces: list[bytes]) -> None:
        while self._owed and self._owed[0].said:
            owed = self._owed.popleft()
            pieces.append(owed.said)
            self._confirm(owed)

    def _confirm(self, owed: Owed) -> None:
        self.editor.confirm(owed)
        item = owed.item
        if item is not None and item.prepared is not None and item.tag in _UNDOABLE:
            self.confirmed += 1

    def _is_hidden(self) -> bool:
        """Whether the statement that was just completed is one of ours, in a client's text."""
        request = self._request
        return request is not None and len(self.tags) - 1 in request.hidden

    def _in_query(self) -> bool:
        """Whether the server is at a message that ReadyForQuery follows without a Sync."""
        if self._owed:
            item = self._owed[0].item
            return item is not None and item.tag in _QUERIES
        return self._request is not None and self._request.simple

    def _skip_to_ready(self) -> None:
        """After an error the server reads up to the Sync and says nothing before ReadyForQuery.

        It passes over a Query too, unless the error is the Query's own.
        """
        if self._in_query():
            return
        while self._owed and (b"Z" not in self._owed[0].completes or self._in_query()):
            self.editor.skip(self._owed.popleft())
        self.wants_sync = not self._owed

    def _is_parse_of_unnamed(self) -> bool:
        """Whether the server is at a Parse without a name, which first drops what was there."""
        if self._owed:
            item = self._owed[0].item
        elif self._editing or self._request is None or self.confirmed:
            return False
        else:
            item = self._request.items[0]
        return item is not None and item.tag == tags.PARSE and not item.name


def _end_of_batch() -> Request:
    return Request(END_READY, [Item(tags.SYNC, frontend.SYNC, None, b"")])


_NO_SUCH_PORTAL: Final = frontend.describe(tags.PORTAL, b"the client is gone")

_UNDOABLE: Final = frozenset((tags.PARSE, tags.CLOSE, TAKEN))

_CANCELED: Final = b"57014"
_SYNTAX_ERROR: Final = b"42601"
_LAST_WORDS: Final = (b"FATAL", b"PANIC")
_REVALIDATION: Final = b"RevalidateCachedQuery"
"""The routine in PostgreSQL that finds a prepared statement's result to be another than before."""

_BEFORE_BIND: Final = frozenset(
    (tags.PARSE_COMPLETE, tags.PARAMETER_DESCRIPTION, tags.ROW_DESCRIPTION, tags.CLOSE_COMPLETE)
)
_TELL_OF_COMMIT: Final = frozenset((tags.COMMAND_COMPLETE, tags.READY_FOR_QUERY))
_QUERIES: Final = frozenset((tags.QUERY, tags.FUNCTION_CALL))
_COPY_ENDS: Final = frozenset((tags.COPY_DONE, tags.COPY_FAIL))
_NOT_OF_THE_ANSWER: Final = frozenset(
    (tags.NOTIFICATION_RESPONSE, tags.NOTICE_RESPONSE, tags.BACKEND_KEY_DATA)
)
