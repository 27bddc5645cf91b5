"""What becomes of a commit: docs/freshness.md, "What a write does", steps 2 to 4.

Each function yields what may happen next to one commit; there are no hidden steps between.
"""

from __future__ import annotations

from typing import Final

from tests.model.ledger import CONNECTED, can_reach_primary
from tests.model.rules import Rule
from tests.model.scene import Scene, Steps, higher
from tests.model.states import Fleet, Kind, Message, Stage, Standing, Write


def commit_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that may happen to any commit, at its owner and at the primary."""
    for number, write in enumerate(fleet.writes):
        for steps in _BY_STAGE[write.stage]:
            yield from steps(fleet, scene, number)


def mark(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The owner announces the commit, to itself and to the other."""
    owner = scene.commits[number].owner
    if not may_write(fleet, scene, owner) or not is_next(fleet, scene, number):
        return
    if not scene.holds(Rule.MARK):
        yield f"member {owner} is about to commit {number}", _at(fleet, number, Stage.MARKED)
        return
    member = fleet.members[owner]
    token = 1 << number
    marked = _at(fleet, number, Stage.MARKED)
    marked = marked.with_member(owner, member._replace(pending=member.pending | token))
    yield f"member {owner} marks {number}", tell(marked, owner, Kind.MARK, tokens=token)


