"""A fleet that leaves a rule of docs/fleet.md out: the judge must find out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from proxy.freshness.fleet import Fleet
from proxy.freshness.frames import Frame, Note, State
from proxy.freshness.ledger import Ledger
from proxy.freshness.rules import Rules
from proxy.types import Epoch, Position, Token
from tests.simulation.leased import Unfenced, Unseen, Unsettled
from tests.simulation.member import Member
from tests.simulation.scene import DRIFT, LEASE, PATIENCE, Scene
from tests.simulation.servers import Primary
from tests.simulation.world import Steps


class Without(Scene):
    """With another kind of fleet."""

    fleet_type: type[Fleet] = Fleet

    def make_fleet(self, name: str, ledger: Ledger) -> Fleet:
        return self.fleet_type(name, ledger, lease=LEASE, drift=2 * DRIFT, patience=self.patience)


class Impatient(Scene):
    """A commit waits for nobody's acknowledgement."""

    waits = False


class Rash(Scene):
    """A worker that hangs is said to be dead."""

    are_killed = False


class Ungranted(Fleet):
    """Fast reads need no grants."""

    __slots__ = ()

    def _count_grants(self) -> None:
        self._ledger.granted_until = inf


class Gapless(Fleet):
    """A missing frame is not missed."""

    __slots__ = ()

    def hear(self, frame: Frame, now: float) -> None:
        peer = self._peers.get(frame.sender)
        if peer is not None and not peer.is_deaf and frame.number > peer.heard:
            peer.heard = frame.number - 1
        super().hear(frame, now)


class Disorderly(Fleet):
    """Grants are taken whatever was missed before them."""

    __slots__ = ()

    def hear(self, frame: Frame, now: float) -> None:
        super().hear(frame, now)
        peer = self._peers.get(frame.sender)
        if peer is not None and self.name in frame.grants:
            self._take_grant(peer, frame.grants[self.name])


class Stateless(Fleet):
    """A stream begins with nothing."""

    __slots__ = ()

    def _state(self) -> State:
        return State(self.epoch, {}, {}, {})


class Riderless(Fleet):
    """A token that lingers is cleared while commits ride on it."""

    __slots__ = ()

    def flush(self, now: float) -> tuple[Frame | None, list[Note]]:
        for token in self.hot.tokens():
            if token.riders:
                token.riders = 0
                token.stays = -inf
        return super().flush(now)


class Forgetful(Fleet):
    """Newcomers, and who has missed something, are not told of tokens that linger."""

    __slots__ = ()

    def _state(self) -> State:
        state = super()._state()
        lingering = {it.token for it in self.hot.tokens()}
        pending = {of: tables for of, tables in state.pending.items() if of not in lingering}
        return state._replace(pending=pending)


class Unvouched(Fleet):
    """Whoever has grants reads fast, whether the primary knows him or not."""

    __slots__ = ()

    def vouched(self, asked_at: float) -> None:
        super().vouched(inf)


class Needless(Fleet):
    """An eviction raises no need."""

    __slots__ = ()

    def expel(self, name: str, step: Token, epoch: Epoch, position: Position) -> None:
        super().expel(name, step, epoch, Position(0))


class Baseless(Fleet):
    """An eviction changes no version."""

    __slots__ = ()

    def remember(self, name: str, step: Token, epoch: Epoch) -> None:
        pass


class Unlisted(Fleet):
    """A member is welcome before it has heard from anybody."""

    __slots__ = ()

    @property
    def is_welcome(self) -> bool:
        return True


class Overgranting(Fleet):
    """A grant counts from when it comes."""

    __slots__ = ()

    def hear(self, frame: Frame, now: float) -> None:
        peer = self._peers.get(frame.sender)
        before = peer.granted_until if peer is not None else inf
        super().hear(frame, now)
        if peer is not None and peer.granted_until > before:
            peer.granted_until = now + LEASE
            self._count_grants()


