"""A second level of the cache for the stage: it keeps what it gets, and answers when told to."""

from __future__ import annotations

from collections import deque

from proxy.cache.sealed import Realm
from proxy.cache.second import Lookup, Outcome, SecondLevel, Statistics
from tests.unit.session.stage import Event, Stage

FETCHES = ("fetches",)
KEEPS = ("keeps",)
HOLDS = ("holds",)
LETS_GO = ("lets go",)


class Shelf:
    """See the module."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.entries: dict[bytes, bytes] = {}
        self.away: dict[bytes, bytes] = {}  # for a test to put back
        self.lookups: deque[Lookup] = deque()
        self.is_open = True
        self.statistics = Statistics()
        self.realm = Realm(b"the salt of this fleet")
        assert stage.results is not None
        stage.results.second = SecondLevel(self.realm, self, self.statistics, max_bytes=1 << 16)

    def get(self, lookup: Lookup) -> bool:
        if self.is_open:
            self.stage.did("fetches")
            self.lookups.append(lookup)
        return self.is_open

    def put(self, name: bytes, version: int, pieces: tuple[bytes, ...]) -> None:
        self.stage.did("keeps")
        self.entries[name] = self.realm.seal(name, version, pieces, 1 << 20)

    def get_later(self, lookup: Lookup, seconds: float) -> None:
        self.stage.did("fetches")
        self.lookups.append(lookup)

    def hold(self, claim: bytes, until: float) -> None:
        self.stage.did("holds")

    def let_go(self, claim: bytes) -> None:
        self.stage.did("lets go")

    @property
    def outcomes(self) -> dict[str, int]:
        """What has become of what was asked."""
        return dict(self.statistics.reads.seen())

    def forget_memory(self) -> None:
        """The first level is as after a start."""
        assert self.stage.results is not None
        self.stage.results.store.clear()

    def answers(self) -> Event:
        """What was asked first is answered with what is there."""

        def happen(stage: Stage) -> None:
            lookup = self.lookups.popleft()
            lookup.answered(self.entries.get(lookup.name), stage.now)

        return happen

    def claims(self, *, is_ours: bool) -> Event:
        """What was wanted first is ours to ask a server for, or another's."""
        return lambda stage: self.lookups.popleft().claimed(stage.now, is_ours=is_ours)

    def gives_up(self, outcome: Outcome = Outcome.LATE) -> Event:
        """What was asked first is not waited for any longer."""
        return lambda stage: self.lookups.popleft().give_up(outcome, stage.now)
