"""A new primary, or one that restarted after a crash: its history may lack the last commits.

docs/freshness.md, "Servers that restart". The old primary is gone: that it acknowledges and
answers nothing any more is what databases' own fencing must see to.
"""

from __future__ import annotations

from tests.model.commits import tell
from tests.model.ledger import CONNECTED, may_answer
from tests.model.rules import Rule
from tests.model.scene import Scene, Steps
from tests.model.states import ALL, EPOCH, Fleet, Kind, Stage, Standing, Write


def epoch_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that may happen when a history ends."""
    if not scene.failover:
        return
    if fleet.epoch == 0:
        yield from fail_over(fleet, scene)
        return
    for number in (0, 1):
        yield from notice(fleet, scene, number)
        yield from begin(fleet, scene, number)


def fail_over(fleet: Fleet, scene: Scene) -> Steps:
    """A primary with a beginning of the log takes over; all server connections break."""
    for length in range(len(fleet.log) + 1):
        kept = fleet.log[:length]
        writes = tuple(
            _survivor(write, number in kept) for number, write in enumerate(fleet.writes)
        )
        visible = sum(1 << number for number in kept)
        begun = fleet._replace(writes=writes, log=kept, visible=visible, epoch=1)
        yield f"a new primary takes over with {list(kept)}", begun
        yield from lose_row(begun, scene)


def lose_row(fleet: Fleet, scene: Scene) -> Steps:
    """What the new primary lacks may be the row that says that member 1 is evicted."""
    member = fleet.members[1]
    what = "a new primary takes over, where member 1 still is a member"
    if member.standing is Standing.FENCED:
        yield what, fleet.with_member(1, member._replace(standing=Standing.MEMBER))
    elif member.standing is Standing.EVICTED and not scene.holds(Rule.EVICTED_KEPT):
        yield what, fleet.with_member(1, member._replace(standing=Standing.FORGOTTEN))


def notice(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """A member sees the new primary: every table is pending, and the other is told."""
    member = fleet.members[number]
    if not _is_late(fleet, scene, number) or member.pending & ALL:
        return
    noticed = fleet.with_member(number, member._replace(pending=member.pending | ALL))
    if scene.holds(Rule.EPOCH_MARK):
        noticed = tell(noticed, number, Kind.EPOCH_MARK, epoch=fleet.epoch)
    yield f"member {number} notices the new primary", noticed


def begin(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """Nobody reads fast any more who does not know: the first statement may be sent."""
    member = fleet.members[number]
    if not _is_late(fleet, scene, number) or not member.pending & ALL:
        return
    waits = member.grants and not member.epoch_acknowledged
    if waits and scene.holds(Rule.EPOCH_MARK):
        return
    need = (len(fleet.log) if scene.holds(Rule.EPOCH_NEED) else 0,) * scene.tables
    begun = adopt(fleet, scene, number, need)
    begun = tell(begun, number, Kind.EPOCH_CLEAR, version=EPOCH, need=need)
    yield f"member {number} begins the new epoch", begun


def adopt(
    fleet: Fleet,
    scene: Scene,
    number: int,
    need: tuple[int, ...],
    version: int = EPOCH,
    pending: int = 0,
) -> Fleet:
    """A member is in the new epoch: nothing pending, cached or positioned before counts."""
    member = fleet.members[number]
    if not scene.holds(Rule.EPOCH_BASE):
        version = member.version | version & ~EPOCH
    begun = member._replace(pending=pending, version=version, need=need, epoch=fleet.epoch)
    begun = begun._replace(lingering=0, untold=0, epoch_acknowledged=False)
    return fleet.with_member(number, begun)


def _is_late(fleet: Fleet, scene: Scene, number: int) -> bool:
    """Tell whether a member is connected to the new primary, and in the epoch of the old one."""
    member = fleet.members[number]
    is_old = member.epoch < fleet.epoch and member.standing in CONNECTED
    return is_old and may_answer(fleet, scene, number)


def _survivor(write: Write, is_kept: bool) -> Write:
    """What a commit is in the new history; whose client was not told yet never will be."""
    if write.stage is Stage.IDLE:
        return write
    return Write(Stage.DONE if is_kept else Stage.ABORTED, riding=write.riding)
