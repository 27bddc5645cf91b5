"""Members that should be heard on the bus and are not: said loudly, and not often. Awaits nothing.

Who is cut off costs no answer its truth, only everybody's fast reads. So what matters is that a
person hears of it, and hears what is wrong: docs/operating-fleets.md, "Who does not hear whom".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum, unique
from typing import Final, NamedTuple, final

from proxy.observe.logs import Logger
from proxy.runtime.label import Label, read_label, why_apart

log = Logger("fleet")

LOUD_AFTER: Final = 10.0
"""Seconds after which something is wrong: who starts, or stands still for a moment, is back."""

REPEAT: Final = 300.0
"""Seconds between two lines that say the same of the same member."""


@unique
class Trouble(Enum):
    """What is the matter with a member, as far as can be seen from here."""

    UNHEARD = "is not heard on the bus"
    DEAF = "is heard on the bus, and does not hear this one"
    STILL = "stands still: it says nothing, and asks the primary nothing"


class Case(NamedTuple):
    """A member with a trouble.

    Attributes:
        trouble: What it is.
        seconds: For how long.
        label: As the view has it.
    """

    trouble: Trouble
    seconds: float
    label: str


@final
class Earshot:
    """See the module.

    Attributes:
        unheard: How many members of the view are in trouble at present, for however long.

    Args:
        own: What this member says of itself.
        clock: Seconds.
        is_bus_up: Tells whether the bus is there.
    """

    def __init__(
        self, own: Label, clock: Callable[[], float], is_bus_up: Callable[[], bool]
    ) -> None:
        self.unheard = 0
        self._own = own
        self._clock = clock
        self._is_bus_up = is_bus_up
        self._texts: dict[str, str] = {}
        self._said: dict[str, tuple[Trouble, float]] = {}  # of whom what, and when

    def take(self, cases: Mapping[str, Case], there: Collection[str]) -> None:
        """Take what was found at a look at the view.

        Args:
            cases: Members in trouble, by name.
            there: All that the view has.
        """
        now = self._clock()
        self.unheard = len(cases)
        self._texts = {name: self._describe(name, case) for name, case in cases.items()}
        for name, case in cases.items():
            if case.seconds >= LOUD_AFTER:
                self._say(name, case, now)
        for name in [name for name in self._said if name not in cases]:
            del self._said[name]
            if name in there:
                log.info("a member of the fleet is heard again", member=name)

    def problems(self) -> list[str]:
        """Say it all, for whoever asks."""
        return list(self._texts.values())

    def _say(self, name: str, case: Case, now: float) -> None:
        trouble, said_at = self._said.get(name, (None, 0.0))
        if trouble is case.trouble and now - said_at < REPEAT:
            return
        self._said[name] = case.trouble, now
        if case.trouble is Trouble.STILL:
            event, say = "a member of the fleet stands still", log.warning
        elif case.trouble is Trouble.DEAF:
            event, say = "a member of the fleet does not hear this one", log.error
        else:
            event, say = "a member of the fleet is not heard", log.error
        say(
            event,
            member=name,
            label=case.label,
            seconds=round(case.seconds),
            why=self._why(case),
        )

    def _describe(self, name: str, case: Case) -> str:
        label = read_label(case.label)
        process = case.label if label is None else label.process
        text = f"member {name} ({process}) {case.trouble.value}"
        why = self._why(case)
        return text if why is None else f"{text}: {why}"

    def _why(self, case: Case) -> str | None:
        if case.trouble is Trouble.STILL:
            return None
        return why_apart(self._own, read_label(case.label), is_bus_up=self._is_bus_up())
