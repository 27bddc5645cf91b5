"""One client's conversation: what happens to it.

A request is taken up when the one before it is done. It is answered at once where that can be
done; else it becomes an `Errand`: a route is chosen, a server connection acquired, what must come
first is sent in front, the answer is passed on as it comes, and when the server is ready again
the consequences are drawn. Everything here is synchronous; what has to be waited for comes back
as a call: `acquired`, `server_data`, `server_lost`.

Here are those calls, one method for each. What is done about them is in the files that
`conversation` lists, from `taking` to `settling`. The rule that decides every read and every commit
is docs/freshness.md; its tests are called in `hearing` (validation) and `sending` (the mark), its
bookkeeping in `settling`.
"""

from __future__ import annotations

from typing import Final, final

from proxy.cache.flight import FAILED, NOT_STORED, Landing
from proxy.cache.second import Lookup
from proxy.errors import (
    Cancelled,
    ClientVisibleError,
    Fault,
    IdleTimeout,
    IdleTransactionTimeout,
    OutcomeUnknown,
    RemoteProtocolError,
)
from proxy.session.answering import show_position
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.failing import fail, hang_up
from proxy.session.hearing import go_on, overhear, pass_on
from proxy.session.leaving import leave
from proxy.session.phase import FREE, OPEN, OVER, RUNNING, SETTING, WAITING
from proxy.session.pins import YIELDING
from proxy.session.ports import Link
from proxy.session.settling import done
from proxy.session.taking import pump, send_its_way
from proxy.session.way import arrive, read_fast, read_fetched, step_out, to_primary
from proxy.types import PinReason, Reason

FLIGHT_WAIT: Final = 1.0
"""Seconds to wait for another session's identical read: its client or its limits may be others."""


