"""The client's side of a conversation: messages in, requests out.

A request is what the client wants answered before it reads on: a simple query, or the messages
of the extended protocol up to a Sync or a Flush, or a piece of COPY data. What the client has
prepared under which name is known here, since a name is only the client's own: on a server
connection a statement goes by a name that all clients share (`Prepared.server_name`).

Cutting and reading are two steps: `feed` cuts, as bytes come; `read` says what a request's
messages speak of, when everything in front of it is done. What a name means depends on that.

Sources: "Message Flow" and "Message Formats" in the PostgreSQL manual.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, unique
from typing import Final, NamedTuple, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr

from proxy.errors import MessageTooLarge, RemoteProtocolError
from proxy.wire.postgres import frontend, tags
from proxy.wire.postgres.codec import read_int32
from proxy.wire.postgres.framer import Splitter

GATHERED: Final = 1024 * 1024
"""The largest message that is looked at whole. A larger one is passed through in pieces: its
statement is then judged by what is known without it."""

LARGEST_PARSE: Final = 64 * 1024 * 1024
"""The largest Parse. It is gathered whatever its size, since it may have to be said again on
another server connection."""

BATCH: Final = 256 * 1024
"""Bytes of the extended protocol that are gathered before a Sync; past that the batch goes on
to the primary in parts, so that a client loading rows in one long pipeline costs no memory."""

SIMPLE_TAIL: Final = bytes(6)
"""What a Bind without parameters, asking for text, has behind its names: the simple protocol's."""


@unique
class End(Enum):
    """How a request ends."""

    READY = "ready"  # the server answers it with ReadyForQuery
    OPEN = "open"  # more of the same batch follows: a Flush, or a batch cut for its size
    COPY = "copy"  # a piece of COPY data; answered by nothing
    COPY_END = "copy_end"  # CopyDone or CopyFail
    TERMINATE = "terminate"


END_READY: Final = End.READY
END_OPEN: Final = End.OPEN
END_COPY: Final = End.COPY
END_COPY_END: Final = End.COPY_END
END_TERMINATE: Final = End.TERMINATE
"""Bound once: a member is looked up through its enum in 60 ns, a constant in 10."""


class Sense(NamedTuple):
    """What a text means beside its words: settings, by name and value, where they are set.

    Attributes:
        names: Those that a server looks at whenever it runs a prepared statement.
        constants: Those that are fixed in it when it is prepared, in what its literals became.
    """

    names: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, str], ...]


AS_AT_LOGIN: Final = Sense((), ())


@mypyc_attr(native_class=False)  # weakly referenced, which a native class can't be
@final
class Prepared:
    """One statement text with its parameter types, shared by every client that means the same.

    `meaning` is for the floors above: what they made of the text, so that it is thought once.
    `sense` is None where nobody knows it: then one client alone has it.
    """

    __slots__ = ("__weakref__", "meaning", "message", "oids", "sense", "server_name", "sql")

    def __init__(self, sql: bytes, oids: tuple[int, ...], sense: Sense | None, number: int) -> None:
        self.sql = sql
        self.oids = oids
        self.sense = sense
        self.server_name = b"tidegate_%d" % number
        self.message = frontend.parse(self.server_name, sql, oids)
        self.meaning: object | None = None


class Library:
    """Finds the one `Prepared` for a text, its parameter types and its sense.

    A server refuses to run a statement whose result has got other columns since it was prepared,
    and a driver prepares it again then. So what is prepared under another search path, or after a
    definition may have changed, is another statement, even with the same text. And so is what is
    prepared under another time zone or date style: literals are read when a statement is prepared.
    So is what a client prepares while there are definitions that only its own session sees.

    Args:
        generation: Grows whenever a definition may have changed.
        is_momentary: Whether a literal in a text means the moment at which it is prepared.
    """

    __slots__ = ("_generation", "_is_momentary", "_known", "_made_in", "_number", "_owners")

    def __init__(
        self, generation: Callable[[], int], is_momentary: Callable[[bytes], bool]
    ) -> None:
        self._known: WeakValueDictionary[tuple[bytes, tuple[int, ...], Sense, int], Prepared] = (
            WeakValueDictionary()
        )
        self._number = self._owners = 0
        self._is_momentary = is_momentary
        self._generation = generation
        self._made_in = generation()

    def forget(self) -> None:
        """Find nothing that was made until now."""
        self._known.clear()

    def new_owner(self) -> int:
        """Number a state of definitions that nobody else sees."""
        self._owners += 1
        return self._owners

    def find(
        self, sql: bytes, oids: tuple[int, ...], sense: Sense | None, owner: int = 0
    ) -> Prepared:
        """Find or make a statement; one that nobody else has, where its sense is not known.

        Args:
            sql: Its text.
            oids: The types that the client gives its parameters.
            sense: What the text means beside its words.
            owner: Of `new_owner`; 0 where definitions are those that everybody sees.
        """
        if sense is None:
            return self._make(sql, oids, sense)
        now = self._generation()
        if now != self._made_in:
            self._made_in = now
            self.forget()
        key = (sql, oids, sense, owner)
        found = self._known.get(key)
        if found is None:
            found = self._make(sql, oids, sense)
            if not self._is_momentary(sql):
                self._known[key] = found
        return found

    def _make(self, sql: bytes, oids: tuple[int, ...], sense: Sense | None) -> Prepared:
        self._number += 1
        return Prepared(sql, oids, sense, self._number)


