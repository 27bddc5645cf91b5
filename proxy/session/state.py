"""What a client has set in its session, and how to bring a server connection to it.

A `SessionState` is immutable and interned: two sessions that have set the same
things share one object, so "does this server connection fit" is one `is`. The
values are kept as the SQL text that set them; only an engine's dialect knows
how to say them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import Final, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr

from proxy.session.grammar import Grammar, Settings

Made = tuple[str, Settings]
"""The text that prepared a statement, and what was set then, as far as texts depend on it."""

Statements = tuple[tuple[str, Made], ...]


@unique
class Verb(Enum):
    """What is to be done to a server connection's session."""

    SET = "set"
    RESET = "reset"
    PREPARE = "prepare"
    DEALLOCATE = "deallocate"


@dataclass(slots=True, frozen=True)
class Change:
    """One step from one state to another.

    Attributes:
        value: SQL text, as it was said.
        stage: Steps of one stage may be taken in any order that works; stages follow each other.
    """

    verb: Verb
    name: str
    value: str = ""
    stage: int = 0


@mypyc_attr(native_class=False)  # weakly referenced, which a native class can't be
@final
class SessionState:
    """Settings and SQL-level prepared statements of a session, as one interned value."""

    __slots__ = ("__weakref__", "settings", "statements")

    settings: Settings
    statements: Statements

    def __init__(self, settings: Settings, statements: Statements) -> None:
        self.settings = settings
        self.statements = statements

    @staticmethod
    def of(settings: Mapping[str, str], statements: Mapping[str, Made]) -> SessionState:
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
        settings = dict(self.settings)
        if value is None:
            settings.pop(name, None)
        else:
            settings[name] = value
        return SessionState.of(settings, dict(self.statements))

    def with_settings(self, settings: Mapping[str, str]) -> SessionState:
        """The state with all settings replaced, and the prepared statements kept."""
        return SessionState.of(settings, dict(self.statements))

    def with_statement(self, name: str, text: str, grammar: Grammar) -> SessionState:
        """The state after PREPARE `name`."""
        made = tuple([item for item in self.settings if grammar.shapes_texts(item[0])])
        return SessionState.of(dict(self.settings), {**dict(self.statements), name: (text, made)})

    def without_statement(self, name: str) -> SessionState:
        """The state after DEALLOCATE `name`."""
        statements = dict(self.statements)
        statements.pop(name, None)
        return SessionState.of(dict(self.settings), statements)

    def without_statements(self) -> SessionState:
        """The state after DEALLOCATE ALL."""
        return SessionState.of(dict(self.settings), {})

    def changes_to(self, wanted: SessionState, grammar: Grammar) -> list[Change]:
        """Say what turns a server connection in this state into one in `wanted`.

        What was prepared under other settings is prepared under those again.
        """
        held, statements = dict(self.statements), dict(wanted.statements)
        changes = [
            Change(Verb.DEALLOCATE, name)
            for name, made in held.items()
            if statements.get(name) != made
        ]
        by_settings: dict[Settings, list[Change]] = {}
        others = {name: value for name, value in wanted.settings if not grammar.shapes_texts(name)}
        for name, made in statements.items():
            if held.get(name) != made:
                text, settings = made
                then = tuple(sorted({**others, **dict(settings)}.items()))
                by_settings.setdefault(then, []).append(Change(Verb.PREPARE, name, text))
        have = self.settings
        last = by_settings.pop(wanted.settings, [])
        stage = 0
        for settings, prepares in by_settings.items():
            changes += _differences(have, settings, stage)
            changes += [replace(change, stage=stage + 1) for change in prepares]
            have = settings
            stage += 2
        changes += _differences(have, wanted.settings, stage)
        changes += [replace(change, stage=stage + 1) for change in last]
        return changes


_interned: WeakValueDictionary[tuple[Settings, Statements], SessionState] = WeakValueDictionary()

UNTOUCHED: Final = SessionState.of({}, {})
"""A session that has set nothing: what a fresh server connection is in."""


def _differences(have: Settings, want: Settings, stage: int) -> Iterable[Change]:
    held, wanted = dict(have), dict(want)
    for name in held:
        if name not in wanted:
            yield Change(Verb.RESET, name, stage=stage)
    for name, value in wanted.items():
        if held.get(name) != value:
            yield Change(Verb.SET, name, value, stage)
