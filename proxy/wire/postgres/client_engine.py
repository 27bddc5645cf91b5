"""What a client's requests say, and what it has prepared.

Sources: "Message Flow" and "Extended Query" in the PostgreSQL manual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from proxy.wire import client, requests
from proxy.wire.postgres import frontend, tags
from proxy.wire.postgres.codec import read_int32
from proxy.wire.postgres.cutting import Cutter
from proxy.wire.postgres.items import TAKEN, Item, must_be_edited
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.requests import SIMPLE_TAIL, Execution, Request
from proxy.wire.prepared import Prepared


@final
class ClientEngine(client.ClientEngine):
    """See the base.

    Attributes:
        statements: What it has prepared, by name.
    """

    __slots__ = ("_portals", "_unnamed", "_unread", "statements")

    def __init__(self, library: Library) -> None:
        super().__init__(library, Cutter())
        self._portals: dict[bytes, Execution] = {}
        self.statements: dict[bytes, Prepared] = {}
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

    def read(self, request: requests.Request) -> None:
        """See the base."""
        assert isinstance(request, Request)
        items = request.items
        for tag, message in request.messages:
            reader = _READERS.get(tag)
            if reader is None:
                items.append(Item(tag, message, None, b""))
            else:
                items.append(reader(self, request, message))
        request.edited = must_be_edited(items)

    def read_again(self, request: requests.Request) -> None:
        """See the base."""
        assert isinstance(request, Request)
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
        """See the base."""
        if self._portals:
            self._portals.clear()
        if self.cursors:
            self.cursors.clear()

    def deallocate(self, name: bytes) -> bool:
        """See the base."""
        return self.statements.pop(name, None) is not None

    def forget_statements(self) -> None:
        """The client said DEALLOCATE ALL or DISCARD ALL: the unnamed statement outlives both."""
        self.statements.clear()

    def undo(
        self, request: requests.Request, confirmed: int, *, unnamed_is_lost: bool = False
    ) -> None:
        """See the base. A server drops the unnamed statement before it looks at the new one."""
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


_READERS: Final[dict[int, Callable[[ClientEngine, Request, bytes], Item]]] = {
    tags.QUERY: ClientEngine._query,
    tags.FUNCTION_CALL: ClientEngine._function_call,
    tags.PARSE: ClientEngine._parse,
    tags.BIND: ClientEngine._bind,
    tags.DESCRIBE: ClientEngine._describe,
    tags.EXECUTE: ClientEngine._execute,
    tags.CLOSE: ClientEngine._close,
}
