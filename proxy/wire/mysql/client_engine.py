"""What a MySQL client's commands say, and what it has prepared.

A statement's id is the client's own: on a server connection it has another. The types of parameters
come with the first execution only; they are remembered here and sent with each, since the next
connection has not heard of them.

Source: "Command Phase" and "Prepared Statements" in the MySQL source documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, final

from proxy.errors import MessageTooLarge, RemoteProtocolError, UnknownStatement, Unsupported
from proxy.wire import client, requests
from proxy.wire.mysql import capabilities, commands
from proxy.wire.mysql.codec import HEADER, LARGEST, packet
from proxy.wire.mysql.cutting import Cutter
from proxy.wire.mysql.errors import (
    MalformedChange,
    MalformedPacket,
    NotOwner,
    UnknownCommand,
    UnknownThread,
)
from proxy.wire.mysql.execute import Execution as Executed
from proxy.wire.mysql.execute import (
    kinds_of,
    read_bulk,
    read_query,
    with_bulk_types,
    with_types,
)
from proxy.wire.mysql.handshake import read_change_user
from proxy.wire.mysql.killing import LOOKED_AT, Kill, Killed, is_kill, read_kill
from proxy.wire.mysql.prepared import Library
from proxy.wire.mysql.requests import (
    ARGUMENTS,
    SEVERAL_OFF,
    SEVERAL_ON,
    STATEMENT,
    Request,
    execution_of,
)
from proxy.wire.mysql.statements import Statement, Statements
from proxy.wire.requests import Execution

PING: Final = packet(0, bytes((commands.PING,)))

_EXECUTION: Final = 10
"""Bytes of COM_STMT_EXECUTE: what comes in front of values."""

_REGISTRATION: Final = 18
"""Bytes of COM_REGISTER_SLAVE, with names that are empty."""

MOST_AHEAD: Final = 64 * 1024 * 1024
"""Bytes of values that may be sent ahead of an execution."""

_MAY_BE_VERB: Final = bytes(byte in b"cCrR/-# \t\r\n\v\f" for byte in range(256))
"""How a text may begin that commits or rolls back: most are told by one byte."""

_VERB: Final = re.compile(
    rb"(?:\s+|/\*.*?\*/|--\s[^\n]*|#[^\n]*)*+(commit|rollback(?!\s+(?:work\s+)?to\b))\b",
    re.IGNORECASE | re.DOTALL,
)


@final
class ClientEngine(client.ClientEngine):
    """See the base.

    Args:
        library: What clients have prepared.
        agreed: The capabilities of the client's connection.
        largest: The most bytes that a command may have.

    Attributes:
        status: Flags for answers of ours.
        number: Of its connection, as it was told.
        kill: Ends another connection, or what it runs.
        ready: A read that was answered unread, if that was the last thing; else empty.
    """

    __slots__ = (
        "_agreed",
        "_registration",
        "_statements",
        "kill",
        "number",
        "ready",
        "status",
    )

    def __init__(self, library: Library, agreed: int, largest: int) -> None:
        super().__init__(library, Cutter(largest))
        self._agreed = agreed
        self._registration = b""  # what a replica has said of itself
        self._statements = Statements(library)
        self.status = capabilities.STATUS_AUTOCOMMIT
        self.number = 0
        self.ready = b""
        self.kill: Callable[[Kill], Killed] = lambda _: Killed.UNKNOWN

    def expect_copy(self, sequence: int) -> None:
        """See the base."""
        cutter = self.cutter
        assert isinstance(cutter, Cutter)
        cutter.expect_file(sequence)

    def read(self, request: requests.Request) -> None:
        """See the base."""
        assert isinstance(request, Request)
        request.capabilities = self._agreed
        request.status = self.status
        if request.is_cut:
            self._read_cut(request)
            return
        reader = _READERS.get(request.command)
        if reader is not None:
            try:
                reader(self, request, _payload(request.packets))
            except RemoteProtocolError as error:
                if type(error) is not RemoteProtocolError:
                    raise
                # Where the next command begins is known all the same.
                request.executions = []
                request.prepared = None
                request.refusal = MalformedPacket()
        elif request.command not in commands.NAMES:
            request.refusal = UnknownCommand()

    def read_again(self, request: requests.Request) -> None:
        """See the base: a command brings one text, and it is read when all before it is done."""

    def answered(self, request: bytes) -> None:
        """See the base: the types of parameters, for executions that leave them out."""
        self.ready = request
        if request[HEADER] != commands.STMT_EXECUTE:
            return
        found = self._statements.get(request[STATEMENT:ARGUMENTS])
        if found is not None and found.varies:
            found.types = found.read(request[HEADER:], self._agreed).types or found.types

    def said(self, packets: bytes) -> Request:
        """Read a whole command again that was answered unread."""
        request = Request(packets[HEADER], packets)
        self.read(request)
        return request

    def forget_portals(self) -> None:
        """See the base: cursors that are to outlive a transaction are the server's affair."""

    def deallocate(self, name: bytes) -> bool:
        """See the base: what is prepared by the protocol has no names."""
        return False

    def forget_statements(self) -> None:
        """See the base."""
        self._statements.clear()

    def undo(
        self, request: requests.Request, confirmed: int, *, unnamed_is_lost: bool = False
    ) -> None:
        """See the base."""
        for name, _ in request.undo[confirmed:]:
            self._statements.drop(name)

    # Reading, one function for each command that says something.

    def _read_cut(self, request: Request) -> None:
        """A command too large to be looked at."""
        if request.command != commands.QUERY:
            raise MessageTooLarge("Got a packet bigger than 'max_allowed_packet' bytes")
        request.run(execution_of(None))

    def _query(self, request: Request, payload: bytes) -> None:
        said = read_query(payload, self._agreed)
        text = said.text
        if is_kill(text):
            self._end_another(request, read_kill(text))
            return
        request.verb = _verb(text)
        execution = execution_of(text)
        if said.attributes:
            execution.tail = repr(sorted(said.attributes.items())).encode()
        request.run(execution)

    def _init_db(self, request: Request, payload: bytes) -> None:
        name = payload[1:].replace(b"`", b"``")
        request.run(execution_of(b"USE `%b`" % name))

    def _field_list(self, request: Request, payload: bytes) -> None:
        table = payload[1:].partition(b"\0")[0].replace(b"`", b"``")
        request.run(execution_of(b"SHOW COLUMNS FROM `%b`" % table))

    def _unknown(self, request: Request, payload: bytes) -> None:
        """What may do anything."""
        request.run(execution_of(None))

    def _kill(self, request: Request, payload: bytes) -> None:
        self._end_another(request, Kill(int.from_bytes(payload[1:5], "little"), False))

    def _end_another(self, request: Request, wanted: Kill | None) -> None:
        """Serve a KILL: what is left of it for a server is a ping."""
        if wanted is None:
            request.refusal = Unsupported(
                "KILL is served by the number of a connection, and by itself"
            )
            return
        became = self.kill(wanted)
        if became is Killed.UNKNOWN:
            request.refusal = UnknownThread(f"Unknown thread id: {wanted.number}")
        elif became is Killed.NOT_OURS:
            request.refusal = NotOwner(f"You are not owner of thread {wanted.number}")
        request.command = commands.PING
        request.simple = False
        request.packets = PING

    def _reset(self, request: Request, payload: bytes) -> None:
        self.forget_statements()  # in turn: all that came before is done
        request.run(execution_of(b"RESET CONNECTION"))

    def _not_there(self, request: Request, payload: bytes) -> None:
        request.refusal = UnknownCommand()

    def _set_option(self, request: Request, payload: bytes) -> None:
        """Whether a text may hold several statements: server connections are told."""
        option = payload[1:3]
        if len(option) < 2:
            raise RemoteProtocolError("an option ends in the middle")
        if option == SEVERAL_ON:
            self._agreed |= capabilities.MULTI_STATEMENTS
        elif option == SEVERAL_OFF:
            self._agreed &= ~capabilities.MULTI_STATEMENTS
        else:
            request.refusal = UnknownCommand()

    def _change_user(self, request: Request, payload: bytes) -> None:
        """Whether it can be read; what it says is for the login that follows."""
        try:
            read_change_user(payload[1:], self._agreed)
        except RemoteProtocolError:
            raise MalformedChange from None

    def _register(self, request: Request, payload: bytes) -> None:
        """Keep it for the connection of the dump: no other is to be a replica's."""
        if len(payload) < _REGISTRATION:
            raise RemoteProtocolError("a registration ends in the middle")
        self._registration = request.packets
        request.command = commands.PING
        request.packets = PING

    def _dump(self, request: Request, payload: bytes) -> None:
        if self._registration:
            request.ahead = [self._registration]

    def _prepare(self, request: Request, payload: bytes) -> None:
        sql = payload[1:]
        if is_kill(sql):
            request.refusal = Unsupported("KILL can't be prepared here")
            return
        if self.say_instead is not None:
            said = self.say_instead(sql)
            if said is not sql:
                sql = said
                request.packets = packet(0, bytes((commands.STMT_PREPARE,)) + sql)
        prepared = self._library.find(sql, (), self.sense, self._owner)
        name = self._statements.add(prepared)
        request.prepared = prepared
        request.name = name
        request.undo.append((name, None))

    def _find(self, request: Request) -> Statement | None:
        """Find the statement that a command speaks of; None: there is none, which is said."""
        name = request.packets[STATEMENT:ARGUMENTS]
        if len(name) < 4:
            raise RemoteProtocolError("a command ends in front of a statement's id")
        name = self._statements.named(name)
        found = self._statements.find(name)
        if found is None:
            number = int.from_bytes(name, "little")
            where = commands.NAMES[request.command].removeprefix("COM_").lower()
            request.refusal = UnknownStatement(
                f"Unknown prepared statement handler ({number}) given to mysqld_{where}"
            )
            return None
        request.name = name
        request.prepared = found.prepared
        return found

    def _execute(self, request: Request, payload: bytes) -> None:
        if len(payload) < _EXECUTION:
            raise RemoteProtocolError("an execution ends in front of its values")
        found = self._find(request)
        if found is None:
            return
        said = found.read(payload, self._agreed)
        if said.types:
            found.varies |= found.types not in (b"", said.types)
            if said.types != found.types:
                found.types = said.types
                has_names = self._agreed & capabilities.QUERY_ATTRIBUTES != 0
                found.kinds = kinds_of(said.types, has_names)
        elif said.parameters:
            if not found.types:
                raise RemoteProtocolError("values came without their types")
            payload = with_types(payload, said, found.types)
            request.packets = packet(0, payload)
            request.is_whole = False
        request.has_cursor = said.wants_cursor
        if said.wants_cursor:
            self._statements.opens(request.name)
        else:
            self._statements.closes(request.name)
        request.ahead = found.ahead
        request.kinds = found.kinds
        found.forget_values()
        self._run(request, found, payload, said)

    def _run(self, request: Request, found: Statement, payload: bytes, said: Executed) -> None:
        execution = Execution(found.prepared.sql, found.prepared, payload[5:], is_plain=True)
        request.run(execution, has_parameters=said.parameters > 0)
        request.verb = _verb(found.prepared.sql)

    def _execute_many(self, request: Request, payload: bytes) -> None:
        found = self._find(request)
        if found is None:
            return
        said = read_bulk(payload, found.parameters)
        if said.types:
            found.types = said.types
        elif found.types:
            payload = with_bulk_types(payload, said, found.types)
            request.packets = packet(0, payload)
        else:
            raise RemoteProtocolError("values came without their types")
        execution = Execution(found.prepared.sql, found.prepared, payload[5:], is_plain=True)
        request.run(execution, has_parameters=True)

    def _long_data(self, request: Request, payload: bytes) -> None:
        found = self._find(request)
        request.refusal = None  # it is answered by nothing; the execution will be
        request.prepared = None
        if found is None:
            return
        found.size += len(payload)
        if found.size > MOST_AHEAD:
            raise MessageTooLarge(f"values of more than {MOST_AHEAD} bytes were sent ahead")
        found.ahead.append(request.packets)

    def _close(self, request: Request, payload: bytes) -> None:
        found = self._find(request)
        request.refusal = None
        request.prepared = None
        if found is not None:
            self._statements.drop(request.name)

    def _reset_statement(self, request: Request, payload: bytes) -> None:
        found = self._find(request)
        if found is not None:
            found.forget_values()
            self._statements.closes(request.name)

    def _fetch(self, request: Request, payload: bytes) -> None:
        self._find(request)


