"""Statements that clients prepared: one of a text, however many clients have it.

A name or number is only the client's own: on a server connection a statement is everybody's who
means the same by it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr


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

    Attributes:
        sql: The text.
        oids: The types that the client gives its parameters, where the protocol has it do that.
        sense: What the text means beside its words; None where nobody knows it: then one client
            alone has it.
        server_name: Its name on server connections, where it has one there.
        message: Has a server prepare it.
        meaning: For the floors above: what they made of the text, so that it is thought once.
        facts: For its engine: what a server has said of it.
    """

    __slots__ = (
        "__weakref__",
        "facts",
        "meaning",
        "message",
        "oids",
        "sense",
        "server_name",
        "sql",
    )

    def __init__(
        self,
        sql: bytes,
        oids: tuple[int, ...],
        sense: Sense | None,
        *,
        server_name: bytes,
        message: bytes,
    ) -> None:
        self.sql = sql
        self.oids = oids
        self.sense = sense
        self.server_name = server_name
        self.message = message
        self.meaning: object | None = None
        self.facts: object | None = None


class Library(ABC):
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

    @abstractmethod
    def say(self, server_name: bytes, sql: bytes, oids: tuple[int, ...]) -> bytes:
        """Say what has a server prepare a statement."""

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
        name = b"tidegate_%d" % self._number
        message = self.say(name, sql, oids)
        return Prepared(sql, oids, sense, server_name=name, message=message)
