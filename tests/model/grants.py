"""Grants: given, and counted down by two clocks that agree only on the order of the two ends.

The holder counts from its own request, the grantor from its later answer, plus drift: so the
holder's count ends first, at whatever time. A renewal while a grant is held would change
nothing that may happen, so grants are given to who holds none.
"""

from __future__ import annotations

from typing import Final

from tests.model.rules import Rule
from tests.model.scene import Scene, Steps
from tests.model.states import Fleet, Kind, Message, Standing, Stream


def grant_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that may happen to the grants of either member."""
    for grantor in (0, 1):
        yield from give(fleet, scene, grantor)
        if scene.expiry:
            yield from end_for_holder(fleet, scene, grantor)
            yield from end_for_grantor(fleet, scene, grantor)


def give(fleet: Fleet, scene: Scene, grantor: int) -> Steps:
    """A grant goes out in the ordered stream. One that is being evicted may not know it."""
    messages, gap = fleet.streams[grantor]
    if fleet.members[1 - grantor].holds or any(it.kind is Kind.GRANT for it in messages):
        return
    member = fleet.members[grantor]
    if fleet.members[1 - grantor].standing is not Standing.MEMBER:
        return
    if member.standing not in _HEARD:
        return
    grant = Message(Kind.GRANT, member.epoch)
    in_order = scene.holds(Rule.GRANT_IN_ORDER)
    stream = Stream((*messages, grant) if in_order else (grant, *messages), gap)
    given = fleet.with_member(grantor, member._replace(grants=True))
    yield f"member {grantor} sends a GRANT", given.with_stream(grantor, stream)


def end_for_holder(fleet: Fleet, scene: Scene, grantor: int) -> Steps:
    """The grant has run out by its holder's count."""
    holder = 1 - grantor
    member = fleet.members[holder]
    if member.holds:
        ended = fleet.with_member(holder, member._replace(holds=False))
        yield f"member {holder}'s grant runs out", ended


def end_for_grantor(fleet: Fleet, scene: Scene, grantor: int) -> Steps:
    """And by its grantor's; one that is still on its way is worth nothing when it comes."""
    member = fleet.members[grantor]
    if not member.grants:
        return
    if fleet.members[1 - grantor].holds and scene.holds(Rule.GRANTOR_LAST):
        return
    messages, gap = fleet.streams[grantor]
    left = tuple(it for it in messages if it.kind is not Kind.GRANT)
    ended = fleet.with_member(grantor, member._replace(grants=False))
    ended = ended.with_stream(grantor, Stream(left, gap))
    yield f"member {grantor} stops counting its grant", ended


_HEARD: Final = frozenset({Standing.MEMBER, Standing.FENCED})
