"""Leaving a database that is to be dropped or renamed: a server waits for that, for 5 s.

What is kept open there for nobody in particular stands in the way, and is closed; but only for a
role that may do such a thing, or anybody could disturb any database by the attempt.
"""

from __future__ import annotations

import asyncio
from typing import final

from proxy.runtime.catalogs import Catalogs
from proxy.runtime.pools import Pools
from proxy.runtime.postgres.accounts import Accounts


@final
class Vacating:
    """See the module."""

    __slots__ = ("_accounts", "_catalogs", "_pools", "_questions")

    def __init__(self, accounts: Accounts, catalogs: Catalogs, pools: Pools) -> None:
        self._accounts = accounts
        self._catalogs = catalogs
        self._pools = pools
        self._questions: dict[tuple[str, str], asyncio.Task[None]] = {}

    def wanted(self, database: str, role: str) -> None:
        """A role is about to say what nobody may be connected to a database for.

        Its statement does not wait for the answer to whether it may: the server does.
        """
        question = (database, role)
        if question in self._questions or not self._is_here(database):
            return
        task = asyncio.get_running_loop().create_task(self._leave(database, role))
        self._questions[question] = task
        task.add_done_callback(lambda _: self._questions.pop(question))

    def close(self) -> None:
        """Stop asking."""
        for task in self._questions.values():
            task.cancel()

    def _is_here(self, database: str) -> bool:
        """Tell if there is anything to close: whoever names others costs nothing."""
        return self._catalogs.keeps(database) or any(
            pool.database == database for pool in self._pools
        )

    async def _leave(self, database: str, role: str) -> None:
        if not await self._accounts.may_vacate(database, role):
            return
        self._catalogs.vacate(database)
        for pool in self._pools:
            if pool.database == database:
                pool.close_idle()
