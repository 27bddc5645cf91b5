"""A run through the proxy: what to start, and whether the run was worth something."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import MappingProxyType

from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster
from proxy.demo.local_postgres import SUPERUSER
from tests.consistency.faults import AnyCluster
from tests.consistency.run import Ground
from tests.integration.proxy_under_test import SERVE, ProxyUnderTest, Setting

SERVE_WITHOUT = (sys.executable, "-m", "tests.consistency.serve")

AUDITED: dict[str, Setting] = {"audit": "20%", "audit_per_second": 1000}

NO_SETTINGS: Mapping[str, Setting] = MappingProxyType({})

_BACK_SOON: dict[str, Setting] = {"ban_time": "0.1s"}
"""Replicas that die in a run are read from again in the same."""

Sections = Mapping[str, Mapping[str, Setting]]

CLIENT = "app"
"""Who logs in to MySQL and MariaDB: nobody who may write where nothing may be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who logs in, and how that is written.

    Attributes:
        engine: A name in `ENGINES`.
        scheme: Of connection strings.
        control: The control user and its password.
        client: The clients' user and its password.
        group: Settings of the server group that the engine asks for.
    """

    engine: str
    scheme: str
    control: tuple[str, str]
    client: tuple[str, str]
    group: Mapping[str, Setting]

    @classmethod
    def to(cls, cluster: AnyCluster) -> Access:
        """Say it of a cluster."""
        if isinstance(cluster, MySQLCluster):
            return cls(
                engine="mysql",
                scheme="mysql",
                control=(CONTROL_USER, cluster.control_password),
                client=(CLIENT, cluster.password),
                group={"engine": "mysql", "server_tls_sslmode": "disable"},
            )
        user = (SUPERUSER, cluster.password)
        return cls(engine="postgres", scheme="postgresql", control=user, client=user, group={})


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs through a proxy take place, before there is one.

    Attributes:
        cluster: The servers.
        database: Made with `topics.schema`.
        processes: Where the clients live.
        folder: For the proxy's files.
    """

    cluster: AnyCluster
    database: str
    processes: Executor
    folder: Path

    @contextmanager
    def proxy(
        self, servers: Sequence[str] = (), without: Sequence[str] = (), **group: Setting
    ) -> Iterator[tuple[Ground, ProxyUnderTest]]:
        """Start one; at the end its log is judged, and what its own audit has found.

        Args:
            servers: Addresses in place of the cluster's own.
            without: Rules of freshness that are switched off.
            group: Settings of its server group.
        """
        audited: dict[str, Setting] = {} if without else AUDITED
        switches = [word for rule in without for word in ("--without", rule)]
        access = Access.to(self.cluster)
        proxy = self._proxy(access, self.folder, servers, switches, {**audited, **group})
        with proxy:
            dsn = self._dsn(access, proxy)
            ground = self._ground(access, (dsn,))
            yield ground, proxy
            if audited:
                found = proxy.metric("tidegate_audit_total", result="different")
                assert not found, "the audit has found what the judge has not"
                assert not proxy.metric("tidegate_quarantined_tables")

    @contextmanager
    def fleet(
        self,
        bus_urls: Sequence[str],
        switches: Sequence[str] = (),
        ways: Sequence[Sequence[str]] = (),
        shared: Mapping[str, Setting] = NO_SETTINGS,
        **group: Setting,
    ) -> Iterator[tuple[Ground, list[ProxyUnderTest]]]:
        """Start several, as one; their logs are judged at the end.

        Args:
            bus_urls: For each of them, how it comes to their bus.
            switches: Words for `tests.consistency.serve`, where they are not the product.
            ways: Addresses of the servers for each, in place of the cluster's own.
            shared: Settings of their fleet.
            group: Settings of their server group.
        """
        access = Access.to(self.cluster)
        with ExitStack() as running:
            members = []
            for place, bus_url in enumerate(bus_urls):
                folder = self.folder / f"member{place}"
                folder.mkdir()
                sections: Sections = {"fleet": {"bus_url": bus_url, **shared}}
                servers = ways[place] if ways else ()
                proxy = self._proxy(access, folder, servers, switches, group, sections)
                members.append(running.enter_context(proxy))
            yield self._ground(access, tuple(self._dsn(access, it) for it in members)), members

    def _proxy(
        self,
        access: Access,
        folder: Path,
        servers: Sequence[str],
        switches: Sequence[str],
        group: Mapping[str, Setting],
        sections: Sections | None = None,
    ) -> ProxyUnderTest:
        control, password = access.control
        return ProxyUnderTest(
            folder,
            servers or [server.address for server in self.cluster.servers],
            auth_user=control,
            auth_password=password,
            group={**_BACK_SOON, **access.group, **group},
            sections=sections,
            command=[*SERVE_WITHOUT, *switches] if switches else SERVE,
        )

    def _dsn(self, access: Access, proxy: ProxyUnderTest) -> str:
        user, password = access.client
        return proxy.dsn(self.database, user=user, password=password, scheme=access.scheme)

    def _ground(self, access: Access, dsns: tuple[str, ...]) -> Ground:
        return Ground(self.cluster, self.database, self.processes, dsns, dsns, access.engine)


@dataclass(frozen=True, slots=True)
class Yield:
    """What the proxy did in a run, by its own counters.

    Attributes:
        hits: Reads from the cache.
        fills: Results that were kept.
        by_replicas: Reads at a replica.
        behind: Reads at the primary because replicas had not replayed what they needed.
        pending: Reads at the primary because of a commit under way.
        invalidated: Answers of replicas that were thrown away at their first byte.
        spared: Transactions that ended before they had to be opened.
        refused: Those that were refused, for what they had read had been written since.
    """

    hits: float
    fills: float
    by_replicas: float
    behind: float
    pending: float
    invalidated: float
    spared: float
    refused: float

    def since(self, before: Yield) -> Yield:
        """Return what has been added."""
        both = zip(astuple(self), astuple(before), strict=True)
        return Yield(*(now - then for now, then in both))

    @classmethod
    def of(cls, proxy: ProxyUnderTest, cluster: AnyCluster) -> Yield:
        """Ask a proxy for its counters."""
        return cls(
            hits=proxy.metric("tidegate_cache_hits_total"),
            fills=proxy.metric("tidegate_cache_fills_total"),
            by_replicas=sum(
                proxy.metric("tidegate_reads_total", server=replica.address)
                for replica in cluster.replicas
            ),
            behind=proxy.metric("tidegate_reads_total", reason="behind"),
            pending=proxy.metric("tidegate_reads_total", reason="pending"),
            invalidated=proxy.metric("tidegate_reads_total", reason="invalidated"),
            spared=proxy.metric("tidegate_transactions_total", outcome="spared"),
            refused=proxy.metric("tidegate_transactions_total", outcome="refused"),
        )