class Unmarked(Scene):
    """A new primary is asked before anybody knows of it."""

    def turned(self, member: Member, primary: Primary) -> bool:
        return True


class Hasty(Scene):
    """A member counts as gone while it still may read fast, and its commits may come."""

    def evict(self, member: Member, *, is_dead: bool = False) -> Steps:
        if member.name in self.view.members and member.name not in self.view.fenced:
            self.view.fenced.add(member.name)
            self.expel(member.name)
        yield 0.0


class Unheard(Scene):
    """Who leaves has told all, whether anybody has heard it or not."""

    write_pause = 0.5

    def has_told(self, member: Member) -> bool:
        return True


class Heirless(Fleet):
    """Who comes is not told what those had committed who left."""

    __slots__ = ()

    def _state(self) -> State:
        return super()._state()._replace(legacies={})


class Disinherited(Without):
    """Of those; what is kept for all is kept for long."""

    fleet_type = Heirless
    write_pause = 1.0
    kept = 50


def without(fleet: type[Fleet], write_pause: float = Scene.write_pause) -> type[Scene]:
    """Make a scene whose members are of another kind."""
    return type(fleet.__name__, (Without,), {"fleet_type": fleet, "write_pause": write_pause})


def without_rule(name: str) -> type[Scene]:
    """Make a scene whose ledgers leave a rule out."""
    return type(name, (Scene,), {"rules": Rules(**{name: False})})


@dataclass(frozen=True)
class Mutation:
    """What is left out, what must go wrong for it to be missed, and how the clocks run."""

    scene: type[Scene]
    faults: tuple[str, ...] = ()
    drift: float = DRIFT
    members: int = 3
    patience: float = 1.0


_LOSS: Final = ("lose_words", "mix_words_up", "split", "lose_notes")
_GOING: Final = ("evict_member", "slow_words")
_SLOW: Final = ("slow_words", "split", "pause_member")

MUTATIONS: Final[Mapping[str, Mutation]] = {
    "ACKNOWLEDGED": Mutation(Impatient, _SLOW),
    "GRANT": Mutation(without(Ungranted), _SLOW),
    "GAP": Mutation(without(Gapless), _LOSS),
    "GRANT_IN_ORDER": Mutation(without(Disorderly), _LOSS),
    "STATE": Mutation(without(Stateless), _LOSS),
    "LINGERING": Mutation(without(Riderless), ("lag",), patience=PATIENCE),
    "LINGERING_STATE": Mutation(without(Forgetful, 0.01), ("break_bus",), patience=PATIENCE),
    "GRANTOR_LAST": Mutation(without(Overgranting), _SLOW),
    "clocks": Mutation(Scene, ("split", "pause_member"), drift=1.6),
    "VOUCHED": Mutation(without(Unvouched), ("evict_member", "split"), members=2),
    "dead": Mutation(Rash, ("kill_worker",)),
    "EVICTED_GONE": Mutation(Hasty, _GOING),
    "EVICTED_NEED": Mutation(without(Needless, 2.0), ("isolate_member", "lag")),
    "EVICTED_BASE": Mutation(without(Baseless, 0.5), ("isolate_member", "slow_reads")),
    "told": Mutation(Unheard, ("leave_member", "split", "lose_words")),
    "legacies": Mutation(Disinherited, ("leave_member",)),
    "settled": Mutation(Unsettled, ("blind_member",), members=2),
    "fenced": Mutation(Unfenced, ("blind_member",)),
    "seen": Mutation(Unseen, ("blind_member",), members=2),
    "WELCOMED": Mutation(without(Unlisted), ("evict_member", "slow_words")),
    "EPOCH_MARK": Mutation(Unmarked, ("fail_over",)),
    **{
        name.upper(): Mutation(without_rule(name), ("slow_reads",))
        for name in ("mark", "pending", "version", "need", "validation", "fill")
    },
}
