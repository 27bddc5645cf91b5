"""The cache, as a session sees it: may this read be answered, and may its answer be kept?"""

from __future__ import annotations

from math import inf
from typing import Final, Protocol, final
from weakref import WeakKeyDictionary

from proxy.cache.admission import Worth
from proxy.cache.entry import Answer, Context, Contexts, Entry
from proxy.cache.flight import FAILED, NOT_STORED, STORED, Flights, Landing
from proxy.cache.key import Key, Shape
from proxy.cache.sealed import Sealed
from proxy.cache.second import Lookup, SecondLevel, Waiter
from proxy.cache.store import Store, Use
from proxy.freshness.floor import Floor
from proxy.freshness.ledger import Ledger
from proxy.routing.plan import Plan
from proxy.routing.terms import Terms
from proxy.session.errand import Errand
from proxy.session.fill import Fill
from proxy.session.profile import Profile
from proxy.sql.clock import clock_word
from proxy.types import Consistency, Reason
from proxy.wire.exchange import Exchange
from proxy.wire.prepared import Prepared
from proxy.wire.requests import Execution, Kept

_PIECES: Final = len(Kept._fields)


class Follower(Waiter, Protocol):
    """Who waits for a result that another fetches: a session."""

    def flight_landed(self, landing: Landing, /) -> None:
        """It has come, or did not."""


@final
class Results:
    """The cache of one server group, with the flights under way.

    Attributes:
        misses: Reads that might have been answered from memory, and were not.
        second: Where they are looked for then; None: nowhere.
    """

    __slots__ = (
        "_contexts",
        "_flights",
        "_ledger",
        "_named",
        "_single_flight",
        "misses",
        "second",
        "store",
    )

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        single_flight: bool,
        second: SecondLevel | None = None,
    ) -> None:
        self.store = store
        self.second = second
        self.misses = 0
        self._ledger = ledger
        self._contexts = Contexts()
        self._flights: Flights[Follower] = Flights()
        self._single_flight = single_flight
        self._named: WeakKeyDictionary[
            Context, WeakKeyDictionary[Prepared, dict[bytes, Answer]]
        ] = WeakKeyDictionary()

    def context(self, shape: Shape) -> Context:
        """Find what is cached for sessions of this shape."""
        return self._contexts.intern(shape, self._ledger)

    def answers_of(self, context: Context, prepared: Prepared) -> dict[bytes, Answer]:
        """Find the ready answers to a prepared statement, by what follows its name in a Bind."""
        by_statement = self._named.get(context)
        if by_statement is None:
            by_statement = self._named[context] = WeakKeyDictionary()
        answers = by_statement.get(prepared)
        if answers is None:
            answers = by_statement[prepared] = {}
        return answers

    def find(
        self, profile: Profile, errand: Errand, now: float, floor: Floor | None = None
    ) -> bytes | None:
        """Find the answer to a read, or prepare for keeping it; None: ask a server."""
        plan = errand.fast
        context = profile.context
        if plan is None or context is None:
            return None
        execution = errand.request.executions[0]
        terms = errand.terms
        errand.uncached = plan.uncached or _why_not(errand, execution)
        if errand.uncached is None and terms is not None:
            errand.uncached = terms.uncached
        if errand.uncached is not None:
            return None
        key = _key_of(execution)
        if terms is None:
            entry = self.store.find(context, key, now)
        else:
            use = _use(terms, now, floor)
            entry = self.store.find_by(context, key, now, use, generation=plan.generation)
        if entry is not None:
            errand.filled_at = entry.filled_at
            answer = errand.request.put_together(Kept(*entry.pieces))
            if answer is not None:
                self._remember(context, errand, entry, answer)
                return answer
        self.misses += 1
        worth = plan.statistics
        if not isinstance(worth, Worth):
            worth = plan.statistics = Worth(now)
        if worth.admits(now) or self._is_wanted_elsewhere(worth):
            errand.fill = Fill(
                context,
                key,
                worth,
                self.store.max_entry_bytes,
                generation=plan.generation,
                contract="" if terms is None else terms.contract.consistency.value,
            )
        else:
            errand.uncached = Reason.NOT_WORTH
        return None

    def verdict(
        self, context: Context, plan: Plan, execution: Execution, terms: Terms, now: float
    ) -> Reason | None:
        """Say what `find` would do now, and change nothing.

        Returns:
            HIT: answer it; None: have its answer kept; else why neither.
        """
        if is_of_the_moment(execution):
            return Reason.PARAMETER
        if terms.uncached is not None:
            return terms.uncached
        use = _use(terms, now, None)
        if self.store.has(context, _key_of(execution), now, use, generation=plan.generation):
            return Reason.HIT
        worth = plan.statistics
        if not isinstance(worth, Worth) or worth.pays or self._is_wanted_elsewhere(worth):
            return None
        return Reason.NOT_WORTH

    def join(self, errand: Errand, follower: Follower) -> bool:
        """Wait for an identical read that is under way; False: go yourself, and lead."""
        fill = errand.fill
        if fill is None or errand.alone or not self._single_flight:
            return False
        key = fill.flight
        if self._flights.board(key, follower):
            errand.leads = True
            return False
        errand.fill = None
        errand.flight = key
        return True

    def fetch(self, errand: Errand, waiter: Waiter, now: float) -> bool:
        """Begin to ask the second level; False: ask a server.

        A result that may not be older than so much is not asked for: nobody knows when it was kept.
        """
        second, fill, plan, terms = self.second, errand.fill, errand.fast, errand.terms
        if second is None or fill is None or errand.alone or plan is None or plan.read_set is None:
            return False
        if terms is not None and terms.max_age < inf:
            return False
        errand.lookup = second.ask(fill.context, fill.key, plan.read_set, fill.worth, waiter, now)
        return errand.lookup is not None

    def fetched(self, errand: Errand, lookup: Lookup) -> None:
        """Note that the second level has answered: it may be ours to ask a server, for all."""
        errand.lookup = None
        second, fill = self.second, errand.fill
        if lookup.leads and second is not None and fill is not None:
            fill.claim = lookup.claim
            second.shelf.hold(lookup.claim, lookup.held_until)

    def promote(self, errand: Errand, found: Sealed, now: float) -> bytes | None:
        """Keep in memory what the second level had, as it holds now; None: it is of no use.

        Returns:
            The answer made of it.
        """
        fill, plan = errand.fill, errand.fast
        if fill is None or plan is None or plan.read_set is None or len(found.pieces) != _PIECES:
            return None
        answer = errand.request.put_together(Kept(*found.pieces))
        if answer is None:
            return None
        fill.worth.hits += 1.0
        errand.version = found.version
        errand.filled_at = now
        errand.is_fetched = True
        entry = self.store.fill(
            fill.context,
            fill.key,
            found.pieces,
            read_set=plan.read_set,
            version=found.version,
            worth=fill.worth,
            now=now,
            generation=fill.generation,
        )
        if entry is not None:
            self._remember(fill.context, errand, entry, answer)
        self.land(errand, NOT_STORED if entry is None else STORED)
        return answer

    def leave(self, errand: Errand, follower: Follower) -> None:
        """Wait no longer."""
        if errand.lookup is not None:
            errand.lookup.leave()
            errand.lookup = None
        if errand.flight is not None:
            self._flights.leave(errand.flight, follower)
            errand.flight = None

    def done(self, errand: Errand, exchange: Exchange, now: float) -> None:
        """Keep an answer that has come whole, if it still holds; and tell those who wait."""
        fill = errand.fill
        plan = errand.fast
        if fill is None or plan is None or plan.read_set is None:
            self.land(errand, NOT_STORED)
            return
        landing = NOT_STORED
        if exchange.error is None and exchange.plain and fill.pieces:
            reply = b"".join(fill.pieces)
            fill.worth.answered(now - errand.sent_at, len(reply))
            kept = errand.request.take_apart(reply)
            if kept is not None:
                entry = self.store.fill(
                    fill.context,
                    fill.key,
                    kept,
                    read_set=plan.read_set,
                    version=errand.version,
                    worth=fill.worth,
                    now=now,
                    generation=fill.generation,
                    is_current=errand.is_current,
                    current_at=_missing_since(errand),
                )
                if entry is not None:
                    landing = STORED
                    if self.second is not None:
                        self.second.keep(entry)
                    answer = errand.request.put_together(kept)
                    if answer is not None:
                        self._remember(fill.context, errand, entry, answer)
        self.land(errand, landing)

    def land(self, errand: Errand, landing: Landing = FAILED) -> None:
        """End a flight, whatever came of it."""
        fill, errand.fill = errand.fill, None
        if fill is None:
            return
        if fill.claim and self.second is not None:
            self.second.shelf.let_go(fill.claim)
        if not errand.leads:
            return
        errand.leads = False
        for follower in self._flights.land(fill.flight):
            follower.flight_landed(landing)

    def _is_wanted_elsewhere(self, worth: Worth) -> bool:
        """Tell whether results that don't pay in memory are kept for the second level's sake."""
        return self.second is not None and self.second.wants(worth)

    def _remember(self, context: Context, errand: Errand, entry: Entry, answer: bytes) -> None:
        """Let the same bytes find the answer at once, where they mean the same to everybody."""
        request = errand.request
        chunk = request.chunk
        if chunk is None or not entry.is_current:
            return
        terms = errand.terms
        if terms is not None and terms.rule is not None and terms.rule.counts_each:
            return
        limits = None if terms is None else terms.limits
        if request.is_self_contained:
            self.store.remember(entry, context.answers, chunk, (answer,), limits)
        elif (named := request.named_key()) is not None:
            _, prepared, tail = named
            answers = self.answers_of(context, prepared)
            self.store.remember(entry, answers, tail, (answer,), limits)


