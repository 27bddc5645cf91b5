"""Which scenes are explored: where each rule is missed, and what is found to be safe with all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.model.rules import Rule
from tests.model.scene import Commit, Scene
from tests.model.states import Standing

OUTSIDE: Final = Standing.OUTSIDE
EVICTED: Final = Standing.EVICTED

BY_0: Final = (Commit(0),)
BY_1: Final = (Commit(1),)
TWICE: Final = (Commit(0), Commit(0))
BOTH: Final = (Commit(0), Commit(1))
OTHER_FIRST: Final = (Commit(1), Commit(0))
TABLE_EACH: Final = (Commit(0, (0,)), Commit(1, (1,)))

PLAIN: Final = Scene(BY_0, cache=False)
CACHED: Final = Scene(BY_0)
EXPIRY: Final = Scene(BY_0, cache=False, expiry=True)
LOSS: Final = Scene(BY_0, cache=False, expiry=True, loss=True)
BROKEN: Final = Scene(BY_0, cache=False, broken=True)
RESTARTS: Final = Scene(BY_0, cache=False, restarts=True)
LINGERING: Final = Scene(TWICE, cache=False, lingering=True)
TWO_TABLES: Final = Scene((Commit(0, (1,)),), read_sets=((0, 1),), cache=False)
NEWCOMER: Final = Scene(BY_0, cache=False, begins=OUTSIDE)
NEWCOMER_WRITES: Final = Scene(BY_1, cache=False, begins=OUTSIDE)
EVICTION: Final = Scene(BY_1, cache=False, expiry=True, eviction=True)
EVICTION_CACHED: Final = Scene(BY_1, expiry=True, eviction=True)
SURVIVOR_WRITES: Final = Scene(BY_0, cache=False, expiry=True, eviction=True)
FAILOVER: Final = Scene(BY_0, cache=False, failover=True)
FAILOVER_CACHED: Final = Scene(BY_0, failover=True)
FORGOTTEN: Final = Scene(BY_1, cache=False, begins=EVICTED, failover=True)
NEWCOMER_AT_NEW_PRIMARY: Final = Scene(BY_0, cache=False, begins=OUTSIDE, failover=True)

MISSED_IN: Final[Mapping[Rule, Scene]] = {
    Rule.MARK: PLAIN,
    Rule.ACKNOWLEDGED: PLAIN,
    Rule.ANSWERED: PLAIN,
    Rule.LOST_PENDS: BROKEN,
    Rule.LOST_GONE: BROKEN,
    Rule.LINGERING: LINGERING,
    Rule.PENDING: PLAIN,
    Rule.VERSION: CACHED,
    Rule.WHOLE_SET: TWO_TABLES,
    Rule.NEED: PLAIN,
    Rule.POSITION: PLAIN,
    Rule.INCARNATION: RESTARTS,
    Rule.FIRST_BYTE: PLAIN,
    Rule.LAST_BYTE: CACHED,
    Rule.GRANT: EXPIRY,
    Rule.GRANTOR_LAST: EXPIRY,
    Rule.GRANT_IN_ORDER: EXPIRY,
    Rule.GAP: LOSS,
    Rule.STATE: NEWCOMER,
    Rule.JOINED: NEWCOMER_WRITES,
    Rule.WELCOMED: NEWCOMER_AT_NEW_PRIMARY,
    Rule.EXPELLED: EVICTION,
    Rule.TERMINATED: EVICTION,
    Rule.EVICTED_GONE: EVICTION,
    Rule.EVICTED_NEED: EVICTION,
    Rule.EVICTED_BASE: EVICTION_CACHED,
    Rule.VIEW_LAST: EVICTION,
    Rule.EVICTED_GRANT: SURVIVOR_WRITES,
    Rule.EVICTED_KEPT: FORGOTTEN,
    Rule.EPOCH_MARK: FAILOVER_CACHED,
    Rule.EPOCH_BASE: FAILOVER_CACHED,
    Rule.EPOCH_NEED: FAILOVER,
    Rule.EPOCH_POSITION: FAILOVER,
}
"""For each rule, a scene in which it is all that stands between a client and a stale read."""

ORDINARY: Final[Mapping[str, Scene]] = {
    "expiry": Scene(BY_0, expiry=True, refused=True),
    "loss": LOSS,
    "broken": Scene(BY_0, broken=True, refused=True, restarts=True),
    "both write": Scene(BOTH),
    "lingering": Scene(TWICE, cache=False, lingering=True, broken=True, refused=True),
    "two tables": TWO_TABLES,
    "newcomer": Scene(BY_0, begins=OUTSIDE),
    "newcomer writes": NEWCOMER_WRITES,
    "eviction": EVICTION_CACHED,
    "survivor writes": SURVIVOR_WRITES,
    "failover": FAILOVER_CACHED,
    "forgotten": FORGOTTEN,
}
"""Explored to the end at every run of the tests."""

FULL: Final[Mapping[str, Scene]] = {
    "two reads at once": Scene(
        BY_0, reads_at_once=2, expiry=True, broken=True, refused=True, restarts=True
    ),
    "two tables": Scene(TABLE_EACH, read_sets=((0,), (1,), (0, 1)), broken=True),
    "lingering, expiry": Scene(TWICE, cache=False, expiry=True, lingering=True),
    "loss, expiry": Scene(BY_0, expiry=True, loss=True, broken=True, restarts=True),
    "member 1 writes and is evicted, returns": Scene(
        BY_1, expiry=True, broken=True, eviction=True, returning=True
    ),
    "member 0 writes, evicts, and is joined again": Scene(
        BY_0, expiry=True, broken=True, eviction=True, returning=True
    ),
    "member 1 lingers and is evicted": Scene(
        (Commit(1), Commit(1)), cache=False, expiry=True, lingering=True, eviction=True
    ),
    "newcomer, failover": Scene(BY_0, begins=OUTSIDE, failover=True),
    "lingering, failover": Scene(TWICE, cache=False, lingering=True, broken=True, failover=True),
    "failover, expiry": Scene(BY_0, expiry=True, failover=True),
    "failover, loss": Scene(BY_0, cache=False, loss=True, failover=True),
    "failover, loss, expiry": Scene(BY_0, cache=False, expiry=True, loss=True, failover=True),
    "failover, two commits": Scene(BOTH, failover=True),
    "eviction, failover": Scene(BY_1, cache=False, expiry=True, eviction=True, failover=True),
    "both write, expiry": Scene(BOTH, expiry=True),
    "newcomer, two commits, expiry": Scene(BOTH, begins=OUTSIDE, expiry=True),
    "both write, eviction, return, expiry": Scene(
        OTHER_FIRST, expiry=True, eviction=True, returning=True
    ),
    "eviction, return, loss, expiry": Scene(
        BY_1, expiry=True, loss=True, eviction=True, returning=True
    ),
    "both write, everything": Scene(
        BOTH,
        reads_at_once=2,
        expiry=True,
        loss=True,
        broken=True,
        refused=True,
        lingering=True,
        restarts=True,
        eviction=True,
        returning=True,
        failover=True,
    ),
}
"""Explored by `make model`; the last ones up to a cap."""
