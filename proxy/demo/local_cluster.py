"""A primary and its replicas of any kind, for the demo and the tests."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Final, Generic, Self, TypeVar

from proxy.demo.certificates import Authority, KeyPair
from proxy.demo.local_server import LocalServer
from proxy.demo.processes import ProgramFailed
from proxy.demo.programs import Account, find_account

LONGEST_SOCKET: Final = 107
"""Bytes in the path of a Unix socket on Linux."""

S = TypeVar("S", bound=LocalServer)


class LocalCluster(ABC, Generic[S]):
    """A primary and its replicas; `with` starts and stops them.

    Args:
        root: A folder that the servers' user can reach; everything is kept in it.
        replicas: How many follow the primary.

    Attributes:
        socket: The longest name of a server's socket.
        authority: Whose certificate the servers have, where they offer TLS.
        retired: Former primaries.

    Raises:
        MissingProgram: There is nobody to run the servers as.
    """

    socket: ClassVar[str]

    def __init__(self, root: Path, replicas: int) -> None:
        self.root = root
        self.password = secrets.token_urlsafe(12)
        self.account: Account = find_account()
        self.authority: Authority | None = None
        self.primary = self._server("primary")
        self.replicas = [self._server(f"replica{number + 1}") for number in range(replicas)]
        self.retired: list[S] = []

    @abstractmethod
    def _server(self, name: str) -> S:
        """Make one; it is not started."""

    @property
    def servers(self) -> list[S]:
        return [self.primary, *self.replicas, *self.retired]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Make the servers and start them."""
        if len(bytes(self.root)) + 1 + len(self.socket) > LONGEST_SOCKET:
            raise ProgramFailed(f"the path is too long for a Unix socket: {self.root}")
        self.account.make_folder(self.root)
        self._start()

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def end(self) -> None:
        """Stop all servers at once."""

    def fail_over(self, replica: S) -> None:
        """Promote a replica in the place of a primary that is down; the others follow it."""
        replica.promote()
        self.replicas.remove(replica)
        for other in self.replicas:
            other.follow(replica)
        self.retired.append(self.primary)
        self.primary = replica

    @abstractmethod
    def rebuild(self, server: S) -> None:
        """Make a server a fresh replica of the primary, whatever it was before."""

    def rejoin(self, server: S) -> None:
        """Have a former primary that is down come back as a replica."""
        self.rebuild(server)

    def _is_replica_again(self, server: S) -> None:
        if server in self.retired:
            self.retired.remove(server)
            self.replicas.append(server)

    def wait_replayed(self, *replicas: S, timeout: float = 30.0) -> None:
        """Wait until some replicas (all when none is named) show every commit until now."""
        position = self.primary.mark_position()
        for replica in replicas or self.replicas:
            replica.wait_replayed(position, timeout=timeout)

    def _certified(self) -> tuple[Path, KeyPair]:
        """Make a certificate for the servers: that of who has issued it, and theirs."""
        self.authority = Authority(self.account.make_folder(self.root / "tls"))
        pair = self.authority.issue_server()
        self.account.own(self.authority.certificate, pair.certificate, pair.key)
        return self.authority.certificate, pair
