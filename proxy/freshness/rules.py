"""The rules of freshness, each with a switch that only tests may turn.

A checker that finds nothing proves nothing until it has been seen to find something:
with any one of these rules off it must find the anomaly that the rule is there for.
What each is for is derived in docs/freshness.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Which rules hold. In production all of them, always.

    Attributes:
        mark: A token is pending from before its COMMIT is sent.
        pending: A table with a pending token is not served fast.
        version: A result belongs to the versions its tables had when it was asked for.
        need: A replica must have replayed what its tables' last commits wrote.
        validation: A replica's answer is validated when its first byte is there.
        fill: A result is validated again at its last byte, and stored under the version it
            was asked for at, not the one of that moment.
        snapshot: What a transaction of one snapshot has read must not have been written since.
    """

    mark: bool = True
    pending: bool = True
    version: bool = True
    need: bool = True
    validation: bool = True
    fill: bool = True
    snapshot: bool = True
