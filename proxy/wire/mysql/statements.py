"""What a MySQL client has prepared, by the numbers that it was told."""

from __future__ import annotations

from typing import Final, final

from proxy.wire.mysql.execute import Execution, read_execute
from proxy.wire.mysql.prepared import Facts
from proxy.wire.prepared import Library, Prepared

LAST: Final = b"\xff\xff\xff\xff"
"""In place of a number, at MariaDB: what was prepared last."""


@final
class Statement:
    """One of them.

    Attributes:
        prepared: What it is to everybody.
        kinds: Of the values for its parameters.
        types: Of its parameters, as they were sent last.
        varies: Whether they have been others.
        ahead: Values that came before the execution.
        size: Bytes of these.
    """

    __slots__ = ("ahead", "kinds", "prepared", "size", "types", "varies")

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.kinds = b""
        self.types = b""
        self.varies = False
        self.ahead: list[bytes] = []
        self.size = 0

    @property
    def parameters(self) -> int:
        """How many it has, as a server has said."""
        facts = self.prepared.facts
        return facts.parameters if isinstance(facts, Facts) else 0

    def read(self, payload: bytes, agreed: int) -> Execution:
        """Read an execution of it.

        Args:
            payload: The command's.
            agreed: The capabilities of the client's connection.
        """
        return read_execute(payload, self.parameters, agreed)

    def forget_values(self) -> None:
        """What came before is used, or not wanted."""
        self.ahead = []
        self.size = 0


@final
class Statements:
    """All of them.

    Args:
        library: What clients have prepared.
    """

    __slots__ = ("_by_name", "_cursors", "_last", "_library", "_number")

    def __init__(self, library: Library) -> None:
        self._library = library
        self._number = 0
        self._last = b""
        self._by_name: dict[bytes, Statement] = {}
        self._cursors: set[bytes] = set()  # what was last run to be fetched from

    def add(self, prepared: Prepared) -> bytes:
        """Take what is prepared now, and number it."""
        self._number += 1
        name = self._last = self._number.to_bytes(4, "little")
        self._by_name[name] = Statement(prepared)
        return name

    def named(self, said: bytes) -> bytes:
        """Tell which is meant by a number."""
        return self._last if said == LAST else said

    def get(self, name: bytes) -> Statement | None:
        """Find one."""
        return self._by_name.get(name)

    def find(self, name: bytes) -> Statement | None:
        """Find one that a command speaks of: it may have to be another at servers from now on."""
        found = self._by_name.get(name)
        if found is not None and self._cursors and name not in self._cursors:
            self._keep_apart(found)
        return found

    def _keep_apart(self, found: Statement) -> None:
        """Have a statement be another at servers than one of the same text that has a cursor.

        There a cursor is its statement's, and ends when that is run again.
        """
        prepared = found.prepared
        for name in self._cursors:
            other = self._by_name.get(name)
            if other is not None and other.prepared is prepared:
                library = self._library
                owner = library.new_owner()
                found.prepared = library.find(prepared.sql, (), prepared.sense, owner)
                found.prepared.facts = prepared.facts
                return

    def opens(self, name: bytes) -> None:
        """One is run to be fetched from."""
        self._cursors.add(name)

    def closes(self, name: bytes) -> None:
        """One has no cursor any more, if it had one."""
        if self._cursors:
            self._cursors.discard(name)

    def drop(self, name: bytes) -> None:
        """Forget one."""
        self._by_name.pop(name, None)
        self.closes(name)

    def clear(self) -> None:
        """Forget all."""
        self._by_name.clear()
        self._cursors.clear()
