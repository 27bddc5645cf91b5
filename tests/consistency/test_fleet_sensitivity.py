"""The judge of fleets can fail: with any one rule left out it finds something.

Two are tried each time; `make soak` tries what is shown quickly on real servers (docs/fleet.md,
"How it is checked", says which).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from tests.consistency.doors import Asyncpg
from tests.consistency.faults import Fault, Planned
from tests.consistency.fleet import BUS, fleet, link_names
from tests.consistency.proxied import Place
from tests.consistency.run import commit_with
from tests.consistency.situations import TOO_OLD
from tests.consistency.test_fleet_runs import IS_SOAK
from tests.consistency.test_runs import SEED
from tests.integration.redis_under_test import Redis

ROUNDS: Final = 5
SECONDS: Final = 6.0
WRITERS_LINK: Final = link_names()[-1]


def again(fault: Fault, who: str, lasts: float, peace: float) -> list[Planned]:
    """Have the same happen over and over, for as long as clients work."""
    times = (0.5 + at * (lasts + peace) for at in range(20))
    return [Planned(at, lasts, who, fault) for at in times if at + lasts < SECONDS]


SHORT: Final = again(Fault.PAUSE, BUS, 0.6, 0.4)
LONG: Final = [Planned(0.5, 3.5, BUS, Fault.PAUSE)]
"""Longer than a lease: who waits for an acknowledgement has given up by then."""

LAGS: Final = again(Fault.LAG, "replica2", 0.3, 0.4)
STALLED: Final = [Planned(1.0, 4.5, "replica2", Fault.LAG)]
CUT_OFF: Final = [Planned(0.3, 3.2, WRITERS_LINK, Fault.CUT)]
"""What the member that writes says meanwhile is lost; the others' own ways are well."""

FAR_OFF: Final = [Planned(3.0, 2.5, name, Fault.SLOW) for name in link_names()[:-1]]
"""What is asked anew of the member that writes takes its time."""

LAST_WRITES: Final = 3.3
"""Seconds after which nothing is written: else the next commit tells what was missed."""

SLOW_READS: Final = {
    "topics": ("warm", "parted"),
    "slowness": 100.0,
    "doors": (Asyncpg.way,),
}
"""Commits are acknowledged while reads run."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is left out, and when that is missed.

    Attributes:
        switches: Of `tests.consistency.serve`.
        plans: What happens in each round.
        ahead: Whether commits wait, unseen, until all replicas show them.
        one_writes: Whether only the last member's clients write.
        load: What is not to be as in `Load`.
    """

    switches: tuple[str, ...]
    plans: tuple[list[Planned], ...]
    ahead: bool = False
    one_writes: bool = False
    load: Mapping[str, Any] = field(default_factory=dict)


def unheard(kind: str, *plans: list[Planned]) -> Case:
    """Leave a rule out that matters where it was not heard what a member has written."""
    load = {"topics": ("warm", "cold", "transfer"), "writes_end": LAST_WRITES}
    return Case(("--fleet", kind), (CUT_OFF, STALLED, *plans), one_writes=True, load=load)


ALWAYS: Final = {
    "ACKNOWLEDGED": Case(("--impatient",), (SHORT,)),
    "GRANT": Case(("--fleet", "ungranted"), (LONG,)),
}
IN_SOAK: Final = {
    "MARK": Case(("--without", "mark"), (LAGS,), ahead=True),
    "PENDING": Case(("--without", "pending"), (LAGS,), ahead=True),
    "VERSION": Case(("--without", "version"), (LAGS,)),
    "NEED": Case(("--without", "need"), (LAGS,)),
    "LAST_BYTE": Case(("--without", "fill"), (), load=SLOW_READS),
    "GAP": unheard("gapless"),
    "GRANT_IN_ORDER": unheard("disorderly", *([it] for it in FAR_OFF)),
    "STATE": unheard("stateless"),
}
CASES: Final = ALWAYS | IN_SOAK if IS_SOAK else ALWAYS


@pytest.mark.parametrize("rule", CASES)
def test_missing_rule_is_found(place: Place, redis: Redis, rule: str) -> None:
    case = CASES[rule]
    cluster = place.cluster
    with ExitStack() as stack:
        under_test = stack.enter_context(
            # Else what was missed would be found out within a second, as foreign writes are.
            fleet(place, redis, switches=case.switches, out_of_band="none")
        )
        if case.one_writes:
            ground = replace(under_test.ground, write_dsns=under_test.ground.write_dsns[-1:])
            under_test = replace(under_test, ground=ground)
        if case.ahead:
            names = ", ".join(it.name for it in cluster.replicas)
            stack.callback(commit_with, cluster.primary, "on")
            commit_with(cluster.primary, "remote_apply", f"FIRST {len(cluster.replicas)} ({names})")
        for number in range(ROUNDS):
            verdict = under_test.run(SECONDS, case.plans, seed=SEED + number, **case.load)
            if verdict.anomalies:
                break
    print(f"round {number + 1} of {ROUNDS}\n{verdict.report()}")
    assert verdict.kinds & TOO_OLD, verdict.report()
