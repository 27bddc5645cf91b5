"""What a client has set in its session, and how to bring a server connection to it.

A `SessionState` is immutable and interned: two sessions that have set the same
things share one object, so "does this server connection fit" is one `is`. The
values are kept as the SQL text that set them; only an engine's dialect knows
how to say them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr

Settings = tuple[tuple[str, str], ...]


@unique
class Verb(Enum):
    """What is to be done to a server connection's session."""

    SET = "set"
    RESET = "reset"
    PREPARE = "prepare"
    DEALLOCATE = "deallocate"


@dataclass(slots=True, frozen=True)
class Change:
    """One step from one state to another: `value` is SQL text, as it was said."""

    verb: Verb
    name: str
    value: str = ""


@mypyc_attr(native_class=False)  # weakly referenced, which a native class can't be
@final
class SessionState:
    """Settings and SQL-level prepared statements of a session, as one interned value."""

    __slots__ = ("__weakref__", "settings", "statements")

    settings: Settings
    statements: Settings

    def __init__(self, settings: Settings, statements: Settings) -> None:
        self.settings = settings
        self.statements = statements

    @staticmethod
    def of(settings: Mapping[str, str], statements: Mapping[str, str]) -> SessionState:
        """Find or make the state with these settings and prepared statements."""
        key = (tuple(sorted(settings.items())), tuple(sorted(statements.items())))
        found = _interned.get(key)
        if found is None:
            found = SessionState(*key)
            _interned[key] = found
        return found

    def get(self, name: str) -> str | None:
        """Find what `name` was set to, as SQL text."""
        return dict(self.settings).get(name)

    def with_setting(self, name: str, value: str | None) -> SessionState:
        """The state after `name` was set, or forgotten where `value` is None."""
        return SessionState.of(_changed(self.settings, name, value), dict(self.statements))

    def with_settings(self, settings: Mapping[str, str]) -> SessionState:
        """The state with all settings replaced, and the prepared statements kept."""
        return SessionState.of(settings, dict(self.statements))

    def with_statement(self, name: str, text: str | None) -> SessionState:
        """The state after PREPARE `name`, or after its DEALLOCATE where `text` is None."""
        return SessionState.of(dict(self.settings), _changed(self.statements, name, text))

    def without_statements(self) -> SessionState:
        """The state after DEALLOCATE ALL."""
        return SessionState.of(dict(self.settings), {})

    def changes_to(self, wanted: SessionState) -> list[Change]:
        """Say what turns a server connection in this state into one in `wanted`."""
        changes: list[Change] = []
        changes += _differences(self.statements, wanted.statements, Verb.PREPARE, Verb.DEALLOCATE)
        changes += _differences(self.settings, wanted.settings, Verb.SET, Verb.RESET)
        return changes


_interned: WeakValueDictionary[tuple[Settings, Settings], SessionState] = WeakValueDictionary()

UNTOUCHED: Final = SessionState.of({}, {})
"""A session that has set nothing: what a fresh server connection is in."""


def _changed(items: Settings, name: str, value: str | None) -> dict[str, str]:
    changed = dict(items)
    if value is None:
        changed.pop(name, None)
    else:
        changed[name] = value
    return changed


def _differences(have: Settings, want: Settings, put: Verb, drop: Verb) -> Iterable[Change]:
    held, wanted = dict(have), dict(want)
    for name, value in held.items():
        if name not in wanted or (put is Verb.PREPARE and wanted[name] != value):
            yield Change(drop, name)
    for name, value in wanted.items():
        if held.get(name) != value:
            yield Change(put, name, value)
