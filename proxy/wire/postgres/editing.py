"""What a client says, put into the words of one server connection.

A client's names for its statements are its own, and a server connection is many clients': there
a statement goes by the name that all of them share (`Prepared.server_name`), and is prepared first
where it is missing. `owed` says what is to become of the answers.

Sources: "Message Flow" in the PostgreSQL manual, "Extended Query" and "Pipelining".
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final, final

from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.items import TAKEN, Item
from proxy.wire.postgres.requests import Request
from proxy.wire.prepared import Prepared
from proxy.wire.status import IDLE

_COMPLETES: Final = {
    tags.PARSE: b"1",
    TAKEN: b"1",
    tags.BIND: b"2",
    tags.CLOSE: b"3",
    tags.DESCRIBE: b"Tn",
    tags.EXECUTE: b"CsI",
    tags.SYNC: b"Z",
    tags.QUERY: b"Z",
    tags.FUNCTION_CALL: b"Z",
}
"""Which answers say that a message sent has been dealt with. A Query's own CommandCompletes are
several, so it counts as dealt with at ReadyForQuery."""


class Owed:
    """What the server still owes for one message that was sent to it."""

    __slots__ = ("closes", "completes", "forward", "item", "prepared", "said")

    def __init__(self, item: Item | None, completes: bytes, *, forward: bool) -> None:
        self.item = item
        self.completes = completes
        self.forward = forward
        self.prepared: Prepared | None = None  # is on the server once this is answered
        self.closes: Prepared | bytes | None = None  # is not on it any more, then
        self.said = b""  # said to the client in the server's place, right after


@final
class Editor:
    """See the module.

    Attributes:
        owed: What the server owes, for each message sent of what was edited.
        prepared: The statements that are on the connection, the one used last behind.
        unnamed: The one that it has under no name, if that is known.
        in_doubt: Whether texts mean here what is thought.
        is_refusing: Whether the transaction has failed, so that the server refuses what is new.
    """

    __slots__ = (
        "_coming",
        "_doubtful",
        "_room",
        "_stray",
        "in_doubt",
        "is_refusing",
        "owed",
        "prepared",
        "unnamed",
    )

    def __init__(self, max_prepared: int) -> None:
        self.owed: deque[Owed] = deque()
        self.prepared: OrderedDict[Prepared, None] = OrderedDict()
        self.unnamed: Prepared | None = None
        self.in_doubt = False
        self.is_refusing = False
        self._room = max_prepared
        self._stray: list[bytes] = []  # names to be closed at the next occasion
        self._coming: set[Prepared] = set()  # statements whose Parse is under way
        self._doubtful: list[Prepared] = []  # prepared while nobody knew what was set

    def must_edit(self, request: Request) -> bool:
        """Whether a request can't be sent as it came."""
        if request.edited or self._stray:
            return True
        if request.simple or not request.items:
            return False
        # The unnamed statement of an earlier batch may not be what this server has under no name.
        return request.items[0].tag != tags.PARSE and any(
            item.prepared is None or item.prepared is not self.unnamed
            for item in request.items
            if item.is_use
        )

    def as_it_is(self, request: Request) -> bytes:
        """What is to be sent for a request that need not be edited."""
        items = request.items
        if request.simple:
            self.unnamed = None
        else:
            for item in items:
                if item.tag == tags.PARSE:
                    self.unnamed = item.prepared
        if request.chunk is not None:
            return request.chunk
        return b"".join([item.message for item in items])

    def edit(self, request: Request) -> bytes:
        """What is to be sent for a request, with what each message is owed."""
        sent: list[bytes] = []
        self._close_strays(sent)
        for item in request.items:
            handler = _EDITORS.get(item.tag, Editor._edit_other)
            handler(self, item, sent)
        return b"".join(sent)

    def prepare(self, statements: Iterable[Prepared]) -> bytes:
        """What is to be sent to have statements on the connection, up to a Sync."""
        sent: list[bytes] = []
        self._close_strays(sent)
        for prepared in statements:
            self._want(prepared, sent)
        sent.append(self.sync())
        return b"".join(sent)

    def sync(self) -> bytes:
        """A Sync of our own, of which the client hears nothing."""
        self.owed.append(Owed(None, b"Z", forward=False))
        return frontend.SYNC

    def _close_strays(self, sent: list[bytes]) -> None:
        strays, self._stray = self._stray, []
        for name in strays:
            self._inject(sent, frontend.close(tags.STATEMENT, name), b"3").closes = name

    def _edit_parse(self, item: Item, sent: list[bytes]) -> None:
        prepared = item.prepared
        if not item.name or prepared is None:
            self.unnamed = prepared
            self._forward(item, item.message, sent)
        elif self.is_refusing and prepared in self.prepared:
            # It is there, and yet to be judged.
            self.unnamed = prepared
            self._forward(item, frontend.parse(b"", prepared.sql, prepared.oids), sent)
        elif self._is_there(prepared):
            self._say(item, backend.PARSE_COMPLETE)
        else:
            self._make_room(sent)
            self._forward(item, prepared.message, sent).prepared = prepared
            self._coming.add(prepared)

    def _edit_taken(self, item: Item, sent: list[bytes]) -> None:
        # Said twice under the client's own name: the second draws the server's own refusal,
        # which also aborts an open transaction, as it must.
        self._inject(sent, item.message, b"1")
        self._forward(item, item.message, sent)
        self._stray.append(item.name)

    def lacks(self, item: Item) -> bool:
        """Whether an item uses a named statement that is not here."""
        return bool(item.name) and item.is_use and item.prepared not in self.prepared

    def _edit_use(self, item: Item, sent: list[bytes]) -> None:
        """Bind or Describe: the statement must be there, under its shared name."""
        prepared = item.prepared
        if prepared is None:
            if item.is_use and not item.name:
                # An unnamed statement that is there is somebody else's.
                self._inject(sent, frontend.close(tags.STATEMENT, b""), b"3")
                self.unnamed = None
            self._forward(item, item.message, sent)
            return
        if not item.name:
            if self.unnamed is not prepared:
                self._inject(sent, frontend.parse(b"", prepared.sql, prepared.oids), b"1")
                self.unnamed = prepared
            self._forward(item, item.message, sent)
            return
        self._want(prepared, sent)
        rename = frontend.rename_bind if item.tag == tags.BIND else frontend.rename_describe
        self._forward(item, rename(item.message, prepared.server_name), sent)

    def _edit_close(self, item: Item, sent: list[bytes]) -> None:
        if item.prepared is not None and item.name:
            self._say(item, backend.CLOSE_COMPLETE)  # it stays, for the others who use it
        else:
            if item.prepared is not None:
                self.unnamed = None
            self._forward(item, item.message, sent)

    def _edit_other(self, item: Item, sent: list[bytes]) -> None:
        if item.tag in _UNANSWERED:
            sent.append(item.message)
        else:
            self._forward(item, item.message, sent)

    def _want(self, prepared: Prepared, sent: list[bytes]) -> None:
        if not self._is_there(prepared):
            self._make_room(sent)
            self._inject(sent, prepared.message, b"1").prepared = prepared
            self._coming.add(prepared)

    def _is_there(self, prepared: Prepared) -> bool:
        if prepared in self.prepared:
            self.prepared.move_to_end(prepared)
            return True
        return prepared in self._coming

    def _make_room(self, sent: list[bytes]) -> None:
        while len(self.prepared) >= self._room:
            oldest, _ = self.prepared.popitem(last=False)
            close = frontend.close(tags.STATEMENT, oldest.server_name)
            self._inject(sent, close, b"3").closes = oldest

    def _forward(self, item: Item, message: bytes, sent: list[bytes]) -> Owed:
        owed = Owed(item, _COMPLETES.get(item.tag, b""), forward=True)
        self.owed.append(owed)
        sent.append(message)
        return owed

    def _inject(self, sent: list[bytes], message: bytes, completes: bytes) -> Owed:
        owed = Owed(None, completes, forward=False)
        self.owed.append(owed)
        sent.append(message)
        return owed

    def _say(self, item: Item, answer: bytes) -> None:
        owed = Owed(item, b"", forward=True)
        owed.said = answer
        self.owed.append(owed)

    def confirm(self, owed: Owed) -> None:
        """The server has dealt with a message."""
        if owed.prepared is not None:
            self.prepared[owed.prepared] = None
            self._coming.discard(owed.prepared)
            if self.in_doubt:
                self._doubtful.append(owed.prepared)

    def skip(self, owed: Owed) -> None:
        """The server has passed over a message: what it was to close is still there."""
        if owed.prepared is not None:
            self._coming.discard(owed.prepared)
        if isinstance(owed.closes, Prepared):
            self.prepared[owed.closes] = None
        elif owed.closes is not None:
            self._stray.append(owed.closes)

    def drop_doubtful(self, status: int) -> None:
        """Let nobody else use what was prepared under settings that are not those of its sense.

        Up to the end of its transaction it means to its client what it must.
        """
        if not self.in_doubt and not self._doubtful:
            return
        self.unnamed = None
        if status != IDLE:
            return
        for prepared in self._doubtful:
            if prepared in self.prepared:
                del self.prepared[prepared]
                self._stray.append(prepared.server_name)
        self._doubtful.clear()

    def keep_statements(self, names: frozenset[bytes]) -> None:
        """Of the named statements of this connection only these are there."""
        for prepared in [it for it in self.prepared if it.server_name not in names]:
            del self.prepared[prepared]

    def forget_statements(self) -> None:
        """What was prepared under a name here is gone (DISCARD ALL, DEALLOCATE ALL)."""
        self.prepared.clear()


_UNANSWERED: Final = frozenset((tags.COPY_DONE, tags.COPY_FAIL, tags.FLUSH, tags.COPY_DATA))

_EDITORS: Final = {
    tags.PARSE: Editor._edit_parse,
    TAKEN: Editor._edit_taken,
    tags.BIND: Editor._edit_use,
    tags.DESCRIBE: Editor._edit_use,
    tags.CLOSE: Editor._edit_close,
}
