"""What there is to be written and read, and how, at each kind of server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.consistency import doors, mysql_doors, mysql_topics, topics
from tests.consistency.door import Door
from tests.consistency.topics import Topic


@dataclass(frozen=True, slots=True)
class Engine:
    """A kind of server, as clients at work know it.

    Attributes:
        topics: What is written and read.
        doors: The ways in; the first is for us, too.
    """

    topics: Mapping[str, Topic]
    doors: tuple[type[Door], ...]


ENGINES: Final = {
    "postgres": Engine(topics.TOPICS, doors.DOORS),
    "mysql": Engine(mysql_topics.TOPICS, mysql_doors.DOORS),
}
