"""The rules of the fleet protocol. The model can do without each, to show what happens then.

They are those of docs/fleet.md, "The protocol". A model that finds nothing proves nothing until
it has been seen to find something: without any one of these it must find a stale read.
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class Rule(Enum):
    """One rule, and what holds by it."""

    # Commits.
    MARK = "a commit is announced to all before it is sent"
    ACKNOWLEDGED = "a COMMIT is not sent before everybody with a grant has acknowledged its mark"
    ANSWERED = "a mark is not cleared before the primary has answered the COMMIT"
    LOST_PENDS = "a commit whose connection broke stays pending: that is no proof of an abort"
    LOST_GONE = "a lost commit is settled only when its server process has been seen gone"
    LINGERING = "a lingering token is not cleared while a commit rides on it"

    # Reads.
    PENDING = "what a pending commit may change is not read fast"
    VERSION = "a result is good only for the version of its tables that it was read at"
    WHOLE_SET = "what is asked of a table is asked of every table of a read set"
    NEED = "a replica must have replayed what its tables' last commits need"
    POSITION = "a commit's position is read after its acknowledgement, so that it covers the commit"
    INCARNATION = "a replica's position is believed only until the replica restarts"
    FIRST_BYTE = "a replica's answer is validated when its first byte is there"
    LAST_BYTE = "a result is validated again at its last byte, before it is stored"

    # Grants and streams.
    GRANT = "a fast read needs a valid grant from every other member of the view"
    GRANTOR_LAST = "a grant ends for its holder first, and for its grantor later"
    GRANT_IN_ORDER = "a grant travels behind the marks and clears that were sent before it"
    GAP = "a gap in a stream voids the grants that came over it"
    STATE = "a stream begins with its sender's state, before any grant"

    # Views.
    JOINED = "a newcomer writes only when every member has begun to require its grants"
    WELCOMED = "nor does it answer anything before that, not even from the primary"
    EXPELLED = "every new server connection asks first whether its member still is one"
    TERMINATED = "an evicted member's server connections are terminated"
    EVICTED_GONE = "an eviction goes on only when the server processes have been seen gone"
    EVICTED_NEED = "an eviction raises every need to the position after the last process"
    EVICTED_BASE = "an eviction changes every version: what was cached in the old view is void"
    VIEW_LAST = "an evicted member's grants are required until all else is done"
    EVICTED_GRANT = "a grant that an evicted member may hold is waited for until it runs out"
    EVICTED_KEPT = "an eviction counts only when no server that may become primary can lack its row"

    # Epochs.
    EPOCH_MARK = "a new epoch is marked and acknowledged before the first statement on its primary"
    EPOCH_BASE = "a new epoch changes every version"
    EPOCH_NEED = "a new epoch sets every need to the new primary's position"
    EPOCH_POSITION = "positions of different epochs do not compare"
