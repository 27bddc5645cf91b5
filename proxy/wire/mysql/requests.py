"""What a MySQL client wants answered before it says more: one command.

Source: "Command Phase" in the MySQL source documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.wire import requests
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import HEADER, packet
from proxy.wire.mysql.execute import query
from proxy.wire.mysql.replies import END, ROWS, ReplyReader
from proxy.wire.prepared import Prepared
from proxy.wire.requests import END_READY, End, Execution, Kept

STATEMENT: Final = HEADER + 1
"""Where a statement's id begins in the commands that speak of one."""

ARGUMENTS: Final = STATEMENT + 4
"""Where what follows the id begins."""

SEVERAL_ON: Final = b"\0\0"
SEVERAL_OFF: Final = b"\1\0"
"""What COM_SET_OPTION says: a text may hold several statements, or it may not."""


@final
class Request(requests.Request):
    """See the module, and the base.

    Attributes:
        command: Its first byte.
        packets: As they came, with their headers; of ours, as they are sent.
        prepared: The statement that it prepares, runs or speaks of.
        name: The client's id of that, in four bytes.
        ahead: Packets of the same statement that came before, and are sent with it.
        capabilities: What was agreed with the client.
        status: Flags for an answer of ours.
        verb: COMMIT or ROLLBACK, where it is one.
        kinds: Of the values it brings for parameters; see `execute.kinds_of`.
        has_cursor: Whether its rows are to be fetched later.
        is_whole: Whether the same bytes mean the same to everybody.
    """

    __slots__ = (
        "_has_parameters",
        "ahead",
        "capabilities",
        "command",
        "has_cursor",
        "is_whole",
        "kinds",
        "name",
        "packets",
        "prepared",
        "status",
        "verb",
    )

    def __init__(self, command: int, packets: bytes, end: End = END_READY) -> None:
        super().__init__(end)
        self.command = command
        self.packets = packets
        self.size = len(packets)
        self.simple = command == commands.QUERY
        self.prepared: Prepared | None = None
        self.name = b""
        self.ahead: list[bytes] = []
        self.capabilities = 0
        self.status = 0
        self.verb = b""
        self.kinds = b""
        self.has_cursor = False
        self.is_whole = True
        self._has_parameters = False

    def mentions(self) -> Iterable[Prepared]:
        """See the base."""
        return () if self.prepared is None else (self.prepared,)

    @property
    def asks_for_ready(self) -> bool:
        """See the base."""
        return self.command == commands.PING

    @property
    def asks_nothing(self) -> bool:
        """See the base."""
        return self.command in commands.UNANSWERED

    @property
    def takes_link(self) -> bool:
        """See the base."""
        return self.command in commands.DUMPS

    @property
    def ends_batch(self) -> bool:
        """See the base: there are no batches."""
        return True

    @property
    def only_prepares(self) -> bool:
        """See the base."""
        return False

    @property
    def is_one_text(self) -> bool:
        """See the base."""
        return self.simple and not self.is_cut

    def unfit_for_copy(self) -> str:
        """See the base: what comes then is taken for the file's content."""
        return ""

    @property
    def leaves_no_cursor(self) -> bool:
        """See the base."""
        return not self.has_cursor

    @property
    def only_reads(self) -> bool:
        """See the base."""
        is_run = self.simple or self.command == commands.STMT_EXECUTE
        return is_run and not (self.has_cursor or self.ahead or self.is_cut)

    @property
    def has_parameters(self) -> bool:
        """See the base."""
        return self._has_parameters

    def split(self) -> tuple[Request, Request] | None:
        """See the base."""
        return None

    def say_instead(self, sql: bytes, hidden: frozenset[int]) -> None:
        """See the base."""
        self.packets = packet(0, query(sql, self.capabilities))
        self.executions = [execution_of(sql)]
        self.chunk = None
        self.hidden = hidden

    def run(self, execution: Execution, *, has_parameters: bool = False) -> None:
        """Note what it runs."""
        self.executions.append(execution)
        self._has_parameters = has_parameters

    def take_apart(self, reply: bytes) -> Kept | None:
        """See the base: one result, which is kept as it came."""
        return Kept(b"", reply) if self.only_reads else None

    def put_together(self, kept: Kept) -> bytes | None:
        """See the base."""
        return kept.rows if self.only_reads else None

    def rows_in(self, reply: bytes) -> list[bytes]:
        """See the base. Of a row of 16 MB and more, each packet counts as one."""
        reader = ReplyReader(self.capabilities)
        reader.expect(self.command)
        reader.feed(reply)
        if not reader.done or reader.has_rest:
            raise RemoteProtocolError("a reply is cut off")
        rows: list[bytes] = []
        start = stop = 0
        for kind, begin, _ in reader.found:
            if kind == ROWS:
                start = begin
            elif kind == END and start:
                stop = begin
        while start < stop:
            begin = start + HEADER
            start = begin + int.from_bytes(reply[start : start + 3], "little")
            rows.append(reply[begin:start])
        return rows

    @property
    def is_self_contained(self) -> bool:
        """See the base."""
        return self.simple

    def named_key(self) -> tuple[bytes, Prepared, bytes] | None:
        """See the base: where the types of the parameters came with their values."""
        chunk = self.chunk
        if self.prepared is None or self.command != commands.STMT_EXECUTE or not self.is_whole:
            return None
        return self.name, self.prepared, b"" if chunk is None else chunk[ARGUMENTS:]


def execution_of(sql: bytes | None) -> Execution:
    """A text that is run."""
    return Execution(sql, None, b"", is_plain=True)


def text(sql: bytes) -> Request:
    """A request that runs a text of ours."""
    request = Request(commands.QUERY, packet(0, bytes((commands.QUERY,)) + sql))
    request.run(execution_of(sql))
    return request
