"""A way into a server: what clients at work ask of a driver."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from tests.consistency.topics import Row

CONNECT_TIMEOUT: Final = 10.0

PLACEHOLDER: Final = re.compile(r"\$(\d)")


class Door(ABC):
    """One connection. Statements have $1 and $2 for values, as PostgreSQL writes them.

    Attributes:
        way: Its name.
        errors: Whatever a driver raises when a statement fails, a connection breaks or time is up.
        begins: What begins a transaction in which each statement has a snapshot of its own;
            nothing where there is none such.
        snapshot: What begins one that has a single snapshot.
        try_again: The error of a transaction that could only go on with another snapshot.
    """

    way: ClassVar[str]
    errors: ClassVar[tuple[type[BaseException], ...]]
    begins: ClassVar[tuple[str, ...]]
    snapshot: ClassVar[tuple[str, ...]]
    try_again: ClassVar[str]

    @abstractmethod
    async def open(self, dsn: str) -> None:
        """Connect."""

    @abstractmethod
    async def fetch(self, statement: str, *values: int | str) -> Sequence[Row]:
        """Return a statement's rows."""

    @abstractmethod
    async def execute(self, statement: str, *values: int | str) -> str:
        """Run a statement and return its tag, as "UPDATE 1"."""

    async def fetch_many(
        self, requests: Sequence[tuple[str, tuple[int | str, ...]]]
    ) -> list[Sequence[Row]]:
        """Return the rows of several statements, which is what a pipeline is for."""
        return [await self.fetch(statement, *values) for statement, values in requests]

    @abstractmethod
    async def close(self) -> None:
        """Let go of the connection, whatever state it is in."""

    @staticmethod
    @abstractmethod
    def code(error: BaseException) -> str:
        """Return what the server said went wrong; "" when no server said anything."""

    @staticmethod
    @abstractmethod
    def is_certain(error: BaseException) -> bool:
        """Tell whether an error proves that the transaction came to nothing.

        One that ends the connection does not: the commit may have been on its way. Nor does
        one that says so.
        """


def used(statement: str, values: Sequence[int | str]) -> Sequence[int | str]:
    """Return the values that a statement asks for: it may know of $1 only, or of none."""
    return values[: max((int(it) for it in PLACEHOLDER.findall(statement)), default=0)]


def literal(value: int | str) -> str:
    """Write a value of ours into SQL."""
    return str(value) if isinstance(value, int) else f"'{value}'"


def inline(statement: str, values: Sequence[int | str]) -> str:
    """Replace a statement's placeholders, if it is given values."""
    if not values:
        return statement
    return PLACEHOLDER.sub(lambda found: literal(values[int(found[1]) - 1]), statement)