def ride(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """A commit goes out under a token that lingers: without a message, without a wait."""
    owner, tables = scene.commits[number].owner, scene.commits[number].tables
    member = fleet.members[owner]
    lingers = set(tables) <= set(scene.written(member.lingering))
    if lingers and can_reach_primary(fleet, owner):
        riding = Write(Stage.SENT, riding=True)
        sent = fleet.in_its_history().with_write(number, riding)
        sent = sent.with_member(owner, member._replace(pending=member.pending | 1 << number))
        yield f"member {owner} sends COMMIT {number} on the token", sent


def send(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The COMMIT is sent, once nobody who may read fast is left who does not know of it."""
    owner = scene.commits[number].owner
    write = fleet.writes[number]
    waits = fleet.members[owner].grants and not write.acknowledged
    if waits and scene.holds(Rule.ACKNOWLEDGED) and scene.holds(Rule.MARK):
        return
    way = _connection(fleet, scene, owner)
    if way is not None:
        sent = _at(fleet.in_its_history(), number, Stage.SENT)
        yield f"member {owner} sends COMMIT {number}{way}", sent


def log(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The primary writes the commit to its log. Replicas may now be ahead of it."""
    logged = _at(fleet, number, Stage.LOGGED)
    yield f"the primary logs {number}", logged._replace(log=(*fleet.log, number))


def show(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The commit becomes visible on the primary, in whatever order."""
    shown = _at(fleet, number, Stage.VISIBLE)
    yield f"the primary shows {number}", shown._replace(visible=fleet.visible | 1 << number)


def refuse(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The primary undoes the commit, and says so: what was cached is good again."""
    write = fleet.writes[number]
    if scene.refused and not write.lost:
        refused = _at(fleet, number, Stage.ABORTED)
        refused = _settled_as_undone(refused, scene.commits[number].owner, number)
        yield f"the primary rolls {number} back", refused


def settle_early(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """Without the rule, a mark is cleared while the primary has yet to answer."""
    write = fleet.writes[number]
    if scene.holds(Rule.ANSWERED) or write.riding or write.lost:
        return
    owner = scene.commits[number].owner
    if fleet.members[owner].pending & 1 << number:
        yield f"member {owner} clears {number} early", _settled(fleet, scene, owner, number)


def acknowledge(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The owner hears of its commit, counts it, tells the other, and then its client.

    Its own position is the lowest that covers it: a higher one only keeps replicas away.
    """
    write = fleet.writes[number]
    owner = scene.commits[number].owner
    if write.lost or fleet.members[owner].standing is Standing.OUTSIDE:
        return
    told = fleet._replace(known=fleet.known | 1 << number)
    if fleet.members[owner].pending & 1 << number or not scene.holds(Rule.MARK):
        done = _settled(_at(told, number, Stage.DONE), scene, owner, number)
    else:
        done = _at(told, number, Stage.DONE)
    yield f"member {owner} counts {number} and acknowledges it", done
    if scene.lingering and not write.riding:
        lingers = _settled(_at(told, number, Stage.DONE), scene, owner, number, lingers=True)
        yield f"member {owner} acknowledges {number}, and its token lingers", lingers


def stop_lingering(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The token is cleared, for all who rode on it, with a position that covers them."""
    owner = scene.commits[number].owner
    member = fleet.members[owner]
    if not member.lingering >> number & 1:
        return
    if scene.holds(Rule.LINGERING) and _has_riders(fleet, scene, owner):
        return
    position = max(member.need)
    tokens = member.untold
    stopped = member._replace(lingering=member.lingering & ~(1 << number), untold=0)
    cleared = fleet.with_member(owner, stopped)
    cleared = tell(cleared, owner, Kind.CLEAR, tokens=tokens, need=(position,))
    yield f"member {owner} clears the token of {number}", cleared


def lose_connection(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """The owner's connection breaks: the commit may have happened, or happen yet."""
    write = fleet.writes[number]
    if not scene.broken or write.lost:
        return
    owner = scene.commits[number].owner
    lost = fleet.with_write(number, write._replace(lost=True))
    what = f"the connection under {number} breaks"
    if scene.holds(Rule.LOST_PENDS):
        yield what, lost
    else:
        yield f"{what}, and it counts as undone", _settled_as_undone(lost, owner, number)


def end(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """A server process is terminated before its commit was logged. Later it can't be stopped."""
    owner = scene.commits[number].owner
    terminated = fleet.writes[number].lost and can_reach_primary(fleet, owner)
    evicted = fleet.members[owner].standing in _FENCED and scene.holds(Rule.TERMINATED)
    if terminated or evicted:
        ended = fleet.with_write(number, Write(Stage.ABORTED, lost=True))
        yield f"the server process of {number} is ended", ended


def resolve(fleet: Fleet, scene: Scene, number: int) -> Steps:
    """A lost commit is settled: its process is gone, the position is read, it counts as done."""
    write = fleet.writes[number]
    owner = scene.commits[number].owner
    member = fleet.members[owner]
    if not write.lost or not member.pending & 1 << number or not can_reach_primary(fleet, owner):
        return
    if write.stage in UNDER_WAY and scene.holds(Rule.LOST_GONE):
        return
    settled = _settled(fleet, scene, owner, number, len(fleet.log))
    if write.stage is Stage.VISIBLE:
        settled = _at(settled, number, Stage.DONE)
    yield f"member {owner} clears the lost {number}", settled


def may_write(fleet: Fleet, scene: Scene, owner: int) -> bool:
    """Tell whether a member may announce a commit. One that was evicted may not know."""
    member = fleet.members[owner]
    if member.epoch != fleet.epoch or member.standing is Standing.OUTSIDE:
        return False
    return member.standing is not Standing.JOINING or not scene.holds(Rule.JOINED)


def is_next(fleet: Fleet, scene: Scene, number: int) -> bool:
    """Of commits that are alike, the first one goes first: the others would say the same."""
    commit = scene.commits[number]
    return all(
        fleet.writes[other].stage is not Stage.IDLE
        for other in range(number)
        if scene.commits[other] == commit
    )


def tell(
    fleet: Fleet,
    sender: int,
    kind: Kind,
    *,
    tokens: int = 0,
    version: int = 0,
    need: tuple[int, ...] = (),
    epoch: int | None = None,
) -> Fleet:
    """Send a message, about the sender's epoch or another, if there is somebody to hear it."""
    if fleet.members[1 - sender].standing in _DEAF or fleet.members[sender].standing in _DEAF:
        return fleet
    if epoch is None:
        epoch = fleet.members[sender].epoch
    return fleet.sent(sender, Message(kind, epoch, tokens, version, need))


def _at(fleet: Fleet, number: int, stage: Stage) -> Fleet:
    """A commit has come further. Who knows its mark matters only until it is sent."""
    write = fleet.writes[number]
    is_lost = write.lost and stage in _LOSABLE
    return fleet.with_write(number, Write(stage, lost=is_lost, riding=write.riding))


def _has_riders(fleet: Fleet, scene: Scene, owner: int) -> bool:
    """Tell whether commits that ride on an owner's tokens may still change what is seen."""
    pending = fleet.members[owner].pending & scene.own[owner]
    return any(it.riding and pending >> number & 1 for number, it in enumerate(fleet.writes))


def _connection(fleet: Fleet, scene: Scene, owner: int) -> str | None:
    """Over which connection a COMMIT can reach the primary; None: there is none."""
    if can_reach_primary(fleet, owner):
        return ""
    if fleet.members[owner].standing in CONNECTED:
        return None
    if not scene.holds(Rule.TERMINATED):
        return " over a connection that it still has"
    if not scene.holds(Rule.EXPELLED):
        return " over a new connection"
    return None


def _settled(
    fleet: Fleet,
    scene: Scene,
    owner: int,
    number: int,
    position: int | None = None,
    *,
    lingers: bool = False,
) -> Fleet:
    """Count a commit as done at its owner, and tell the other, unless the token is to linger."""
    if position is None:
        position = fleet.log.index(number) + scene.holds(Rule.POSITION)
    token = 1 << number
    member = fleet.members[owner]
    need = higher(member.need, scene.commits[number].tables, position)
    settled = member._replace(
        pending=member.pending & ~token, version=member.version | token, need=need
    )
    if lingers or fleet.writes[number].riding:
        settled = settled._replace(
            lingering=member.lingering | (token if lingers else 0), untold=member.untold | token
        )
        return fleet.with_member(owner, settled)
    return tell(
        fleet.with_member(owner, settled), owner, Kind.CLEAR, tokens=token, need=(position,)
    )


def _settled_as_undone(fleet: Fleet, owner: int, number: int) -> Fleet:
    token = 1 << number
    member = fleet.members[owner]
    settled = fleet.with_member(owner, member._replace(pending=member.pending & ~token))
    if fleet.writes[number].riding:
        return settled
    return tell(settled, owner, Kind.ROLLED_BACK, tokens=token)


UNDER_WAY: Final = frozenset({Stage.SENT, Stage.LOGGED})
"""While a server process may still change what the primary shows."""

_LOSABLE: Final = UNDER_WAY | {Stage.VISIBLE}

_FENCED: Final = frozenset({Standing.FENCED, Standing.EVICTED})

_DEAF: Final = frozenset({Standing.OUTSIDE, Standing.JOINING, Standing.EVICTED, Standing.FORGOTTEN})
"""Whoever is so hears nothing, and is heard by nobody."""

_BY_STAGE: Final = {
    Stage.IDLE: (mark, ride),
    Stage.MARKED: (send,),
    Stage.SENT: (log, refuse, lose_connection, end, resolve),
    Stage.LOGGED: (show, settle_early, lose_connection, resolve),
    Stage.VISIBLE: (acknowledge, lose_connection, resolve),
    Stage.DONE: (stop_lingering,),
    Stage.ABORTED: (resolve,),
}
