"""Commits whose connection broke: the server's session is ended, and seen to be gone."""

from __future__ import annotations

import asyncio
from typing import Final, final

from proxy.freshness.mark import Mark
from proxy.freshness.quiet import Quiet
from proxy.observe.logs import Logger
from proxy.runtime.commits import Commits, Lost
from proxy.runtime.server import ServerConnection
from proxy.runtime.session_end import Sessions, is_over

log = Logger("commits")

RETRY: Final = 0.2
"""Seconds between two looks at what became of one."""


@final
class LostCommits:
    """See the module. Until then a commit's tables stay with the primary.

    Args:
        commits: Of the server group.
        settles: See `Fellowship`.
    """

    def __init__(self, commits: Commits, settles: float | None) -> None:
        self._commits = commits
        self._settles = settles
        self._tasks: set[asyncio.Task[None]] = set()

    def look_for(self, mark: Mark, connection: ServerConnection, sessions: Sessions) -> None:
        """Find out when nothing more can become of a commit, and have it count then.

        Args:
            mark: Of it.
            connection: It was sent on this one, which is broken.
            sessions: Of the server.
        """
        lost = self._commits.lose(mark, connection.server)
        log.warning(
            "outcome of a commit unknown", server=connection.server.name, pid=connection.pid
        )
        task = asyncio.get_running_loop().create_task(self._look_for(lost, connection, sessions))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Look for none any more."""
        for task in self._tasks:
            task.cancel()

    async def _look_for(self, lost: Lost, connection: ServerConnection, sessions: Sessions) -> None:
        clock = asyncio.get_running_loop().time
        quiet = None if self._settles is None else Quiet(clock(), self._settles)
        is_said = False
        while True:
            try:
                start = connection.facts.backend_start
                if await is_over(sessions, connection.pid, start, quiet, clock):
                    break
            except Exception as error:
                if not is_said:  # the primary is away, most often: for each of many commits
                    log.warning("could not look for a lost commit yet", error=str(error))
                is_said = True
            await asyncio.sleep(RETRY)
        self._commits.ended(lost)
        log.info("commit counted", server=connection.server.name, pid=connection.pid)
