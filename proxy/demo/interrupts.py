"""Ctrl-C, a request to end and a lost terminal: each ends what runs, in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, Final, final

import uvloop

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class Interrupts:
    """Turns a stop signal into KeyboardInterrupt, where that does no harm.

    Raised by the signal's handler it would come out of whatever runs at that moment: a callback
    that is left half done, or a finalizer, where Python drops it. So it is raised between two
    steps, and work on a loop is cancelled. Who can't wait sends the signal again.
    """

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}
        self._is_armed = True
        self._has_come = False
        self._cancel: Callable[[], object] | None = None

    def __enter__(self) -> Interrupts:
        for number in STOP_SIGNALS:
            # What we were started to ignore (by nohup, for one) we go on ignoring.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def disarm(self) -> None:
        """From here on it is cleaned up, which a second Ctrl-C must not cut short."""
        self._is_armed = False

    def check(self) -> None:
        """Go on, or not: to be called between two steps.

        Raises:
            KeyboardInterrupt: A signal has come.
        """
        if self._has_come and self._is_armed:
            raise KeyboardInterrupt

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on a loop of its own.

        Raises:
            KeyboardInterrupt: A signal came; the coroutine was cancelled, and has ended.
        """
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._within_reach(work))
        except asyncio.CancelledError:
            self.check()
            raise
        self.check()

    async def _within_reach(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        # The loop may be asleep in its poll, so it must be woken as by another thread.
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self._has_come:
            task.cancel()
        try:
            await work
        finally:
            self._cancel = None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._is_armed:
            return
        if self._cancel is not None:
            self._cancel()
        elif self._has_come:
            raise KeyboardInterrupt
        self._has_come = True
