"""Who belongs to the fleet: joining, and the eviction of a member that is dead or only cut off.

The view is kept in the primary, which every write must reach anyway. Member 0 does what is
done to member 1.
"""

from __future__ import annotations

from tests.model.commits import UNDER_WAY
from tests.model.ledger import can_reach_primary
from tests.model.rules import Rule
from tests.model.scene import Scene, Steps, newcomer
from tests.model.states import EVICTION, Fleet, Stage, Standing, Stream, Write
from tests.model.streams import opening


def view_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that may happen to the view, by statements on the primary that there is now."""
    standing = fleet.members[1].standing
    if standing is Standing.OUTSIDE:
        yield enter(fleet, scene)
    elif not can_reach_primary(fleet, 0):
        return
    elif standing is Standing.JOINING:
        yield welcome(fleet, scene)
    elif standing is Standing.MEMBER and scene.eviction and not _was_evicted(fleet):
        yield fence(fleet, scene)
    elif standing is Standing.FENCED:
        yield from exclude(fleet, scene)
    elif standing is Standing.EVICTED and scene.returning:
        yield come_back(fleet, scene)


def enter(fleet: Fleet, scene: Scene) -> tuple[str, Fleet]:
    """A newcomer writes its row. It requires everybody's grants from the beginning."""
    entered = newcomer(scene, Standing.JOINING)._replace(epoch=fleet.epoch)
    return "member 1 enters its row", fleet.with_member(1, entered)


def welcome(fleet: Fleet, scene: Scene) -> tuple[str, Fleet]:
    """The other begins to require the newcomer's grants, and says so; streams are opened."""
    first, second = fleet.members
    members = (
        first._replace(requires=True, holds=False),
        second._replace(standing=Standing.MEMBER),
    )
    welcomed = fleet._replace(members=members)
    streams = (opening(welcomed, scene, 0), opening(welcomed, scene, 1))
    return "member 0 requires member 1's grants", welcomed._replace(streams=streams)


def fence(fleet: Fleet, scene: Scene) -> tuple[str, Fleet]:
    """The row says evicted, then the server connections are terminated: no commit can be begun."""
    first, second = fleet.members
    if not scene.holds(Rule.VIEW_LAST):
        first = first._replace(requires=False)
    fenced = fleet._replace(members=(first, second._replace(standing=Standing.FENCED)))
    return "member 0 fences member 1 at the primary", fenced


def exclude(fleet: Fleet, scene: Scene) -> Steps:
    """Processes gone, position read: the other goes on without what the evicted had pending."""
    under_way = any(
        write.stage in UNDER_WAY and commit.owner == 1
        for write, commit in zip(fleet.writes, scene.commits, strict=True)
    )
    if under_way and scene.holds(Rule.EVICTED_GONE):
        return
    first, second = fleet.members
    need = tuple(max(old, len(fleet.log)) for old in first.need)
    first = first._replace(
        pending=first.pending & ~scene.own[1],
        version=first.version | (EVICTION if scene.holds(Rule.EVICTED_BASE) else 0),
        need=need if scene.holds(Rule.EVICTED_NEED) else first.need,
        requires=False,
        holds=False,
        grants=first.grants and scene.holds(Rule.EVICTED_GRANT),
    )
    excluded = fleet._replace(
        members=(first, second._replace(standing=Standing.EVICTED)),
        streams=(fleet.streams[0], Stream()),
    )
    yield "member 0 goes on in a view without member 1", excluded


def come_back(fleet: Fleet, scene: Scene) -> tuple[str, Fleet]:
    """The evicted process ends, and another one begins in its place, knowing nothing."""
    writes = tuple(
        _orphaned(write) if commit.owner == 1 else write
        for write, commit in zip(fleet.writes, scene.commits, strict=True)
    )
    begun = fleet._replace(
        writes=writes,
        members=(fleet.members[0], newcomer(scene, Standing.OUTSIDE)),
        streams=(Stream(), Stream()),
        reads=tuple(read for read in fleet.reads if read.member == 0),
    )
    return "member 1 ends, and begins as somebody else", begun


def _orphaned(write: Write) -> Write:
    """A commit of a process that has ended: nobody will ever be told of it."""
    if write.stage is Stage.IDLE or write.stage is Stage.DONE:
        return write
    return Write(Stage.DONE if write.stage is Stage.VISIBLE else Stage.ABORTED)


def _was_evicted(fleet: Fleet) -> bool:
    return bool(fleet.members[0].version & EVICTION)