@final
class Session(Conversation):
    """See the module."""

    __slots__ = ()

    @property
    def pins(self) -> set[PinReason]:
        """Why the client keeps its server connection; empty: it does not."""
        return self.belongings.pins

    # From the client

    def receive(self, data: bytes) -> None:
        """Take bytes from the client.

        Raises:
            RemoteProtocolError: They are not the protocol's.
        """
        self.answers = None
        self.intake.feed(data)
        pump(self)

    def client_paused(self, paused: bool) -> None:
        """The client takes no more for now, or takes more again."""
        self.is_slow = paused
        for held in (self.link, self.home):
            if held is not None and paused:
                held.pause_reading()
            elif held is not None:
                held.resume_reading()
        if not paused:
            if self.phase is FREE:
                pump(self)
            return
        self.answers = None
        if self.link is not None and self.errand is not None:
            self.land(self.errand, NOT_STORED)  # nobody shall wait for a slow client's answer

    def cancel(self) -> None:
        """Stop what is running now, because the client asked for it on another connection."""
        errand = self.errand
        if self.phase is WAITING and errand is not None:
            step_out(self)
            self.phase = FREE
            fail(self, errand, Cancelled("canceling statement due to user request"))
            pump(self)
        elif self.link is not None and self.phase in (SETTING, RUNNING, OPEN):
            self.cancels += 1
            self.services.cancel(self.link)

    def expire(self, errand: Errand) -> None:
        """An errand takes longer than a rule allows."""
        if self.errand is errand:
            self.cancel()

    def client_gone(self) -> None:
        """The client hung up: what it left behind is cleaned up."""
        if self.is_gone:
            return
        self.is_gone = True
        self.is_slow = False
        self.answers = None
        self.intake.clear()
        for held in (self.link, self.home):
            if held is not None:
                held.resume_reading()  # it may have been as slow as the client
        if self.errand is not None:
            self.land(self.errand, FAILED)
        phase, link = self.phase, self.link
        if phase is WAITING:
            step_out(self)
            self.errand = None
            leave(self)
        elif phase is FREE:
            leave(self)
        elif phase is SETTING:
            self.errand = None
        elif phase in (RUNNING, OPEN) and link is not None:
            if self.intake.sink is link:
                link.abort("the client went away in the middle of a message")
                return
            self.services.cancel(link)
            go_on(self, link)

    def follow_policy(self) -> None:
        """The rules have changed, or the contract of the server group."""
        self.answers = None
        self.profile.follow_policy()
        self.choose_words()

    def tick(self, now: float) -> ClientVisibleError | None:
        """Say why the client must go, if it has been idle for too long; about once a second."""
        services = self.services
        idle = now - self.idle_since
        if self.phase is WAITING and idle >= FLIGHT_WAIT:
            self._fly_alone()
        if self.phase is not FREE:
            return None
        if self.link is not None or self.late is not None:
            limit = services.idle_transaction_timeout
            if limit and idle >= limit:
                return IdleTransactionTimeout(
                    "terminating connection due to idle-in-transaction timeout"
                )
        elif services.client_idle_timeout and idle >= services.client_idle_timeout:
            return IdleTimeout("terminating connection due to idle-session timeout")
        return None

    def _fly_alone(self) -> None:
        """Another session takes too long to fetch what this one waits for."""
        if self.errand is not None and self.errand.flight is not None:
            step_out(self)
            self.flight_landed(NOT_STORED)

    # From those that were waited for

    def flight_landed(self, landing: Landing) -> None:
        """The result that another session was fetching has come, or did not."""
        errand = self.errand
        if errand is None or self.phase is not WAITING:
            return
        errand.flight = None
        errand.alone = landing is NOT_STORED
        self.phase = FREE
        read_fast(self, errand)
        pump(self)

    def fetched(self, lookup: Lookup) -> None:
        """The second level has answered, or is not waited for any longer."""
        errand = self.errand
        if errand is None or errand.lookup is not lookup or self.phase is not WAITING:
            return
        if self.results is not None:
            self.results.fetched(errand, lookup)
        self.phase = FREE
        read_fetched(self, errand, lookup.found)
        pump(self)

    def admitted(self) -> None:
        """A rule lets the statement through."""
        errand = self.errand
        if errand is None or self.phase is not WAITING:
            return
        self.line = None
        self.phase = FREE
        send_its_way(self, errand)
        pump(self)

    def primary_found(self) -> None:
        """There is a primary again."""
        errand = self.errand
        if errand is None or self.phase is not WAITING:
            return
        self.line = None
        self._go_to_primary(errand)

    def position_told(self, text: str) -> None:
        """The primary is here."""
        errand = self.errand
        self.line = None
        if errand is None or self.phase is not WAITING:
            return
        self.errand = None
        self.phase = FREE
        show_position(self, errand.request, text)
        pump(self)

    def acquired(self, link: Link) -> None:
        """The link is ours."""
        errand = self.errand
        self.line = None
        if errand is None or self.phase is OVER:
            self.give_back(link)
            return
        arrive(self, errand, link)
        pump(self)

    def not_acquired(self, error: ClientVisibleError) -> None:
        """There is no link to be had."""
        errand = self.errand
        self.line = None
        if errand is None or self.phase is not WAITING:
            return
        if errand.need is not None:  # a replica let us down: the primary has it
            errand.reason = Reason.REPLICA_FAILED
            self._go_to_primary(errand)
            return
        self.phase = FREE
        fail(self, errand, error)
        pump(self)

    def asked_for(self, link: Link) -> None:
        """Others wait for the link that is kept for the client."""
        pins = self.belongings.pins
        if link is self.home and pins <= YIELDING:
            self.home = None
            pins.clear()
            self.give_back(link)

    def _go_to_primary(self, errand: Errand) -> None:
        self.phase = FREE
        to_primary(self, errand)
        pump(self)

    # From a server connection that is ours

    def server_data(self, link: Link, data: bytes) -> None:
        """Take bytes from a server."""
        exchange = link.exchange
        phase = self.phase
        if link is not self.link or phase is FREE or phase is WAITING:
            overhear(self, link, data)
            return
        try:
            passed = exchange.feed(data)
        except RemoteProtocolError as error:
            link.abort(error.message)
            return
        if passed:
            pass_on(self, link, passed)
        if exchange.done:
            done(self, link)
        elif exchange.wants_sync and self.phase is RUNNING:
            self.phase = OPEN
            go_on(self, link)
        elif exchange.copying_in:
            self.engine.expect_copy(exchange.copy_sequence)
            go_on(self, link)

    def waits_in_vain(self, link: Link) -> bool:
        """Tell if nothing has come of a read on this link, so that it can be had elsewhere."""
        errand = self.errand
        return link is self.link and errand is not None and errand.may_repeat

    def server_paused(self, link: Link, paused: bool) -> None:
        """A server takes no more for now, or takes more again."""
        if link is self.link:
            if paused:
                self.shell.pause_reading()
            else:
                self.shell.resume_reading()

    def server_lost(self, link: Link, reason: str) -> None:
        """A connection broke."""
        self.intake.lose(link)
        if link is self.home:
            self.home = None
        if link is not self.link:
            why = f"server {link.server.name} was lost with the session on it: {reason}"
            hang_up(self, why, link.exchange.farewell)
            return
        self.link = None
        errand = self.errand
        mark = errand.mark if errand is not None else None
        if errand is not None and mark is not None:
            errand.mark = None
            self.services.lose(mark, link)
        if self.phase is WAITING:
            step_out(self)
        elif errand is not None and self.phase is not SETTING:
            self.services.abandoned(link.server)
        if self.is_gone:
            leave(self)
            return
        if errand is not None and errand.may_repeat:
            errand.reason = Reason.REPLICA_FAILED
            self._go_to_primary(errand)
            return
        self.errand = None
        self.phase = FREE
        if errand is not None:
            self.land(errand, FAILED)
        where = f"server {link.server.name} was lost: {reason}"
        fault = Fault.SERVER_LOST
        if mark is not None:
            where = f"the outcome of the transaction is unknown: {where}"
            fault = Fault.OUTCOME_UNKNOWN
        if (errand is None or errand.started) and link.exchange.said_goodbye:
            self.shell.close(where, fault)
        elif mark is not None:
            self.shell.write(self.services.dialect.error(OutcomeUnknown(where)))
            self.shell.close(where, fault)
        else:
            hang_up(self, where, link.exchange.farewell)
