"""What a strong read does: docs/freshness.md, "What a read does".

Some steps are one here, because another order shows nothing more:

- A read at the primary begins, takes its snapshot and returns at once. An earlier beginning
  asks for less of its answer; a later return tells later readers less.
- A hit takes no time, for the same reason.
- A replica's position is looked at when the snapshot is taken. Before that it was lower, unless
  the replica has restarted.
- An answer that fails its test at the first byte is forgotten: asking the primary instead is a
  read that begins later, so that more is asked of it.
"""

from __future__ import annotations

from typing import Final

from tests.model.ledger import can_reach_primary, fast_ok, may_answer, need_of, version_of
from tests.model.rules import Rule
from tests.model.scene import Scene, Steps
from tests.model.states import Entry, Fleet, Phase, Read


def read_steps(fleet: Fleet, scene: Scene) -> Steps:
    """All that reads may do: begin, get on, end."""
    for number in (0, 1):
        if not may_answer(fleet, scene, number):
            continue
        for read_set in range(len(scene.read_sets)):
            yield from hit(fleet, scene, number, read_set)
            if len(fleet.reads) < scene.reads_at_once:
                yield from ask_primary(fleet, scene, number, read_set)
                yield from ask_replica(fleet, scene, number, read_set)
    for read in fleet.reads:
        yield from _BY_PHASE[read.phase](fleet, scene, read)


def hit(fleet: Fleet, scene: Scene, number: int, read_set: int) -> Steps:
    """A stored result is found, in whichever level, and is good by its version."""
    for entry in fleet.entries:
        if entry.read_set != read_set:
            continue
        if fast_ok(fleet, scene, number, read_set, entry.version):
            what = f"a read at member {number} hits {_named(entry.content)}"
            too_old = is_too_old(fleet, scene, read_set, entry.content)
            yield what, _returned(fleet, entry.content, too_old)


def ask_primary(fleet: Fleet, scene: Scene, number: int, read_set: int) -> Steps:
    """The primary answers, and the answer goes on to the client as it comes."""
    if not can_reach_primary(fleet, number):
        return
    fleet = fleet.in_its_history()
    content = fleet.visible & scene.shown[read_set]
    returned = _returned(fleet, content, is_too_old(fleet, scene, read_set, content))
    if scene.cache:
        version = version_of(fleet.members[number], scene, read_set)
        read = Read(number, read_set, Phase.PASSED_ON, version, content=content)
        returned = _with_read(returned, read)
    yield f"a read at member {number} gets {_named(content)} from the primary", returned


def ask_replica(fleet: Fleet, scene: Scene, number: int, read_set: int) -> Steps:
    """A read is sent to the replica, if all is well with its tables by now."""
    version = version_of(fleet.members[number], scene, read_set)
    if fast_ok(fleet, scene, number, read_set, version):
        if fleet.members[number].epoch == fleet.epoch:
            fleet = fleet.in_its_history()
        floor = fleet.known & scene.shown[read_set]
        asked = _with_read(fleet, Read(number, read_set, Phase.ASKED, version, floor))
        yield f"a read at member {number} asks the replica", asked


def replica_answers(fleet: Fleet, scene: Scene, read: Read) -> Steps:
    """The replica executes it, if it is known to have what the tables need."""
    replica, member = fleet.replica, fleet.members[read.member]
    if replica.epoch != member.epoch and scene.holds(Rule.EPOCH_POSITION):
        return
    if replica.believed < need_of(member, scene, read.read_set) and scene.holds(Rule.NEED):
        return
    content = _commits_of(replica.log) & scene.shown[read.read_set]
    too_old = bool(read.floor & ~content)
    answered = Read(
        read.member, read.read_set, Phase.ANSWERED, read.version, content=content, too_old=too_old
    )
    what = f"the replica answers it with {_named(content)}"
    yield what, _with_read(_without_read(fleet, read), answered)


def first_byte(fleet: Fleet, scene: Scene, read: Read) -> Steps:
    """A replica's answer is there: it is good, or it is thrown away."""
    left = _without_read(fleet, read)
    good = fast_ok(fleet, scene, read.member, read.read_set, read.version)
    if not good and scene.holds(Rule.FIRST_BYTE):
        yield f"member {read.member} throws {_named(read.content)} away", left
        return
    returned = _returned(left, read.content, read.too_old)
    if scene.cache:
        passed_on = read._replace(phase=Phase.PASSED_ON, too_old=False)
        returned = _with_read(returned, passed_on)
    yield f"the read at member {read.member} returns {_named(read.content)}", returned


def last_byte(fleet: Fleet, scene: Scene, read: Read) -> Steps:
    """The answer is complete: it is stored, if it is still what the primary would say."""
    left = _without_read(fleet, read)
    version = read.version
    if not fast_ok(fleet, scene, read.member, read.read_set, version):
        if scene.holds(Rule.LAST_BYTE):
            yield f"member {read.member} does not store its result", left
            return
        version = version_of(fleet.members[read.member], scene, read.read_set)
    entry = Entry(read.read_set, version, read.content)
    stored = left._replace(entries=left.entries | {entry})
    yield f"member {read.member} stores {_named(read.content)}", stored


def is_too_old(fleet: Fleet, scene: Scene, read_set: int, content: int) -> bool:
    """The invariant: a result has all that was known before its read began."""
    return bool(fleet.known & scene.shown[read_set] & ~content)


def _returned(fleet: Fleet, content: int, too_old: bool) -> Fleet:
    return fleet._replace(known=fleet.known | content, stale=fleet.stale or too_old)


def _with_read(fleet: Fleet, read: Read) -> Fleet:
    return fleet._replace(reads=tuple(sorted((*fleet.reads, read))))


def _without_read(fleet: Fleet, read: Read) -> Fleet:
    reads = list(fleet.reads)
    reads.remove(read)
    return fleet._replace(reads=tuple(reads))


def _commits_of(log: tuple[int, ...]) -> int:
    return sum(1 << number for number in log)


def _named(content: int) -> str:
    """Name the commits of a set."""
    return str([number for number in range(content.bit_length()) if content >> number & 1])


_BY_PHASE: Final = {
    Phase.ASKED: replica_answers,
    Phase.ANSWERED: first_byte,
    Phase.PASSED_ON: last_byte,
}
