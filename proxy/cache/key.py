"""Same bytes only if everything that shapes them is the same: what a result is kept under.

A result has two kinds of name. The *canonical* key says what was asked, whatever the
protocol's form, so that what a simple query filled serves an extended one. The *request*,
byte for byte as it came, finds a ready answer in one dict look-up. Both live in a
`Context`, one per distinct way of being asked, so that neither repeats it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr

from proxy.freshness.ledger import Ledger

if TYPE_CHECKING:
    from proxy.cache.entry import Answer, Entry

CONTEXT_BYTES: Final = 832
"""A context, its two dicts, its shape and its place among the others, without its settings."""


class Shape(NamedTuple):
    """All that shapes a result besides the statement, its parameters and the tables.

    Attributes:
        salt: Of this run, or of the fleet's.
        epoch: The ledger's; results of an ended one are not even looked at.
        group: The server group.
        database: The database, in which names are resolved.
        user: The session's authorization.
        role: What it has been SET to; row security and privileges follow it.
        protocol: Protocol and capability flags that change the bytes of a reply.
        encoding: The client's.
        settings: Every other setting the session has changed, sorted by name; among them
            what a name without a schema means.
    """

    salt: int
    epoch: int
    group: str
    database: str
    user: str
    role: str
    protocol: str
    encoding: str
    settings: tuple[tuple[str, str], ...]


class Key(NamedTuple):
    """What was asked, in no protocol's form.

    Attributes:
        statement: The exact text.
        types: Of the parameters, as declared.
        parameters: Their formats and values, and the formats of the result's columns.
        limit: How many rows; 0 for all of them.
    """

    statement: bytes
    types: bytes = b""
    parameters: bytes = b""
    limit: int = 0


@mypyc_attr(native_class=False)  # weakly referenced, which a native class can't be
@final
class Context:
    """One way of being asked, and what is cached for it.

    Held by the sessions that are in it and by the entries in it; with the last of them it
    is gone. Only the store changes the dicts.

    Attributes:
        shape: What it stands for.
        ledger: Judges its entries.
        answers: Ready answers, by the request as it came.
        entries: Results, by what was asked.
    """

    __slots__ = ("__weakref__", "answers", "entries", "ledger", "shape")

    def __init__(self, shape: Shape, ledger: Ledger) -> None:
        self.shape = shape
        self.ledger = ledger
        self.answers: dict[bytes, Answer] = {}
        self.entries: dict[Key, Entry] = {}

    @property
    def cost(self) -> int:
        """Bytes that the context itself takes."""
        return CONTEXT_BYTES + sum(len(name) + len(value) for name, value in self.shape.settings)

    def release(self) -> None:
        """Give back the room of dicts that are empty now, and were large perhaps."""
        for content in (self.entries, self.answers):
            if not content:
                content.clear()


@final
class Contexts:
    """Interns contexts: sessions that are asked alike share one."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Shape, Context] = WeakValueDictionary()

    def intern(self, shape: Shape, ledger: Ledger) -> Context:
        """Find the context of a shape: once at login, and whenever a setting changes."""
        context = self._known.get(shape)
        if context is None:
            context = self._known[shape] = Context(shape, ledger)
        return context

    def __len__(self) -> int:
        return len(self._known)
