"""What session commands say, and what settings mean: a seam, by an engine's own rules.

Nothing here is done: texts and settings come in, and what follows from them goes out.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from proxy.routing.plan import Plan
from proxy.sql.statement import Kind, Statement
from proxy.sql.transaction_control import Begin
from proxy.types import Reason
from proxy.wire.prepared import Sense

Settings = tuple[tuple[str, str], ...]

COMMANDS: Final = frozenset((Kind.SET, Kind.RESET, Kind.DISCARD, Kind.PREPARE, Kind.DEALLOCATE))
SAVEPOINTS: Final = frozenset((Kind.SAVEPOINT, Kind.RELEASE, Kind.ROLLBACK_TO))


@dataclass(slots=True, frozen=True)
class Defaults:
    """What a login of this user to this database begins with, as the server said.

    Attributes:
        settings: What is looked at of them, by name.
        shape: A digest of every default that shapes results.
    """

    settings: Mapping[str, str]
    shape: str


@dataclass(slots=True, frozen=True)
class Meaning:
    """What a session's settings mean.

    Attributes:
        path: Where names without a schema are looked for; None: it can't be told.
        role: In whose name its statements run.
        authorization: Beside its user, what results may depend on.
        isolation: The level of its transactions, where they name none.
        encoding: Of its texts and results.
        sense: What prepared texts depend on; None where we can't tell what they mean.
        is_readable: Whether texts mean what they look like to us.
        fires_others: Whether changes set off other triggers than the catalog says.
        application: What it calls itself.
        shaping: The settings that may change a byte of a result.
        blocked: Why no read may leave the primary, whatever it is; None: one may.
        modes: How its texts are cut into tokens; see `Language.scan`.
        alone: The setting by which each statement is a transaction, where it has set that a
            transaction begins by itself; else None.
    """

    path: tuple[str, ...] | None
    role: str
    authorization: str
    isolation: str
    encoding: str
    sense: Sense | None
    is_readable: bool
    fires_others: bool
    application: str
    shaping: Settings
    blocked: Reason | None = None
    modes: int = 0
    alone: tuple[str, str] | None = None


class Moved(NamedTuple):
    """What may mean something else once a statement has run."""

    names: bool
    constants: bool


class OwnCommand(NamedTuple):
    """SET or RESET of a setting of the proxy's own; a RESET has no value."""

    name: str
    value: str | None
    is_local: bool
    tag: bytes


class Grammar(ABC):
    """See the module.

    Attributes:
        protocol: The engine's name, for what results are kept under.
        fixed: Settings that literals are known to depend on: to be reset where nobody knows what
            is set.
        rolls_settings_back: Whether what a transaction has set is gone when it is rolled back.
        fails_whole: Whether an error in a transaction makes all of it fail.
        unknown_body: What an EXECUTE runs where nobody knows what was prepared.
    """

    protocol: str
    fixed: tuple[str, ...]
    rolls_settings_back: bool
    fails_whole: bool
    unknown_body: Statement

    @abstractmethod
    def understand(self, settings: Settings, defaults: Defaults, user: str) -> Meaning:
        """Say what a session's settings mean.

        Args:
            settings: What the client has set, as SQL text.
            defaults: What its login began with.
            user: Who has logged in.
        """

    @abstractmethod
    def must_begin_anew(self, have: Settings, want: Settings) -> bool:
        """Tell if no command leads from these settings to those, but a reset of all."""

    @abstractmethod
    def names_depend_on(self, name: str) -> bool:
        """Tell whether a setting decides what the names in a prepared statement mean."""

    @abstractmethod
    def constants_depend_on(self, name: str) -> bool:
        """Tell whether a setting may be fixed in a statement when it is prepared."""

    def shapes_texts(self, name: str) -> bool:
        """Tell whether a prepared statement's text means something else under another value."""
        return self.names_depend_on(name) or self.constants_depend_on(name)

    @abstractmethod
    def moved(self, plan: Plan, text: bytes, *, is_touched: bool) -> Moved:
        """Say what may mean something else once a statement has run.

        Args:
            plan: The statement's.
            text: As it was sent.
            is_touched: Whether the transaction has set something, which a rollback takes back.
        """

    @abstractmethod
    def adopted(self, rows: Iterable[Sequence[bytes | None]], user: str) -> dict[str, str]:
        """Read what a server says is set: name and value of each, None where it is not."""

    @abstractmethod
    def lasting(self, name: str) -> bool:
        """Tell whether a setting stays when all are reset."""

    @abstractmethod
    def read_begin(self, text: bytes) -> Begin | None:
        """Read what begins a transaction; None: it does not, or says something unusual."""

    @property
    def begins_itself(self) -> Begin:
        """What begins a transaction where one would begin by itself."""
        raise NotImplementedError

    @abstractmethod
    def read_end(self, text: bytes) -> bool | None:
        """Read COMMIT or ROLLBACK: whether it begins the next at once; None: it is neither."""

    @abstractmethod
    def read_savepoint(self, text: bytes) -> str | None:
        """Read which savepoint a statement speaks of; None: of none."""

    @abstractmethod
    def read_own(self, sql: bytes) -> OwnCommand | None:
        """Read SET or RESET of a setting of the proxy's own; None: it is no such thing."""

    @abstractmethod
    def deallocated_name(self, text: bytes) -> bytes | None:
        """Read which prepared statement is to be forgotten, if it is one."""

    @abstractmethod
    def prepared_body(self, statements: Mapping[str, str], execute: bytes) -> bytes | None:
        """Find what an EXECUTE runs; None: nothing that is known here.

        Args:
            statements: The texts that prepared them, by name.
            execute: As it was sent.
        """
