"""What MySQL's session commands say, and what its settings mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, final

from proxy.engines.mysql.settings import (
    CHARSETS,
    CUTTING_MODES,
    ISOLATIONS,
    SCHEMA,
    SHAPELESS,
    UNICODE,
    UNREADABLE_CHARSETS,
    UNREADABLE_MODES,
    plain,
    quote,
)
from proxy.routing.plan import Plan
from proxy.routing.reading import UNREAD
from proxy.session import grammar
from proxy.session.grammar import Defaults, Meaning, Moved, OwnCommand, Settings
from proxy.session.own import PREFIX
from proxy.sql.mysql.scanner import ONE_BYTE
from proxy.sql.mysql.session_commands import Scope, Set, read_command
from proxy.sql.mysql.transaction_control import read_begin, read_end, read_savepoint
from proxy.sql.statement import Kind
from proxy.sql.transaction_control import Begin
from proxy.wire.prepared import Sense

_CONSTANTS: Final = frozenset(("sql_mode", *CHARSETS))
"""What texts depend on when they are prepared; their schema is fixed then, too."""

_ALONE: Final = ("autocommit", quote("ON"))

_BEGIN: Final = Begin(b"START TRANSACTION", b"BEGIN")

_MOVES: Final = frozenset((Kind.SET, Kind.USE, Kind.SET_LOCAL, Kind.DISCARD, Kind.RESET))


@final
class MySQLGrammar(grammar.Grammar):
    """See the base."""

    protocol = "mysql"
    fixed: tuple[str, ...] = ()
    rolls_settings_back = False
    fails_whole = False
    unknown_body = UNREAD  # MySQL prepares procedures' calls and definitions, too

    def understand(self, settings: Settings, defaults: Defaults, user: str) -> Meaning:
        """See the base."""
        made = dict(settings)
        begun = defaults.settings
        schema = _schema(made)
        charset = plain(made.get("character_set_client"), begun["character_set_client"])
        modes = plain(made.get("sql_mode"), begun["sql_mode"]).split(",")
        is_readable = charset not in UNREADABLE_CHARSETS and UNREADABLE_MODES.isdisjoint(modes)
        isolation = begun["isolation"]
        for name in ISOLATIONS:
            isolation = plain(made.get(name), isolation)
        return Meaning(
            path=(schema,) if schema else (),
            role=user,
            authorization=made.get("role", ""),
            isolation=isolation.replace("-", " ").lower(),
            encoding=plain(made.get("character_set_results"), charset),
            sense=_sense(settings) if is_readable else None,
            is_readable=is_readable,
            fires_others=plain(made.get("foreign_key_checks"), "on") in ("off", "0"),
            application="",
            shaping=tuple([item for item in settings if item[0] not in SHAPELESS]),
            alone=None if _commits_itself(made, begun) else _ALONE,
            modes=sum([CUTTING_MODES.get(mode, 0) for mode in modes])
            + (0 if charset in UNICODE else ONE_BYTE),
        )

    def must_begin_anew(self, have: Settings, want: Settings) -> bool:
        """See the base: a session can't be without a schema any more once it has had one."""
        return bool(_schema(dict(have))) and not _schema(dict(want))

    def names_depend_on(self, name: str) -> bool:
        """See the base: names are fixed in what is prepared."""
        return False

    def constants_depend_on(self, name: str) -> bool:
        """See the base."""
        return name in _CONSTANTS or name == SCHEMA

    def moved(self, plan: Plan, text: bytes, *, is_touched: bool) -> Moved:
        """See the base."""
        is_other = plan.taints or plan.statement.kind in _MOVES
        return Moved(is_other, False)

    def adopted(self, rows: Iterable[Sequence[bytes | None]], user: str) -> dict[str, str]:
        """See the base: servers say themselves what is set, and are not asked."""
        return {}

    def lasting(self, name: str) -> bool:
        """See the base."""
        return False

    def read_begin(self, text: bytes) -> Begin | None:
        """See the base. One that takes its snapshot at once is for the server."""
        found = read_begin(text)
        if found is None or found.consistent_snapshot:
            return None
        return Begin(text, b"BEGIN")

    @property
    def begins_itself(self) -> Begin:
        """See the base: autocommit is off."""
        return _BEGIN

    def read_end(self, text: bytes) -> bool | None:
        """See the base."""
        found = read_end(text)
        if found is None or found.release:
            return None
        return bool(found.chain)

    def read_savepoint(self, text: bytes) -> str | None:
        """See the base."""
        return read_savepoint(text)

    def read_own(self, sql: bytes) -> OwnCommand | None:
        """See the base."""
        command = read_command(sql)
        if not isinstance(command, Set) or len(command.assignments) != 1:
            return None
        (one,) = command.assignments
        if one.scope is not Scope.SESSION or not one.name.startswith(PREFIX):
            return None
        value = one.value.strip()
        if value.lower() == "default":
            return OwnCommand(one.name, None, False, b"SET")
        return OwnCommand(one.name, value.strip("'\""), False, b"SET")

    def deallocated_name(self, text: bytes) -> bytes | None:
        """See the base: what is prepared by the protocol has no names."""
        return None

    def prepared_body(self, statements: Mapping[str, str], execute: bytes) -> bytes | None:
        """See the base: what is prepared in SQL stays on its connection, unread."""
        return None


def _commits_itself(settings: Mapping[str, str], begun: Mapping[str, str]) -> bool:
    """Whether each statement is a transaction, where none is begun."""
    return plain(settings.get("autocommit"), begun.get("autocommit", "on")) in ("on", "1")


def _schema(settings: Mapping[str, str]) -> str:
    """The session's schema, plain; empty: it has none."""
    text = settings.get(SCHEMA, "")
    return text[1:-1].replace("``", "`") if text.startswith("`") else text


def _sense(settings: Settings) -> Sense:
    constants = tuple([item for item in settings if item[0] in _CONSTANTS or item[0] == SCHEMA])
    return Sense((), constants)