def _payload(packets: bytes) -> bytes:
    """What a command's packets hold together."""
    if len(packets) < HEADER + LARGEST:
        return packets[HEADER:]
    pieces = []
    pos = 0
    while pos < len(packets):
        stop = pos + HEADER + int.from_bytes(packets[pos : pos + 3], "little")
        pieces.append(packets[pos + HEADER : stop])
        pos = stop
    return b"".join(pieces)


def _verb(text: bytes) -> bytes:
    """COMMIT or ROLLBACK, where a text is that: to a savepoint it is another thing."""
    if not text or not _MAY_BE_VERB[text[0]]:
        return b""
    found = _VERB.match(text, 0, LOOKED_AT)
    return b"" if found is None else found[1].upper()


_READERS: Final[dict[int, Callable[[ClientEngine, Request, bytes], None]]] = {
    commands.QUERY: ClientEngine._query,
    commands.INIT_DB: ClientEngine._init_db,
    commands.FIELD_LIST: ClientEngine._field_list,
    commands.CREATE_DB: ClientEngine._unknown,
    commands.DROP_DB: ClientEngine._unknown,
    commands.REFRESH: ClientEngine._unknown,
    commands.SHUTDOWN: ClientEngine._unknown,
    commands.PROCESS_KILL: ClientEngine._kill,
    commands.RESET_CONNECTION: ClientEngine._reset,
    commands.STMT_PREPARE: ClientEngine._prepare,
    commands.STMT_EXECUTE: ClientEngine._execute,
    commands.STMT_BULK_EXECUTE: ClientEngine._execute_many,
    commands.STMT_SEND_LONG_DATA: ClientEngine._long_data,
    commands.STMT_CLOSE: ClientEngine._close,
    commands.STMT_RESET: ClientEngine._reset_statement,
    commands.STMT_FETCH: ClientEngine._fetch,
    commands.SLEEP: ClientEngine._not_there,
    commands.CONNECT: ClientEngine._not_there,
    commands.TIME: ClientEngine._not_there,
    commands.DELAYED_INSERT: ClientEngine._not_there,
    commands.CONNECT_OUT: ClientEngine._not_there,
    commands.DAEMON: ClientEngine._not_there,
    commands.MULTI: ClientEngine._not_there,
    commands.BINLOG_DUMP: ClientEngine._dump,
    commands.BINLOG_DUMP_GTID: ClientEngine._dump,
    commands.TABLE_DUMP: ClientEngine._not_there,
    commands.REGISTER_SLAVE: ClientEngine._register,
    commands.SET_OPTION: ClientEngine._set_option,
    commands.CHANGE_USER: ClientEngine._change_user,
}
