"""What the house asks of a catalog, whichever engine it is of.

A catalog is a snapshot of the definitions in one `database`, a word of the ledger's: PostgreSQL's
databases know nothing of each other, and each has a catalog of its own; of MySQL a whole server is
one, since its schemas are in each other's reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from proxy.sql.access import Access
from proxy.sql.gathering import Step
from proxy.sql.statement import FunctionName, Statement
from proxy.types import Reason, Table


class Way(NamedTuple):
    """How a table comes into what a statement touches, for people.

    Attributes:
        table: Its name, with its schema: the root of its partitions or its inheritance.
        path: By which way, as `view shop.v -> function shop.f`; `named` for what the text names.
        is_written: Whether it is changed; if not, it is read.
    """

    table: str
    path: str
    is_written: bool


class Lineage(Protocol):
    """A catalog. It never changes, so that what it says can be remembered."""

    @property
    def database(self) -> str:
        """Its name, as in `Table`."""

    @property
    def problems(self) -> list[str]:
        """What keeps it from being believed as it should be, for people."""

    def resolve(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Access:
        """Say what a statement touches. The same arguments always get the same answer.

        Args:
            statement: What the text says.
            search_path: Where the session looks for what is named without a schema.
            user: The current role.
        """

    def trace(self, statement: Statement, search_path: tuple[str, ...], user: str) -> list[Way]:
        """Say by which way each table comes in: `resolve` once more, with a record kept.

        Returns:
            Sorted by table; each is there once for what is read and once for what is written.
        """

    def roots(self, oid: int) -> frozenset[Table]:
        """Find the tables that a change of a relation counts for."""

    def named(self, schema: str, name: str) -> frozenset[Table] | None:
        """Find the tables that a change of what has this name counts for; None: nothing has it."""

    def knows(self, oid: int) -> bool:
        """Tell whether there is a relation of this number."""

    def name_of(self, oid: int) -> str:
        """Name a relation for people; its number when it is not known."""

    def volatility_of(self, call: FunctionName, search_path: tuple[str, ...], user: str) -> str:
        """Name the volatility of a function for people; empty where there is none to be told."""


def path_of(steps: Iterable[Step]) -> str:
    """Write down a way, for people."""
    return " -> ".join(f"{kind} {name}" for kind, name in steps) or "named"


def anything(statement: Statement) -> Access:
    """Say that a statement may do whatever there is to do."""
    return Access(
        exact=False,
        hidden=True,
        schema=True,
        replica=statement.reason or Reason.OPAQUE,
        cache=statement.reason or Reason.OPAQUE,
        detail=statement.detail,
        taints=True,
    )
