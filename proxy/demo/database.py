"""What the scenes leave open: which servers they play on, and how those are spoken to.

The scenes are written once, with parameters as $1, in SQL that every engine takes. What is not the
same everywhere is behind `Database`: one for PostgreSQL, one for MariaDB and MySQL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

USER: Final = "demo"
PASSWORD: Final = "demo"
DATABASE: Final = "demo"

PATIENCE: Final = 30.0
"""Seconds after which an answer is not awaited any longer."""


class Question(Protocol):
    """A statement that is asked more than once."""

    async def fetch(self, *arguments: object) -> Sequence[Sequence[Any]]:
        """Ask it with values, and return the rows."""


class Session(Protocol):
    """A client's connection. The words are asyncpg's."""

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Sequence[Any]]:
        """Run a statement and return its rows."""

    async def execute(self, sql: str, *arguments: object) -> object:
        """Run a statement that returns none."""

    async def prepare(self, sql: str) -> Question:
        """Make a statement ready, as far as the driver can."""

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """Run what is inside in a transaction."""

    async def close(self) -> None:
        """Say goodbye."""

    def terminate(self) -> None:
        """Hang up."""


class Server(Protocol):
    """One of the servers that the demo has started."""

    name: str

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""

    def pause_replay(self) -> None:
        """Hold a replica back: it goes on receiving, and shows nothing new."""

    def resume_replay(self) -> None:
        """Let it go on."""


class Database(Protocol):
    """A primary with two replicas, and the client's side of them."""

    @property
    def engine(self) -> str:
        """What Tidegate's settings call it."""

    @property
    def port(self) -> int:
        """Where Tidegate listens unless that is taken."""

    @property
    def title(self) -> str:
        """What the servers are, in a sentence."""

    @property
    def version(self) -> str:
        """What the servers are, and of which version."""

    @property
    def client(self) -> str:
        """The name of its command-line client."""

    @property
    def ways(self) -> Sequence[str]:
        """How the driver can ask one question."""

    @property
    def hold_back(self) -> str:
        """The SQL that holds a replica back."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    @property
    def accounts(self) -> int:
        """How many rows its largest table has."""

    @property
    def servers(self) -> Sequence[Server]:
        """All of them, the primary first."""

    @property
    def control(self) -> tuple[str, str]:
        """The control user and its password."""

    def __enter__(self) -> object:
        """Start the servers."""

    def __exit__(self, *_: object) -> None:
        """Stop them."""

    def make_user(self) -> None:
        """Make the clients' user, and a database that is that user's own."""

    async def load(self, progress: Callable[[int], None]) -> None:
        """Make the tables and fill them; `progress` is told of each branch."""

    def wait_replayed(self) -> None:
        """Wait until the replicas show every commit until now."""

    async def connect(self, port: int) -> Session:
        """Open a client's connection, to a server or to Tidegate."""

    def ask_route(self, port: int, sql: str) -> dict[str, str]:
        """Run EXPLAIN ROUTE in a session of its own, and return what it says by name.

        Raises:
            ProgramFailed: It could not be asked.
        """

    def call_client(self, port: int) -> str:
        """Write the command line that connects to a port."""
