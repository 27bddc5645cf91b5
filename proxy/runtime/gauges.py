"""The state of a server group, read where it lives at the moment somebody asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import final

from proxy.freshness.feed import LOG
from proxy.freshness.shares import US
from proxy.observe.metrics import GroupState, PoolState, ServerState
from proxy.runtime.service import GroupService
from proxy.types import PinReason, Reason


@final
class ServiceGauges:
    """See the module."""

    def __init__(self, service: GroupService) -> None:
        self._service = service

    def group(self) -> GroupState:
        """Single numbers."""
        service = self._service
        clients, metrics, ledger = service.clients, service.metrics, service.ledger
        metrics.bytes_in = metrics.gone_in + sum(client.received for client in clients)
        metrics.bytes_out = metrics.gone_out + sum(client.sent for client in clients)
        state = GroupState(
            clients=len(clients),
            ledger_tables=ledger.known_tables,
            ledger_pending=len(ledger.unsettled()) + len(ledger.unsettled(LOG)),
            quarantined_tables=len(ledger.quarantined),
            quarantined_here=len(ledger.doubted_by(US)),
            is_following=service.catalogs.is_following(),
        )
        if service.results is not None:
            store = service.results.store
            state.cache_bytes = store.used
            state.cache_entries = len(store)
            metrics.cache_hits = metrics.server("cache").reads.counts[Reason.HIT]
            metrics.cache_misses = service.results.misses
            metrics.cache_fills = store.fills
            metrics.cache_evictions = store.evicted
            second = service.results.second
            metrics.second = None if second is None else second.statistics
        if service.shelf is not None:
            state.l2_asked = int(service.shelf.is_open)
        if service.member is not None:
            state.fleet = service.member.counts()
        return state

    def servers(self) -> Iterable[ServerState]:
        """Every server of the group."""
        service = self._service
        primary = service.group.primary
        for server in service.group.servers:
            lag_bytes = lag_seconds = None
            if primary is not None and service.group.follows(server):
                lag_bytes = max(0, primary.position - server.position)
                lag_seconds = server.lag
            yield ServerState(
                name=server.name,
                role=server.role,
                is_banned=server in service.balancer.bans,
                position=server.position or None,
                lag_bytes=lag_bytes,
                lag_seconds=lag_seconds,
            )

    def pools(self) -> Iterable[PoolState]:
        """Every pool, in PgBouncer's words."""
        service = self._service
        now = service.clock()
        for pool in service.pools:
            book = pool.book
            pins: Counter[PinReason] = Counter()
            for connection in book.busy:
                pins.update(getattr(connection.user, "pins", ()))
            yield PoolState(
                server=pool.server.name,
                user=pool.user,
                database=pool.database,
                cl_active=len(book.busy),
                cl_waiting=len(book.waiting),
                sv_active=len(book.busy),
                sv_idle=len(book.idle),
                sv_pinned=dict(pins),
                maxwait=book.longest_wait(now),
            )

    def problems(self) -> list[str]:
        """What is in the way of serving; nothing: the group is ready."""
        service = self._service
        if service.group.primary is None:
            waits = service.member.problem() if service.member is not None else None
            return [waits or "no primary"]
        return []

    def notes(self) -> list[str]:
        """What an operator should know of a group that is ready all the same."""
        service = self._service
        notes = [f"in quarantine: {name}" for name in service.audits.quarantined]
        return notes if service.member is None else [*notes, *service.member.notes()]
