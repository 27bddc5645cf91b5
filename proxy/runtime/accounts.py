"""What is stored of users' passwords, asked at each login; and what has logged users in.

A password that was changed counts at once: whoever logs in after the change is judged by an answer
that is as new. How a server is asked is told by each engine.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.witness import Control

KNOWN: Final = 10_000
"""Users of whom it is remembered what was stored last; then it begins anew."""

S = TypeVar("S")
"""What is stored of a password."""

C = TypeVar("C")
"""What logs in to the servers."""


class BaseAccounts(ABC, Generic[S, C]):
    """See the module.

    Args:
        settings: Of the server group: they may list users.
        control: Who asks.
        group: Who is asked.
        changed: Is told of a user with another password, or of another user.
    """

    def __init__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        changed: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._control = control
        self._group = group
        self._changed = changed
        self._asked_of: Server | None = None
        self._lock = asyncio.Lock()
        self._questions: dict[str, asyncio.Task[S | None]] = {}  # not sent yet
        self._tasks: set[asyncio.Task[S | None]] = set()
        self._last: dict[str, S | None] = {}
        self._credentials: dict[str, C] = {}

    async def stored(self, user: str) -> S | None:
        """Find what is stored of a user's password; None: nothing, or there is no such user."""
        listed = self._find_listed(user)
        if listed is not None:
            return listed
        question = self._questions.get(user)
        if question is None:
            question = asyncio.get_running_loop().create_task(self._find(user))
            self._questions[user] = question
            self._tasks.add(question)
            question.add_done_callback(self._heard)
        return await asyncio.shield(question)

    def learn(self, user: str, credentials: C) -> None:
        """A client has proven who it is: this is what logs in to the servers."""
        self._credentials[user] = credentials

    def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        self._drop()

    @abstractmethod
    def _find_listed(self, user: str) -> S | None:
        """Find what the settings say of a user's password."""

    @abstractmethod
    async def _find(self, user: str) -> S | None:
        """Ask the servers, and say what counts where none answers."""

    @abstractmethod
    async def _look_up(self, user: str) -> S | None:
        """Ask once."""

    @abstractmethod
    def _drop(self) -> None:
        """Let the connection go, if there is one."""

    async def _ask(self, user: str) -> S | None:
        async with self._lock:
            # Who comes from now on asks anew: this answer may be older than that login.
            self._questions.pop(user, None)
            stored = await self._look_up(user)
        self._note(user, stored)
        return stored

    def _note(self, user: str, stored: S | None) -> None:
        """Compare with what was stored the last time."""
        if self._last.get(user, stored) != stored:
            self._has_changed(user)
        if len(self._last) >= KNOWN:
            self._last.clear()
        self._last[user] = stored

    def _has_changed(self, user: str) -> None:
        self._changed(user)

    def _by_preference(self) -> list[Server]:
        """All servers, the primary first: replicas learn of a change later."""
        return sorted(self._group.servers, key=self._preference)

    def _preference(self, server: Server) -> int:
        return 0 if server is self._group.primary else 1

    def _heard(self, question: asyncio.Task[S | None]) -> None:
        """Look at the outcome, though everybody who waited for it may be gone."""
        self._tasks.discard(question)
        if not question.cancelled():
            question.exception()
