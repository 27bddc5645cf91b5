"""A read is said once more, on another connection, and its answer gathered; see `audits`."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from proxy.errors import RemoteProtocolError
from proxy.session.grammar import Grammar
from proxy.session.ports import Dialect, Link
from proxy.session.sample import Sample
from proxy.session.state import UNTOUCHED


@final
class Repetition:
    """See the module. It has the connection from `begin` on until it has `ended`.

    Args:
        sample: What is repeated, as whose session.
        link: Of the same user to the same database.
        room: Bytes of the answer that are gathered.
        ended: Is told of the whole answer; None: there is none that counts.
    """

    def __init__(
        self, sample: Sample, link: Link, room: int, ended: Callable[[bytes | None], None]
    ) -> None:
        self.sample = sample
        self.link = link
        self._ended = ended
        self._room = room
        self._pieces: list[bytes] = []
        self._is_running = False

    def begin(self, dialect: Dialect, grammar: Grammar) -> None:
        """Make the connection's session the client's, then ask."""
        link, state = self.link, self.sample.state
        link.lend(self)
        exchange = link.exchange
        commands: list[bytes] = []
        if link.state is not state:
            if grammar.must_begin_anew(link.state.settings, state.settings):
                commands.append(dialect.anew)
                link.state = UNTOUCHED
            commands.append(dialect.apply(link.state.changes_to(state, grammar)))
            link.state = state
        said = dialect.together(commands)
        missing = exchange.must_prepare(self.sample.request)
        if missing:
            link.write(exchange.prepare(said, missing))
        elif said:
            link.write(exchange.ask(said))
        else:
            self._ask()

    def _ask(self) -> None:
        self._is_running = True
        exchange = self.link.exchange
        exchange.doubt(False)
        self.link.write(exchange.begin(self.sample.request))

    def server_data(self, link: Link, data: bytes) -> None:
        """The server answers."""
        exchange = link.exchange
        try:
            passed = exchange.feed(data)
        except RemoteProtocolError as error:
            link.abort(error.message)
            return
        if self._is_running and passed:
            self._room -= len(passed)
            if self._room >= 0:
                self._pieces.append(passed)
        if not exchange.done:
            return
        is_wrong = exchange.error is not None
        if self._is_running:
            self._end(None if is_wrong or self._room < 0 else b"".join(self._pieces))
        elif is_wrong:
            link.abort("could not be brought to a client's settings")
        else:
            self._ask()

    def server_lost(self, link: Link, reason: str) -> None:
        """The connection broke."""
        self._ended(None)

    def server_paused(self, link: Link, paused: bool) -> None:
        """We send next to nothing."""

    def _end(self, reply: bytes | None) -> None:
        self.link.lend(None)
        self._ended(reply)