class Item:
    """One message of a batch, with the statement it speaks of."""

    __slots__ = ("message", "name", "prepared", "tag")

    def __init__(self, tag: int, message: bytes, prepared: Prepared | None, name: bytes) -> None:
        self.tag = tag
        self.message = message
        self.prepared = prepared  # of a Parse, Bind, Describe or Close of a statement we know
        self.name = name  # the client's own name for it, b"" where it has none


class Execution:
    """One statement that a request runs."""

    __slots__ = ("described", "max_rows", "prepared", "sql", "tail")

    def __init__(self, sql: bytes | None, prepared: Prepared | None, tail: bytes) -> None:
        self.sql = sql  # None where it is not known
        self.prepared = prepared  # None in the simple protocol
        self.tail = tail  # of the Bind: formats, values, result formats
        self.max_rows = 0
        self.described = prepared is None


_NONE: Final[frozenset[int]] = frozenset()


class Request:
    """What a client wants answered before it reads on. See the module.

    Attributes:
        messages: As they came: tags, and bytes with their headers.
        items: The same, read; empty until then.
        executions: What is run.
        chunk: As received, if it was one chunk and nothing else.
        edited: Whether it names a statement, so that its messages differ on a server connection.
        hidden: Places of statements in a simple query that are not the client's.
        is_foreign: Whether it uses a statement of other constants than what is set now.
        prepares_late: Whether it prepares something behind what it runs.
        undo: Names to be restored on an error.
        is_cut: Whether of its last message, a large one, only the beginning is there.
        streams: Whether the rest of that follows in pieces.
    """

    __slots__ = (
        "chunk",
        "edited",
        "end",
        "executions",
        "hidden",
        "is_cut",
        "is_foreign",
        "items",
        "messages",
        "prepares_late",
        "simple",
        "size",
        "streams",
        "undo",
    )

    def __init__(self, end: End, items: list[Item]) -> None:
        self.end = end
        self.messages: list[tuple[int, bytes]] = []
        self.items = items
        self.simple = False
        self.executions: list[Execution] = []
        self.chunk: bytes | None = None
        self.edited = False
        self.hidden = _NONE
        self.undo: list[tuple[bytes, Prepared | None]] = []
        self.size = 0
        self.is_cut = False
        self.is_foreign = False
        self.prepares_late = False
        self.streams = False

    @property
    def executes(self) -> bool:
        """Whether anything is run, as opposed to prepared, described or closed."""
        return bool(self.executions)

    def say_instead(self, sql: bytes, hidden: frozenset[int]) -> None:
        """Send another text than this simple query's: the client's, with statements of ours."""
        self.items = [Item(tags.QUERY, frontend.query(sql), None, b"")]
        self.executions = [Execution(sql, None, SIMPLE_TAIL)]
        self.chunk = None
        self.edited = True
        self.hidden = hidden

    def note_chunk(self, data: bytes) -> None:
        """Keep `data` as this request's exact bytes, if that is what they are.

        Compared byte by byte: a chunk that merely is as long, and in truth holds the end of one
        message and the beginning of another, would let a client name its answer to others.
        """
        if len(data) == self.size and b"".join([message for _, message in self.messages]) == data:
            self.chunk = data


