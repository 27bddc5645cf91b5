"""What statements leave in a session: a seam, by an engine's own rules.

A session knows that something may be left behind, and when it must be seen to; what it is, how a
server is asked about it and how it is taken away is known to the engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from proxy.routing.plan import Plan
from proxy.session.belongings import Belongings
from proxy.session.errand import Errand
from proxy.session.ports import Link
from proxy.sql.statement import Statement
from proxy.wire.exchange import Exchange
from proxy.wire.requests import Request


class Traces(ABC):
    """See the module."""

    @abstractmethod
    def apply(self, belongings: Belongings, link: Link, statement: Statement, text: bytes) -> None:
        """Take in what a statement that succeeded has left behind, on both sides."""

    def is_replicated(self, belongings: Belongings, exchange: Exchange) -> bool:
        """Tell whether replicas will ever hear of what a session has committed just now.

        Args:
            belongings: Of the session, before the answer has been taken in.
            exchange: Has the answer.
        """
        return True

    def heard(self, belongings: Belongings, errand: Errand, link: Link) -> None:
        """Sort out what the server has said of its session, before anything is taken in."""
        return

    @abstractmethod
    def failed(self, belongings: Belongings, errand: Errand, link: Link) -> None:
        """A request has failed, which may be asked about; of several statements some were run."""

    @abstractmethod
    def tainted(
        self, belongings: Belongings, plan: Plan, text: bytes, values: Sequence[bytes | None]
    ) -> None:
        """Something may have been left behind unseen.

        Args:
            belongings: Of whose session.
            plan: Of what was run.
            text: The same, as it was sent.
            values: What was bound to parameters in its request.
        """

    @abstractmethod
    def question(self, belongings: Belongings, plans: Sequence[Plan], link: Link) -> bytes | None:
        """Say what the server must be asked before others have the connection; None: nothing."""

    @abstractmethod
    def whole_question(self, belongings: Belongings, link: Link) -> bytes:
        """Ask the server for everything that may live in its session."""

    @abstractmethod
    def take_word(
        self, belongings: Belongings, link: Link, rows: Sequence[Sequence[bytes | None]]
    ) -> None:
        """Take the server's word for what lives in its session.

        Args:
            belongings: Of whose session.
            link: Whose word it is.
            rows: The answer to a question; empty: there was none.
        """

    @abstractmethod
    def must_come_first(
        self, owner: object, belongings: Belongings, plans: Sequence[Plan], link: Link
    ) -> list[bytes]:
        """Say what makes a connection fit for what others have left there, and is not a setting.

        Args:
            owner: Who is about to use it: a session.
            belongings: The session's.
            plans: Of what it runs.
            link: The connection.
        """

    @abstractmethod
    def wash(self, link: Link) -> list[bytes]:
        """Say what takes away settings that nobody knows the names of; its state follows."""

    @abstractmethod
    def restore(
        self,
        request: Request,
        plans: Sequence[Plan],
        texts: Sequence[bytes],
        belongings: Belongings,
    ) -> bool:
        """Have a text say what it means to its client, where a server would take it otherwise.

        What a client said when it came counts again behind what resets it, for one.

        Args:
            request: It is changed.
            plans: Of its statements.
            texts: The same statements, as they were sent.
            belongings: The session's.

        Returns:
            False: there is nothing of that kind, or it can't be said: then it is refused.
        """

    @abstractmethod
    def say_prepared(self, sql: bytes, belongings: Belongings) -> bytes:
        """Say a text that is prepared as what it means to its client."""

    def note(self, belongings: Belongings, errand: Errand, link: Link | None) -> None:
        """Note what was done last, for what asks of it; no link: it was answered here."""
        return

    def recall(
        self, belongings: Belongings, errand: Errand, link: Link
    ) -> tuple[list[bytes], Request | None] | None:
        """Say what makes a connection answer a question about the statement before.

        Returns:
            What is said there first, and what is repeated behind it; None: it has the answer.
        """
        return None
