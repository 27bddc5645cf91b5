"""The replica: it lags, it may be ahead of what the primary shows, and it may go backwards."""

from __future__ import annotations

from tests.model.rules import Rule
from tests.model.scene import Scene, Steps
from tests.model.states import Fleet, Replica


def replica_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that may happen to the replica."""
    replica = fleet.replica
    shown = len(replica.log)
    if replica.epoch != fleet.epoch:
        yield from follow(fleet, scene)
    elif shown < len(fleet.log):
        log = fleet.log[: shown + 1]
        believed = max(replica.believed, len(log))
        number = fleet.log[shown]
        yield (
            f"the replica replays {number}",
            fleet._replace(replica=Replica(log, believed, replica.epoch)),
        )
    if scene.restarts:
        yield from restart(fleet, scene)


def restart(fleet: Fleet, scene: Scene) -> Steps:
    """The replica restarts after a crash, further back than it was, as PostgreSQL's do.

    What was believed of it was read on connections that this has broken.
    """
    replica = fleet.replica
    for length in range(len(replica.log)):
        believed = length if scene.holds(Rule.INCARNATION) else replica.believed
        back = Replica(replica.log[:length], believed, replica.epoch)
        yield f"the replica restarts at {length}", fleet._replace(replica=back)


def follow(fleet: Fleet, scene: Scene) -> Steps:
    """The replica goes over to the new primary, without what only the old one's log had."""
    shared = 0
    for ours, theirs in zip(fleet.replica.log, fleet.log, strict=False):
        if ours != theirs:
            break
        shared += 1
    following = Replica(fleet.log[:shared], shared, fleet.epoch)
    yield "the replica follows the new primary", fleet._replace(replica=following)
