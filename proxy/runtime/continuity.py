"""Whether the view that is read is still the one that a member is in. Pure.

Rows of the view go when an epoch begins, and epochs and the salt only ever follow one another. What
else happens to it was done by somebody's hand: the schema was dropped, a table was emptied, a dump
was restored. Then nothing that the members agreed on can be relied on: docs/fleet.md, "Views".
"""

from __future__ import annotations

from typing import Final, final

from proxy.topology.views import Standing, View
from proxy.types import Epoch

OVER_FOR: Final = 3.0
"""Seconds after which an epoch that is over has not ended with the primary: it would be seen."""

SHORT: Final = 2
"""Looks in a row that miss connections: one may fall between two steps of ours."""


@final
class Continuity:
    """See the module.

    Args:
        name: The member's.
        view: In which it entered.
    """

    def __init__(self, name: str, view: View) -> None:
        self._name = name
        self._salt = view.salt
        self._before = view
        self._over_since: float | None = None
        self._short = 0

    def why_broken(self, view: View, epoch: Epoch) -> str | None:
        """Say what a view can't have become by itself, to be asked of each; None: all is well.

        Args:
            view: As it was just read.
            epoch: In which the member was when it was asked for.
        """
        before, self._before = self._before, view
        if view.salt != self._salt:
            return "tidegate.epoch was made anew"
        if self._name not in view.rows:
            return "its own row in tidegate.member is gone"
        if view.is_over:
            return None  # what the primary has lost of it, another epoch makes up for
        if view.epoch < max(before.epoch, epoch):
            return "tidegate.epoch went back"
        if view.epoch > before.epoch:
            return None
        for name in before.rows:
            if name not in view.rows:
                return f"the row of {name} in tidegate.member is gone"
        for name, row in before.rows.items():
            if row.standing is Standing.GONE and view.rows[name].standing is not Standing.GONE:
                return f"member {name} in tidegate.member is back"
        return None

    def is_over(self, view: View, now: float) -> str | None:
        """Say whether an epoch is over that no end of the primary has ended."""
        if not view.is_over:
            self._over_since = None
        elif self._over_since is None:
            self._over_since = now
        elif now - self._over_since >= OVER_FOR:
            return "the life of the primary that tidegate.epoch names is another"
        return None

    def lost_sight(self) -> None:
        """The primary was out of sight: its life may have ended."""
        self._over_since = None

    def lacks(self, written: int, found: int) -> str | None:
        """Say whether connections of ours are written down no more.

        Args:
            written: How many were.
            found: How many are.
        """
        self._short = self._short + 1 if found < written else 0
        return "rows in tidegate.session are gone" if self._short >= SHORT else None
