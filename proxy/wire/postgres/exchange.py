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
from enum import Enum, unique
from typing import Final, NamedTuple, final

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.editing import Editor, Owed
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.prepared import Prepared
from proxy.wire.postgres.requests import END_COPY_END, END_OPEN, TAKEN, Request

_ONE_ROW: Final = backend.command_complete(b"SELECT 1")

_WATCH_PLAIN: Final = watch(b"ZECSGWANK1")
_WATCH_EDITED: Final = watch(b"ZECSGWANK123tTnsIV")
_WATCH_ROWS: Final = watch(b"ZECSDAN")


@unique
class Prelude(Enum):
    """What was sent in front of a request, and must be answered before it."""

    STATE = "state"  # the client's settings; an error there is the client's answer
    POSITION = "position"  # has this replica replayed what the read must see?


class Heard(NamedTuple):
    """What a server says in its answer to a question of our own, and a client must hear."""

    refused: bytes | None  # an ErrorResponse: the transaction has failed
    notices: bytes
    reports: bytes  # of settings


_STATE: Final = Prelude.STATE
_POSITION: Final = Prelude.POSITION


@final
class Exchange:
    """One server connection's protocol state. See the module.

    After `feed`, the facts about the request in flight are in the public attributes; `done` says
    that the server is ready for the next one.
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
        "asynchronous",
        "confirmed",
        "copying_in",
        "done",
        "editor",
        "error",
        "farewell",
        "notices",
        "parameters",
        "plain",
        "position_missing",
        "reported",
        "rows",
        "state_error",
        "status",
        "tags",
        "unnamed_is_lost",
        "wants_sync",
    )

    def __init__(self, parameters: dict[bytes, bytes], max_prepared: int) -> None:
        self._framer = Framer(_WATCH_PLAIN)
        self._preludes: deque[Prelude] = deque()
        self._editing = False
        self._discarding = False
        self._request: Request | None = None
        self._copy_ended = False  # the client has said that it has no more rows to be copied
        self._sync_counts = False  # the Sync was sent behind that
        self._keeps_end = False
        self._end = b""
        # Of the connection:
        self.parameters = parameters
        self.editor = Editor(max_prepared)
        self._owed = self.editor.owed
        self.status = tags.IDLE
        # Of the request in flight:
        self.done = True
        self.plain = True  # nothing in the answer but the answer: no notice, no parameter
        self.error: bytes | None = None  # the first ErrorResponse
        self.state_error = False  # it came while the client's settings were applied
        self.position_missing = False  # the replica is behind: the answer was thrown away
        self.tags: list[bytes] = []  # command tags, in order
        self.rows: list[list[bytes | None]] = []  # of a question of our own
        self.reported = b""  # of settings, in the answer to one
        self.notices = b""  # in the answer to one
        self.confirmed = 0  # entries of the request's undo list that are true on the server
        self.unnamed_is_lost = False  # a Parse failed that was to replace it
        self.copying_in = False
        self.wants_sync = False  # nothing but a Sync that was not sent yet ends the request
        self.asynchronous = b""  # notifications and the like, for whoever is pinned here
        self.farewell: bytes | None = None  # an ErrorResponse to nothing that was asked

    # Sending.

    def prelude(self, prelude: Prelude, sql: bytes) -> bytes:
        """Send `sql` in front of the request that `begin` comes with; its answer is kept back."""
        self._preludes.append(prelude)
        self.editor.unnamed = None
        return frontend.query(sql)

    def ask(self, sql: bytes) -> bytes:
        """Ask a question of our own: nothing of its answer goes on, `rows` will hold it."""
        self._start()
        self.editor.unnamed = None
        self.rows = []
        self.reported = self.notices = b""
        self._request = None
        self._discarding = True
        self._editing = False
        self._framer.watched = _WATCH_ROWS
        return frontend.query(sql)

    @property
    def heard(self) -> Heard | None:
        """What a client must hear of the answer to a question; None: nothing."""
        heard = Heard(self.error, self.notices, self.reported)
        return heard if any(heard) else None

    def prepare(self, sql: bytes, statements: Iterable[Prepared]) -> bytes:
        """Prepare statements under settings that `sql` makes; nothing of the answer goes on."""
        self._start()
        settings = self.prelude(_STATE, sql) if sql else b""
        self.reported = b""
        self._request = None
        self._discarding = True
        self._editing = True
        self.editor.in_doubt = False
        self._framer.watched = _WATCH_EDITED
        return settings + self.editor.prepare(statements)

    def begin(self, request: Request, *, sync: bool = False, keeps_end: bool = False) -> bytes:
        """Start a request; returns what is to be sent.

        Args:
            request: The previous one must be `done`.
            sync: End an open batch here with a Sync of our own, so that the server is ready for
                others; the client hears nothing of it.
            keeps_end: Keep the end of the answer back, for `take_end`. It must be whole in itself
                what the client is told of a commit: of a single statement in a simple query, the
                CommandComplete and what follows; of a batch, ReadyForQuery.
        """
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
        self.editor.is_refusing = self.status == tags.FAILED
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
        """Hand out the end of the answer that was kept back."""
        end, self._end = self._end, b""
        return end

    def go_on(self, request: Request) -> bytes:
        """Send the next part of a batch that began as an open one."""
        self.wants_sync = False
        self._sync_counts = self._copy_ended
        if not self._editing and not self.editor.must_edit(request):
            return self.editor.as_it_is(request)
        if not self._editing:
            self._editing = True
            self._framer.watched = _WATCH_EDITED
        return self._edit(request)

    def copy(self, request: Request) -> bytes:
        """Send rows to be copied, or their end. A server that expects none passes over them."""
        if request.end is END_COPY_END:
            self.copying_in = False
            self._copy_ended = True
        return b"".join([item.message for item in request.items])

    def discard(self) -> None:
        """Throw away the rest of the answer: the client gets another one."""
        self._discarding = True

    # Receiving.

    def feed(self, data: bytes) -> bytes:
        """Take what the server sent and return what goes on to the client.

        What comes behind the answer does not belong to it, as if it had come later: a server that
        is being stopped says so right behind the answer to a COMMIT, and that is no failure of it.

        Raises:
            RemoteProtocolError: The server said something the protocol does not know.
        """
        passed = self._frame(data)
        found = self._framer.found
        if self._preludes:
            return self._after_preludes(passed, found)
        return self._answer(passed, found, 0)

    def idle_feed(self, data: bytes) -> None:
        """Take what the server sent while nothing was asked of it.

        Raises:
            RemoteProtocolError: The server said something it may not say now.
        """
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
        """What the client is told when the server will not say anything, since all is known.

        Otherwise it waits for the server's first word: an answer may yet be thrown away.
        """
        if not all(owed.said for owed in self._owed):
            return b""
        pieces: list[bytes] = []
        self._say_what_is_due(pieces)
        return b"".join(pieces)

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


_UNDOABLE: Final = frozenset((tags.PARSE, tags.CLOSE, TAKEN))

_TELL_OF_COMMIT: Final = frozenset((tags.COMMAND_COMPLETE, tags.READY_FOR_QUERY))
_QUERIES: Final = frozenset((tags.QUERY, tags.FUNCTION_CALL))
_COPY_ENDS: Final = frozenset((tags.COPY_DONE, tags.COPY_FAIL))
_NOT_OF_THE_ANSWER: Final = frozenset(
    (tags.NOTIFICATION_RESPONSE, tags.NOTICE_RESPONSE, tags.BACKEND_KEY_DATA)
)
