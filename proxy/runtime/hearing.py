"""Who hears whom: found out before a member enters the view, and at each look at it afterwards.

Who enters without being heard has everybody read at the primary, for nothing: the others wait for
grants that never come, and give up one another in the end. So a newcomer calls first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from proxy.freshness.fleet import Fleet
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.earshot import Case, Earshot, Trouble
from proxy.runtime.evictions import ABSENT_AFTER, Evictions
from proxy.runtime.label import read_label
from proxy.topology.views import Row, Standing, View, ViewStore

CALL_FIRST: Final = 0.02
CALL_LAST: Final = 0.5
"""Seconds between two calls to who is there: doubling."""


async def find_others(
    store: ViewStore, carrier: Carrier, earshot: Earshot, clock: Callable[[], float]
) -> None:
    """Wait until all members that are well hear us and are heard, or are gone.

    One that stands still is not waited for: it holds up all others anyway, until it is given up.

    Args:
        store: Of the view.
        carrier: Of a member that is not in it yet.
        earshot: Is told who does not answer.
        clock: Seconds.
    """
    since: dict[str, float] = {}
    pause = CALL_FIRST
    while True:
        view = await store.read()
        now = clock()
        cases: dict[str, Case] = {}
        is_alone = True
        for row in view.rows.values():
            if _has_answers(row) and row.name not in carrier.answered:
                asked_ago = await store.silent_for(row.name)
                if asked_ago is not None and asked_ago < ABSENT_AFTER:
                    is_alone = False
                    seconds = now - since.setdefault(row.name, now)
                    if seconds >= ABSENT_AFTER:
                        cases[row.name] = Case(Trouble.UNHEARD, seconds, row.label)
        earshot.take(cases, view.rows)
        if is_alone:
            return
        carrier.call()
        await asyncio.sleep(pause)
        pause = min(2 * pause, CALL_LAST)


def _has_answers(row: Row) -> bool:
    """Whether a member answers calls: one of an older version does not."""
    return row.standing is Standing.IN and read_label(row.label) is not None


def find_troubles(fleet: Fleet, view: View, evictions: Evictions, now: float) -> Mapping[str, Case]:
    """Find out who is not heard, or does not hear us.

    Args:
        fleet: We are in it.
        view: As it was just read.
        evictions: Have just looked for the absent.
        now: The time, in seconds.
    """
    cases: dict[str, Case] = {}
    for name in fleet.members:
        if view.standing(name) is not Standing.IN:
            continue
        label = view.rows[name].label
        silence = evictions.silences.get(name)
        if silence is None:
            seconds = now - max(fleet.last_granted(name), evictions.met_at(name))
            if seconds >= ABSENT_AFTER:
                cases[name] = Case(Trouble.DEAF, seconds, label)
        elif silence.asked_ago is not None:  # else it will be given up
            trouble = Trouble.UNHEARD if silence.is_well else Trouble.STILL
            cases[name] = Case(trouble, silence.seconds, label)
    return cases
