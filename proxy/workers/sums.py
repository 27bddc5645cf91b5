"""The metrics of several processes as those of one. Pure.

Counters never fall, whatever happens to who has counted: what a worker told last counts on when it
does not answer, and when it has ended. (A sum that falls, and rises again, would be taken for
a restart and so be counted twice by whoever takes rates.) States are of the present: they are those
of the workers that have just answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, unique
from typing import Final, final

from proxy.observe.families import Family, Sample


@unique
class How(Enum):
    """How the numbers of several processes become one."""

    SUM = "sum"
    MOST = "most"
    LEAST = "least"


_SUM, _MOST, _LEAST = How.SUM, How.MOST, How.LEAST

HOW: Final[Mapping[str, How]] = {
    "tidegate_build_info": _MOST,
    # What clients have had done
    "tidegate_reads": _SUM,
    "tidegate_writes": _SUM,
    "tidegate_commits": _SUM,
    "tidegate_transactions": _SUM,
    "tidegate_rule_matches": _SUM,
    "tidegate_mirrored": _SUM,
    "tidegate_audit": _SUM,
    "tidegate_hints_misread": _SUM,
    "tidegate_statement_seconds": _SUM,
    "tidegate_client_connections": _SUM,
    "tidegate_client_connections_ended": _SUM,
    "tidegate_login_failures": _SUM,
    "tidegate_client_bytes": _SUM,
    "tidegate_clients": _SUM,
    # Each worker sees all of them in the servers' own counters, or in their log.
    "tidegate_foreign_writes": _MOST,
    # The cache: each worker has a part of its memory.
    "tidegate_cache_hits": _SUM,
    "tidegate_cache_misses": _SUM,
    "tidegate_cache_fills": _SUM,
    "tidegate_cache_evictions": _SUM,
    "tidegate_uncached": _SUM,
    "tidegate_cache_bytes": _SUM,
    "tidegate_cache_entries": _SUM,
    "tidegate_cache_l2_reads": _SUM,
    "tidegate_cache_l2_writes": _SUM,
    "tidegate_cache_l2_turns": _SUM,
    "tidegate_cache_l2_seconds": _SUM,
    "tidegate_cache_l2_asked": _LEAST,
    # The ledger: all workers know of the same tables, and of each other's commits.
    "tidegate_ledger_tables": _MOST,
    "tidegate_ledger_pending": _MOST,
    "tidegate_quarantined_tables": _MOST,
    "tidegate_quarantined_here_tables": _SUM,
    "tidegate_changes_followed": _LEAST,
    # The fleet, of which each worker is a member.
    "tidegate_fleet_members": _MOST,
    "tidegate_fleet_fast": _LEAST,
    "tidegate_fleet_unheard": _MOST,
    "tidegate_fleet_waits": _SUM,
    "tidegate_fleet_wait_seconds": _SUM,
    "tidegate_fleet_rides": _SUM,
    "tidegate_bus_up": _LEAST,
    "tidegate_bus_reconnects": _SUM,
    "tidegate_bus_messages": _SUM,
    "tidegate_bus_bytes": _SUM,
    "tidegate_bus_lost": _SUM,
    # The servers: as whoever thinks the worst of them sees them.
    "tidegate_bans": _SUM,
    "tidegate_server_bytes": _SUM,
    "tidegate_server_role": _MOST,
    "tidegate_server_banned": _MOST,
    "tidegate_server_position_bytes": _MOST,
    "tidegate_replica_lag_bytes": _MOST,
    "tidegate_replica_lag_seconds": _MOST,
    # Pools: each worker has a part of each.
    "tidegate_pool_cl_active": _SUM,
    "tidegate_pool_cl_waiting": _SUM,
    "tidegate_pool_sv_active": _SUM,
    "tidegate_pool_sv_idle": _SUM,
    "tidegate_pool_sv_pinned": _SUM,
    "tidegate_pool_maxwait_seconds": _MOST,
    # The workers themselves, told by the supervisor.
    "tidegate_workers": _SUM,
    "tidegate_worker_ends": _SUM,
    # The processes: files as of the one that is nearest to its limit.
    "process_cpu_seconds": _SUM,
    "process_resident_memory_bytes": _SUM,
    "process_virtual_memory_bytes": _SUM,
    "process_start_time_seconds": _LEAST,
    "process_open_fds": _MOST,
    "process_max_fds": _LEAST,
}
"""By the name of a metric. A test fails where one is missing."""

LASTING: Final = ("counter", "histogram")
"""Kinds of metrics that never fall."""

_COMBINE: Final[Mapping[How, Callable[[float, float], float]]] = {
    How.SUM: lambda one, other: one + other,
    How.MOST: max,
    How.LEAST: min,
}


def add(parts: Iterable[Iterable[Family]]) -> list[Family]:
    """Add up what several processes tell."""
    found: dict[str, Family] = {}
    for part in parts:
        for family in part:
            known = found.get(family.name)
            if known is None:
                found[family.name] = Family(
                    family.name, family.kind, family.text, dict(family.samples)
                )
            else:
                _combine(known.samples, family.samples, HOW.get(family.name, How.SUM))
    return list(found.values())


def _combine(into: dict[Sample, float], samples: Mapping[Sample, float], how: How) -> None:
    combine = _COMBINE[how]
    for sample, value in samples.items():
        known = into.get(sample)
        into[sample] = value if known is None else combine(known, value)


@final
class Totals:
    """What all workers have told, those of before among them."""

    __slots__ = ("_last", "_of_the_gone")

    def __init__(self) -> None:
        self._last: dict[int, list[Family]] = {}
        self._of_the_gone: list[Family] = []

    def hear(self, number: int, told: list[Family]) -> None:
        """A worker has answered."""
        self._last[number] = told

    def ended(self, number: int) -> None:
        """A worker is no more: who has its number next begins at nothing."""
        told = self._last.pop(number, None)
        if told is not None:
            self._of_the_gone = add((self._of_the_gone, _lasting(told)))

    def all(self, fresh: Iterable[int], own: list[Family]) -> list[Family]:
        """Add everything up.

        Args:
            fresh: Who has answered just now: whose states count.
            own: What the supervisor tells of itself.
        """
        present = set(fresh)
        parts = [
            told if number in present else _lasting(told)
            for number, told in sorted(self._last.items())
        ]
        return add((*parts, self._of_the_gone, own))


def _lasting(told: list[Family]) -> list[Family]:
    return [family for family in told if family.kind in LASTING]
