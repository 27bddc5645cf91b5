"""How a catalog answers, of whatever engine: by a walk that gathers what a statement touches."""

from __future__ import annotations

from abc import ABC, abstractmethod

from proxy.sql.access import Access
from proxy.sql.gathering import Gathering
from proxy.sql.lineage import Way, anything, path_of
from proxy.sql.relations import tables
from proxy.sql.statement import Kind, Statement
from proxy.types import Reason


class BaseCatalog(ABC):
    """See `proxy.sql.lineage.Lineage`."""

    __slots__ = ("database",)

    def __init__(self, database: str) -> None:
        """Name the database, as in `Table`."""
        self.database = database

    @abstractmethod
    def _begin(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Gathering:
        """Begin a walk at the place where a session is."""

    @abstractmethod
    def name_of(self, oid: int) -> str:
        """Name a relation for people; its number when it is not known."""

    def resolve(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Access:
        """Say what a statement touches. The same arguments always get the same answer.

        Args:
            statement: What the text says.
            search_path: Where the session looks for what is named without a schema.
            user: The current role.
        """
        if statement.kind is Kind.OPAQUE:
            return anything(statement)
        return self._resolved(self._begin(statement, search_path, user), statement)

    def trace(self, statement: Statement, search_path: tuple[str, ...], user: str) -> list[Way]:
        """Say by which way each table comes in: `resolve` once more, with a record kept.

        Args:
            statement: What the text says.
            search_path: Where the session looks for what is named without a schema.
            user: The current role.

        Returns:
            Sorted by table; each is there once for what is read and once for what is written.
        """
        if statement.kind is Kind.OPAQUE:
            return []
        gathering = self._begin(statement, search_path, user)
        gathering.ways = {}
        self._resolved(gathering, statement)
        return sorted(
            Way(self.name_of(oid), path_of(steps), written)
            for (oid, written), steps in gathering.ways.items()
        )

    def _resolved(self, gathering: Gathering, statement: Statement) -> Access:
        kind = statement.kind
        access = gathering.access
        if kind is not Kind.READ:
            access.replica = statement.reason or Reason.UTILITY
            access.detail = statement.detail
        access.cache = statement.cache_reason or access.replica
        access.schema = kind is Kind.SCHEMA
        gathering.whole(statement)
        access.read_set = tables(self.database, gathering.reads)
        access.write_set = tables(self.database, gathering.writes)
        return access
