"""What a log tells, in the words of no engine and no format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Ran:
    """A statement was run, or several in one text.

    Attributes:
        session: Who ran it; the same for everything of one connection.
        user: None where the log does not say.
        database: None where the log does not say.
        text: As it was sent.
        values: Its parameters, in any form that is the same for the same values.
        seconds: What it took; None where that is not known, or comes later.
    """

    session: str
    user: str | None
    database: str | None
    text: str
    values: str = ""
    seconds: float | None = None


@dataclass(slots=True)
class Timed:
    """Something took a while: the statement that was run last, or what prepares the next one.

    Attributes:
        is_ahead: Whether it is known to belong to the next one.
    """

    session: str
    seconds: float
    is_ahead: bool = False


@dataclass(slots=True)
class Failed:
    """A statement of a session failed."""

    session: str
    database: str | None = None


@dataclass(slots=True)
class Began:
    """A session began."""

    session: str
    user: str
    database: str


@dataclass(slots=True)
class Ended:
    """A session ended."""

    session: str


Event = Ran | Timed | Failed | Began | Ended


@dataclass(slots=True)
class Unread:
    """Lines that could not be read.

    Attributes:
        count: How many.
        first: Where the first is: the log's name and its line number.
    """

    count: int = 0
    first: str = ""

    def add(self, name: str, line: int, count: int = 1) -> None:
        """Count some."""
        if not self.count:
            self.first = f"{name}, line {line}"
        self.count += count
