"""Drives one `Fleet` over one channel of a bus.

What the fleet has to say is gathered until the end of a turn of the event loop, and goes out as one
message to all, besides acknowledgements to some. What comes is handed to the fleet as it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final, final

from proxy.freshness.codec import Codec, Malformed, TooLong
from proxy.freshness.fleet import Fleet
from proxy.freshness.frames import Frame, Note
from proxy.observe.logs import Logger
from proxy.runtime.bus.seam import Bus, Channel

log = Logger("bus")

LEAST_WAIT: Final = 0.001
"""Seconds to what is due at the earliest: what is due now was said in this turn."""

EVERYBODY: Final = ""
"""Whom a note is to that asks who is there. It tells a member nothing but that it is to answer."""


@final
class Carrier:
    """See the module. Made in a running loop; `open`, then `poke` whenever the fleet was told
    something.

    Attributes:
        answered: Who has answered our calls.

    Args:
        fleet: Of one server group. Nobody else flushes it.
        channel: Of that group.
        bus: Carries.
        changed: Is told whenever the fleet has heard something, or some time has passed: it may be
            in another epoch, marks may be `ready`, and there may be `strangers`.
        clock: By which grants are counted, in seconds: the ledger's.
    """

    def __init__(
        self,
        fleet: Fleet,
        channel: Channel,
        bus: Bus,
        changed: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.fleet = fleet
        self._channel = channel
        self._bus = bus
        self._codec = Codec(*channel)
        self._changed = changed
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        self._is_poked = False
        self._timer: asyncio.TimerHandle | None = None
        self._has_said: set[str] = set()
        self.answered: set[str] = set()
        self._is_calling = False

    def open(self) -> None:
        """Begin to listen and to speak."""
        self._is_open = True
        self._bus.join(self._channel, self.fleet.name, self)
        self.poke()

    def close(self) -> None:
        """Say what there is to say, and then nothing more."""
        self._flush()
        self._is_open = False
        self._bus.leave(self._channel)
        if self._timer is not None:
            self._timer.cancel()

    def poke(self) -> None:
        """Have said what the fleet has to say, at the end of this turn."""
        if not self._is_poked:
            self._is_poked = True
            self._loop.call_soon(self._flush)

    def call(self) -> None:
        """Ask who is there, who needs not know us: `answered` has those who hear us and are heard.

        Until the fleet was entered; what they say that is not an answer is not heard meanwhile.
        """
        self._is_calling = True
        message = self._codec.encode(_sign_of(self.fleet.name, EVERYBODY))
        self._bus.publish(self._channel, message)

    def answer(self) -> None:
        """Call no more: the fleet has been entered."""
        self._is_calling = False
        self.poke()

    # From the bus: see `Listener`.

    def heard(self, message: bytes) -> None:
        """Take what another member says."""
        try:
            said = self._codec.decode(message)
        except Malformed as error:
            self._refuse(error)
            return
        fleet, now = self.fleet, self._clock()
        if isinstance(said, Frame):
            fleet.hear(said, now)
        elif said.to == EVERYBODY:
            self._send_note(_sign_of(fleet.name, said.sender))
        elif self._is_calling and said.to == fleet.name:
            self.answered.add(said.sender)
        else:
            fleet.hear_note(said, now)
        self._changed()
        self.poke()

    def broken(self) -> None:
        """The bus was away: see `Fleet.broken`."""
        self.fleet.broken()
        self.poke()

    # To the bus.

    def _flush(self) -> None:
        self._is_poked = False
        if not self._is_open:
            return
        now = self._clock()
        frame, notes = self.fleet.flush(now)
        if frame is not None and (message := self._encoded(frame)) is not None:
            self._bus.publish(self._channel, message)
        for note in notes:
            self._send_note(note)
        self._changed()
        self._wait(self.fleet.due(now) - now)

    def _send_note(self, note: Note) -> None:
        if (message := self._encoded(note)) is not None:
            self._bus.tell(self._channel, note.to, message)

    def _encoded(self, said: Frame | Note) -> bytes | None:
        """Write a message. One that is too long is lost: who misses it reads at the primary."""
        try:
            return self._codec.encode(said)
        except TooLong as error:
            self._say_once("the fleet has more to say than goes into a message", str(error))
            return None

    def _wait(self, seconds: float) -> None:
        """Be back by then; earlier does no harm."""
        loop = self._loop
        timer = self._timer
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
            self._timer = None
        if seconds < inf:
            self._timer = loop.call_later(max(LEAST_WAIT, seconds), self._is_due)

    def _is_due(self) -> None:
        self._timer = None
        self._flush()

    # What goes wrong.

    def _refuse(self, error: Malformed) -> None:
        self._bus.counts.refused += 1
        self._say_once("a message on the fleet's bus makes no sense", str(error))

    def _say_once(self, event: str, why: str) -> None:
        if event not in self._has_said:
            self._has_said.add(event)
            log.warning(event, group=self._channel.group, why=why)


def _sign_of(name: str, to: str) -> Note:
    """Say that we are there, and nothing else."""
    return Note(name, to, heard=0, is_deaf=False, number=0, state=None)
