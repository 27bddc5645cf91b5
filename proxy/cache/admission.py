"""Is it worth keeping results of this statement? Judged by what became of earlier ones.

A result that is kept costs the fill, and earns the server's time with every hit. A
result that is still here may yet earn, so only those that left (evicted, invalidated)
count as cost: a statement is given credit until its results are seen to leave unused.
"""

from __future__ import annotations

from typing import Final, final

from proxy.cache.benefit import Benefit

FILL_SECONDS: Final = 10e-6
"""What gathering, storing and dropping a small result costs."""

BYTE_SECONDS: Final = 2e-9
"""What each byte adds: it is copied and takes another result's room."""

TRIAL: Final = 16
"""Results that may leave unused before a statement is judged at all."""

SAMPLE: Final = 32
"""Of the results not worth keeping one in so many is kept: the workload may have changed."""

MEMORY: Final = 1024
"""Results after whose leaving the past counts half. New evidence outweighs any past
after some ten of these: a second of CPU time at the very worst."""

HALF_LIFE: Final = 60.0
"""Seconds after which the past counts half, where nothing else makes it fade."""

_SMOOTHING: Final = 0.125


@final
class Worth:
    """The statistics of one statement's cached results, and the verdict on the next.

    Attributes:
        hits: Answers from the cache; whoever serves one counts it here.
        left: Results that left the cache, or were overtaken before they entered it.
        seconds: What an answer from a server takes, lately.
        size: Bytes of a result, lately.
        benefit: What the second level is worth for it, once that was asked.
    """

    __slots__ = ("_faded_at", "_skipped", "benefit", "hits", "left", "seconds", "size")

    def __init__(self, now: float) -> None:
        self.hits = 0.0
        self.left = 0.0
        self.seconds = 0.0
        self.size = 0.0
        self.benefit: Benefit | None = None
        self._skipped = 0
        self._faded_at = now

    def admits(self, now: float) -> bool:
        """Decide whether to keep the next result: ask at a miss, before anything is gathered."""
        if now - self._faded_at >= HALF_LIFE:
            self._fade(0.5 ** ((now - self._faded_at) / HALF_LIFE))
            self._faded_at = now
        if self.pays:
            return True
        self._skipped += 1
        if self._skipped < SAMPLE:
            return False
        self._skipped = 0
        return True

    @property
    def pays(self) -> bool:
        """Whether results have been worth their cost so far, or are still on trial."""
        return self.left < TRIAL or self.hits * self.seconds >= self.left * self._fill_seconds()

    def answered(self, seconds: float, size: int) -> None:
        """Learn from an answer that a server gave."""
        self.seconds += (seconds - self.seconds) * (_SMOOTHING if self.seconds else 1.0)
        self.size += (size - self.size) * (_SMOOTHING if self.size else 1.0)

    def leave(self) -> None:
        """Count a result that left the cache, or was overtaken by a commit on its way in."""
        self.left += 1.0
        if self.left >= MEMORY:
            self._fade(0.5)

    def _fill_seconds(self) -> float:
        return FILL_SECONDS + BYTE_SECONDS * self.size

    def _fade(self, factor: float) -> None:
        self.hits *= factor
        self.left *= factor
