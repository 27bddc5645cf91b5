"""Makes states that can't lead to different reads one state, so that fewer are left to explore.

Each of these drops what no rule would ever let count again. Where that rest on a rule, it is
not done while the rule does not hold.
"""

from __future__ import annotations

from typing import Final

from tests.model.ledger import version_of
from tests.model.rules import Rule
from tests.model.scene import Scene
from tests.model.states import Entry, Fleet, Phase, Read, Standing


def reduced(fleet: Fleet, scene: Scene) -> Fleet:
    """The one state that stands for all that are like this one."""
    if fleet.reads:
        reads = tuple([read for read in fleet.reads if _may_count(fleet, scene, read)])
        if len(reads) < len(fleet.reads):
            fleet = fleet._replace(reads=reads)
    if fleet.entries:
        entries = frozenset([entry for entry in fleet.entries if _may_be_hit(fleet, scene, entry)])
        if len(entries) < len(fleet.entries):
            fleet = fleet._replace(entries=entries)
    return fleet


def _may_count(fleet: Fleet, scene: Scene, read: Read) -> bool:
    """A version never comes back: an answer of an older one fails both of its tests."""
    if version_of(fleet.members[read.member], scene, read.read_set) == read.version:
        return True
    rule = Rule.LAST_BYTE if read.phase is Phase.PASSED_ON else Rule.FIRST_BYTE
    return not scene.holds(rule) or not scene.holds(Rule.VERSION)


def _may_be_hit(fleet: Fleet, scene: Scene, entry: Entry) -> bool:
    """Nor does anybody's: only who has not yet counted more may still come to an entry's.

    A newcomer will have counted as much as the others before it reads fast: by its STATE.
    """
    read_set, version, _ = entry
    learns = scene.holds(Rule.STATE) and scene.holds(Rule.GRANT)
    for member in fleet.members:
        if member.standing in _NEW and learns:
            continue
        if not version_of(member, scene, read_set) & ~version:
            return True
    return not scene.holds(Rule.VERSION)


_NEW: Final = frozenset({Standing.OUTSIDE, Standing.JOINING})