def _use(terms: Terms, now: float, floor: Floor | None) -> Use:
    """Say which cached results are good enough."""
    contract = terms.contract
    by_filling = contract.consistency is Consistency.EVENTUAL
    oldest = contract.oldest(now, floor)
    if by_filling and terms.max_age < inf:
        oldest = now - terms.max_age
    return Use(
        is_strong=contract.is_strong,
        max_age=terms.max_age,
        oldest=oldest,
        by_filling=by_filling,
        handed_at=-inf if terms.handed is None else terms.handed.since,
    )


def _missing_since(errand: Errand) -> float | None:
    """Since when something may be missing from an answer that was overtaken, or came from a replica
    that lacks something; None: nobody wants it then."""
    terms = errand.terms
    if terms is None or terms.contract.is_strong:
        return None
    return errand.sent_at if errand.need is None else errand.current_at


def _why_not(errand: Errand, execution: Execution) -> Reason | None:
    """Say why this very execution may not be answered from the cache, nor its answer kept."""
    if errand.clock:
        return Reason.CLOCK
    return Reason.PARAMETER if is_of_the_moment(execution) else None


def is_of_the_moment(execution: Execution) -> bool:
    """Tell if a parameter may mean another moment each time it is read."""
    if execution.is_plain:
        return False
    return any(value is not None and clock_word(value) for value in execution.values())


def _key_of(execution: Execution) -> Key:
    prepared = execution.prepared
    types = b"" if prepared is None or not prepared.oids else repr(prepared.oids).encode()
    # The portal of a result that is not fetched to its end is gone with the batch.
    return Key(execution.sql or b"", types, execution.tail, max(0, execution.max_rows))