@final
class ClientEngine:
    """Cut a client's bytes into requests, and remember what it prepared.

    Neither `feed` nor `read` raises for what the client sent but `RemoteProtocolError`, and nothing
    can be fed or read after that.

    Attributes:
        sense: What the client has set, as far as texts depend on it; None: nobody knows.
        statements: What it has prepared, by name.
        cursors: What its named portals run, since the transaction began, by the statement.
        say_instead: Says a text that is prepared as it must be said on a shared connection.
    """

    __slots__ = (
        "_batch",
        "_library",
        "_owner",
        "_pieces",
        "_portals",
        "_size",
        "_splitter",
        "_unnamed",
        "_unread",
        "cursors",
        "say_instead",
        "sense",
        "statements",
    )

    def __init__(self, library: Library) -> None:
        self._library = library
        self._owner = 0  # of the definitions that it sees
        self._splitter = Splitter(GATHERED)
        self._batch: list[tuple[int, bytes]] = []
        self._size = 0
        self._pieces: list[bytes] = []  # of a large Parse
        self._portals: dict[bytes, Execution] = {}
        self.cursors: dict[Prepared | None, Execution] = {}
        self.statements: dict[bytes, Prepared] = {}
        self.sense: Sense | None = AS_AT_LOGIN
        self.say_instead: Callable[[bytes], bytes] | None = None
        self._unnamed: Prepared | None = None
        self._unread = b""  # an answered batch, whose Parse made the unnamed statement

    @property
    def unnamed(self) -> Prepared | None:
        """The unnamed statement, if the client has made one."""
        if self._unread:
            data, self._unread = self._unread, b""
            _, sql, oids = frontend.read_parse(data[: 1 + read_int32(data, 1)])
            self._unnamed = self._library.find(sql, oids, self.sense, self._owner)
        return self._unnamed

    @unnamed.setter
    def unnamed(self, prepared: Prepared | None) -> None:
        self._unread = b""
        self._unnamed = prepared

    def answered(self, request: bytes) -> None:
        """Note a whole request that was answered unread: what it leaves behind is read if needed.

        A simple query destroys the unnamed statement, a batch that brings its own makes one, and
        a Bind of a named one changes nothing.
        """
        tag = request[0]
        if tag == tags.PARSE:
            self._unread = request
        elif tag == tags.QUERY:
            self.unnamed = None

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request has come without the rest of it."""
        return self._splitter.at_boundary and not self._batch

    @property
    def is_streaming(self) -> bool:
        """Whether a large message is being passed through; `take` has its pieces."""
        return bool(self._splitter.large_tag) and not self._pieces

    def take(self) -> bytes:
        """Hand out what has come of the large message. `feed(b"")` goes on behind it."""
        return self._splitter.take_large()

    def feed(self, data: bytes) -> list[Request]:
        """Take what the client sent and return the requests that are complete.

        Raises:
            RemoteProtocolError: The client said something the protocol does not know.
        """
        fresh = not self._batch
        splitter = self._splitter
        if splitter.large_tag:
            splitter.feed(data)  # held until `take` hands it out
            if not self._pieces or not self._gather():
                return []
            data = b""
        try:
            messages = splitter.feed(data)
        except ValueError as error:
            raise MessageTooLarge(f"invalid message: {error}") from None
        requests: list[Request] = []
        for tag, message in messages:
            if tag not in _ENDS:
                raise RemoteProtocolError(f"invalid frontend message type {tag}")
            self._add(tag, message)
            end = _ENDS[tag]
            if end is not None:
                requests.append(self._finish(end))
        if splitter.large_tag == tags.PARSE:
            if splitter.large_size > LARGEST_PARSE:
                raise MessageTooLarge(f"message of {splitter.large_size} bytes is too large")
            if self._gather():
                requests += self.feed(b"")
        elif splitter.large_tag:
            request = self._large(splitter.large_tag)
            requests.append(request)
            if not request.streams:
                requests += self.feed(b"")
        elif fresh and len(requests) == 1 and not self._batch:
            requests[0].note_chunk(data)
        elif self._size > BATCH:
            requests.append(self._finish(END_OPEN))
        return requests

    def read(self, request: Request) -> None:
        """Say what a request's messages speak of. To be called once, in the requests' order.

        Raises:
            RemoteProtocolError: A message is not what its tag says.
        """
        items = request.items
        for tag, message in request.messages:
            reader = _READERS.get(tag)
            if reader is None:
                items.append(Item(tag, message, None, b""))
            else:
                items.append(reader(self, request, message))
        if len(items) > 1 or items[0].tag == tags.BIND:
            request.edited = any(
                item.name or item.tag in _TRACKED or (item.tag == tags.PARSE and place)
                for place, item in enumerate(items)
            )

    def read_again(self, request: Request) -> None:
        """Read a request whose texts may depend on what it sets itself: nobody knows how."""
        self.undo(request, 0)
        request.undo.clear()
        request.items.clear()
        request.executions.clear()
        self.sense = None
        self.read(request)

    def find(self, name: bytes) -> Prepared | None:
        """Find what the client prepared under a name; b"" is the unnamed statement."""
        return self.statements.get(name) if name else self.unnamed

    def forget_portals(self) -> None:
        """The transaction is over: so are its portals."""
        if self._portals:
            self._portals.clear()
        if self.cursors:
            self.cursors.clear()

    def forget_texts(self) -> None:
        """What is prepared from now on is new, even where another client has the same text."""
        self._library.forget()

    @property
    def is_apart(self) -> bool:
        """Whether it may see definitions that nobody else does."""
        return self._owner != 0

    def part(self) -> None:
        """Its session has changed a definition, and nobody else sees that."""
        self._owner = self._library.new_owner()

    def rejoin(self) -> None:
        """It sees the definitions that everybody does."""
        self._owner = 0

    def deallocate(self, name: bytes) -> bool:
        """Forget a statement by its name; False: the client has prepared none under it."""
        return self.statements.pop(name, None) is not None

    def forget_statements(self) -> None:
        """The client said DEALLOCATE ALL or DISCARD ALL: the unnamed statement outlives both."""
        self.statements.clear()

    def undo(self, request: Request, confirmed: int, *, unnamed_is_lost: bool = False) -> None:
        """Take back what `request` prepared beyond the first `confirmed` statements.

        Args:
            request: What failed.
            confirmed: How much of it did not.
            unnamed_is_lost: It failed in a Parse of the unnamed statement, and a server drops the
                one that was there before it looks at the other.
        """
        for name, previous in reversed(request.undo[confirmed:]):
            if name and previous is not None:
                self.statements[name] = previous
            elif name:
                self.statements.pop(name, None)
            else:
                self.unnamed = previous
        if unnamed_is_lost:
            self.unnamed = None

    # Reading, one function for each message that says something.

    def _query(self, request: Request, message: bytes) -> Item:
        self.unnamed = None  # a simple query destroys the unnamed statement and portal
        sql = None if request.is_cut else frontend.read_query(message)
        request.executions.append(Execution(sql, None, SIMPLE_TAIL))
        return Item(tags.QUERY, message, None, b"")

    def _function_call(self, request: Request, message: bytes) -> Item:
        request.executions.append(Execution(None, None, b""))
        return Item(tags.FUNCTION_CALL, message, None, b"")

    def _parse(self, request: Request, message: bytes) -> Item:
        name, sql, oids = frontend.read_parse(message)
        if self.say_instead is not None:
            said = self.say_instead(sql)
            if said is not sql:
                sql = said
                message = frontend.parse(name, sql, oids)
                request.chunk = None
        if request.executions:
            request.prepares_late = True
        prepared = self._library.find(sql, oids, self.sense, self._owner)
        previous = self.find(name)
        request.undo.append((name, previous))
        if not name:
            self.unnamed = prepared
        elif previous is None:
            self.statements[name] = prepared
        else:
            return Item(TAKEN, message, prepared, name)
        return Item(tags.PARSE, message, prepared, name)

    def _bind(self, request: Request, message: bytes) -> Item:
        portal, name, stop = frontend.read_bind_names(message)
        prepared = self._used(request, name)
        sql = prepared.sql if prepared is not None else None
        execution = Execution(sql, prepared, message[stop:])
        if portal:
            self.cursors[prepared] = execution
            if portal in self._portals:
                # The one that is there may be gone, by a CLOSE in SQL, or a savepoint; or not.
                execution = Execution(None, None, b"")
        self._portals[portal] = execution
        return Item(tags.BIND, message, prepared, name)

    def _describe(self, request: Request, message: bytes) -> Item:
        kind, name = frontend.read_describe(message)
        if kind == tags.STATEMENT:
            return Item(tags.DESCRIBE, message, self._used(request, name), name)
        portal = self._portals.get(name)
        if portal is not None:
            portal.described = True
        return Item(tags.DESCRIBE, message, None, b"")

    def _execute(self, request: Request, message: bytes) -> Item:
        name, max_rows = frontend.read_execute(message)
        portal = self._portals.get(name)
        execution = portal if portal is not None else Execution(None, None, b"")
        execution.max_rows = max_rows
        request.executions.append(execution)
        return Item(tags.EXECUTE, message, None, b"")

    def _close(self, request: Request, message: bytes) -> Item:
        kind, name = frontend.read_close(message)
        if kind != tags.STATEMENT:
            if name in self._portals:
                self._portals[name] = Execution(None, None, b"")  # closed, or passed over
            return Item(tags.CLOSE, message, None, b"")
        prepared = self.find(name)
        if prepared is not None:
            request.undo.append((name, prepared))
            if name:
                del self.statements[name]
            else:
                self.unnamed = None
        return Item(tags.CLOSE, message, prepared, name)

    def _used(self, request: Request, name: bytes) -> Prepared | None:
        """Find what is to be run: as it was prepared, where its names mean what they meant.

        Where they don't, a server reads the whole text again.
        """
        prepared = self.find(name)
        if prepared is None:
            return None
        now, then = self.sense, prepared.sense
        if now is None or then is None or then is now:
            return prepared
        if then.names != now.names:
            prepared = self._library.find(prepared.sql, prepared.oids, now, self._owner)
            if name:
                self.statements[name] = prepared
            else:
                self.unnamed = prepared
        elif then.constants != now.constants:
            request.is_foreign = True
        return prepared

    # Cutting.

    def _add(self, tag: int, message: bytes) -> None:
        self._batch.append((tag, message))
        self._size += len(message)

    def _finish(self, end: End) -> Request:
        batch = self._batch
        if len(batch) > 1 and (end is END_COPY or end is END_COPY_END):
            end = END_OPEN  # the server would run the batch so far, then this
        request = Request(end, [])
        request.messages = batch
        request.size = self._size
        request.simple = batch[-1][0] == tags.QUERY
        self._batch, self._size = [], 0
        return request

    def _gather(self) -> bool:
        """Take what has come of a large Parse; True: that was all of it."""
        self._pieces.append(self._splitter.take_large())
        if self._splitter.large_tag:
            return False
        message = b"".join(self._pieces)
        self._pieces = []
        self._add(tags.PARSE, message)
        return True

    def _large(self, tag: int) -> Request:
        """The request that ends with a large message, of which the beginning has come."""
        if tag not in _LARGE:
            size = self._splitter.large_size
            raise MessageTooLarge(f"message of {size} bytes is too large")
        self._add(tag, self._splitter.take_large())
        request = self._finish(_ENDS[tag] or END_OPEN)
        request.simple = tag in _QUERIES
        request.is_cut = True
        # What has come may be all of it, and more behind.
        request.streams = bool(self._splitter.large_tag)
        return request


TAKEN: Final = 0
"""The tag of a Parse whose name the client has already given: the server must refuse it."""

_TRACKED: Final = frozenset((TAKEN, tags.CLOSE, tags.QUERY, tags.FUNCTION_CALL))
"""What makes the answers of a batch be told apart: a Close may be of the unnamed statement, and an
error in front of a Query makes the server pass over it. So does a second Parse: which one failed
decides what is left."""

_QUERIES: Final = frozenset((tags.QUERY, tags.FUNCTION_CALL))
_LARGE: Final = _QUERIES | {tags.BIND, tags.COPY_DATA}

_ENDS: Final[dict[int, End | None]] = {
    tags.QUERY: END_READY,
    tags.PARSE: None,
    tags.BIND: None,
    tags.DESCRIBE: None,
    tags.EXECUTE: None,
    tags.CLOSE: None,
    tags.SYNC: END_READY,
    tags.FLUSH: END_OPEN,
    tags.FUNCTION_CALL: END_READY,
    tags.COPY_DATA: END_COPY,
    tags.COPY_DONE: END_COPY_END,
    tags.COPY_FAIL: END_COPY_END,
    tags.TERMINATE: END_TERMINATE,
}
"""Every message a client may send, and the end of the request that it ends, if it does."""

_READERS: Final[dict[int, Callable[[ClientEngine, Request, bytes], Item]]] = {
    tags.QUERY: ClientEngine._query,
    tags.FUNCTION_CALL: ClientEngine._function_call,
    tags.PARSE: ClientEngine._parse,
    tags.BIND: ClientEngine._bind,
    tags.DESCRIBE: ClientEngine._describe,
    tags.EXECUTE: ClientEngine._execute,
    tags.CLOSE: ClientEngine._close,
}
