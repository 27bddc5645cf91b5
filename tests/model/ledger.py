"""The test that decides: what one member, asked about a read set, may say from its memory.

docs/freshness.md, "The test". All that is served without asking the primary passes here.
"""

from __future__ import annotations

from typing import Final

from tests.model.rules import Rule
from tests.model.scene import Scene
from tests.model.states import Fleet, Member, Standing

CONNECTED: Final = frozenset({Standing.JOINING, Standing.MEMBER, Standing.FORGOTTEN})
"""Whose server connections are let in by the primary that there is now."""


def version_of(member: Member, scene: Scene, read_set: int) -> int:
    """The version of a read set, as a member knows it."""
    return member.version & scene.asked[read_set]


def need_of(member: Member, scene: Scene, read_set: int) -> int:
    """What a replica must have replayed to serve a read set."""
    return max(member.need[table] for table in scene.needed[read_set])


def fast_ok(fleet: Fleet, scene: Scene, number: int, read_set: int, version: int) -> bool:
    """Tell whether what was read at a version is what the primary would answer now."""
    member = fleet.members[number]
    if member.requires and not member.holds and scene.holds(Rule.GRANT):
        return False
    if member.pending & scene.asked[read_set] and scene.holds(Rule.PENDING):
        return False
    return version == version_of(member, scene, read_set) or not scene.holds(Rule.VERSION)


def can_reach_primary(fleet: Fleet, number: int) -> bool:
    """Tell whether a member's statements are executed by the primary that there is now."""
    member = fleet.members[number]
    return member.standing in CONNECTED and member.epoch == fleet.epoch


def may_answer(fleet: Fleet, scene: Scene, number: int) -> bool:
    """Tell whether clients are answered by a process at all. One that was evicted may not know."""
    standing = fleet.members[number].standing
    if standing is Standing.JOINING:
        return not scene.holds(Rule.WELCOMED)
    return standing is not Standing.OUTSIDE
