"""What a statement touches, when all that runs beneath it has been looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.types import Reason, Table

NOTHING: Final[frozenset[Table]] = frozenset()


@dataclass(slots=True, eq=False)
class Access:
    """See the module.

    Attributes:
        read_set: Roots of every table it reads.
        write_set: Roots of every table it changes, as far as they can be told.
        exact: Whether `write_set` is all of it; if not, it may change any table.
        unseen: What that is for, and by which way it comes in, for people.
        hidden: Whether what it writes may be written past its transaction, by a connection of a
            function's own: no lock of the transaction tells of that.
        commits: Whether it may commit in the middle of what it does, outside of a transaction.
        counted: Whether what it writes are rows that its command tag counts.
        schema: Whether it may change definitions, rights or roles.
        replica: Why no replica may serve it; None when one may.
        cache: Why its result may not be kept; None when it may.
        detail: The name behind the reasons, for people.
        taints: Whether it calls something that may change the session's state.
        clock: Whether it tells the time, which stands still in a transaction.
        settings: Custom settings that it asks for. Away from the primary, and in a cache, they are
            there only where the session itself has said what they are.
    """

    read_set: frozenset[Table] = NOTHING
    write_set: frozenset[Table] = NOTHING
    exact: bool = True
    hidden: bool = False
    commits: bool = False
    unseen: str = ""
    counted: bool = True
    schema: bool = False
    replica: Reason | None = None
    cache: Reason | None = None
    detail: str = ""
    taints: bool = False
    clock: bool = False
    settings: frozenset[str] = frozenset()
