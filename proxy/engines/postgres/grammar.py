"""What PostgreSQL's session commands say, and what its settings mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, final

from proxy.engines.postgres.names import are_constants_lost, are_names_lost, moves
from proxy.engines.postgres.quoting import plain_name, plain_value, value_of, written
from proxy.engines.postgres.shaping import (
    FIXED,
    SHAPELESS,
    constants_depend_on,
    names_depend_on,
)
from proxy.routing.plan import UNSEEN, Plan
from proxy.session import grammar
from proxy.session.grammar import Defaults, Meaning, Moved, OwnCommand, Settings
from proxy.session.own import PREFIX
from proxy.sql.session_commands import (
    Deallocate,
    Execute,
    Prepare,
    Reset,
    Set,
    read_command,
    read_name_list,
)
from proxy.sql.transaction_control import Begin, read_begin, read_end, read_savepoint
from proxy.wire.prepared import Sense

_UNREADABLE_ENCODINGS: Final = frozenset(
    (
        "sjis",
        "big5",
        "gbk",
        "uhc",
        "gb18030",
        "johab",
        "shift_jis",
        "shift_jis_2004",
        "shiftjis",
        "mskanji",
        "win932",
        "windows932",
        "win936",
        "windows936",
        "win949",
        "windows949",
        "win950",
        "windows950",
    )
)
"""Client encodings in which a byte below 128 may be the second half of a character."""

_OWN_TRIGGERS: Final = ("origin", "local")

ROLE: Final = "role"
AUTHORIZATION: Final = "session_authorization"
ROLES: Final = (ROLE, AUTHORIZATION)


def defaults(search_path: str, isolation: str, encoding: str, shape: str) -> Defaults:
    """What a login begins with, as far as it is looked at here."""
    named = {
        "search_path": search_path,
        "default_transaction_isolation": isolation,
        "client_encoding": encoding,
    }
    return Defaults(named, shape)


@final
class PostgresGrammar(grammar.Grammar):
    """See the base."""

    protocol = "postgres"
    fixed: tuple[str, ...] = FIXED
    rolls_settings_back = True
    fails_whole = True
    unknown_body = UNSEEN

    def understand(self, settings: Settings, defaults: Defaults, user: str) -> Meaning:
        """See the base."""
        made = dict(settings)
        begun = defaults.settings
        role, authorization = made.get(ROLE, ""), made.get(AUTHORIZATION, "")
        is_readable = _is_readable(made, begun["client_encoding"])
        triggers = value_of(made.get("session_replication_role"), "origin")
        return Meaning(
            path=read_name_list(made.get("search_path", begun["search_path"])),
            role=plain_name(role) or plain_name(authorization) or user,
            authorization=authorization,
            isolation=value_of(
                made.get("default_transaction_isolation"), begun["default_transaction_isolation"]
            ),
            encoding=begun["client_encoding"],
            sense=_sense(settings) if is_readable else None,
            is_readable=is_readable,
            fires_others=triggers not in _OWN_TRIGGERS,
            application=plain_value(made.get("application_name", "")),
            shaping=tuple([item for item in settings if item[0] not in SHAPELESS]),
        )

    def must_begin_anew(self, have: Settings, want: Settings) -> bool:
        """See the base: each can be reset by itself."""
        return False

    def names_depend_on(self, name: str) -> bool:
        """See the base."""
        return names_depend_on(name)

    def constants_depend_on(self, name: str) -> bool:
        """See the base."""
        return constants_depend_on(name)

    def moved(self, plan: Plan, text: bytes, *, is_touched: bool) -> Moved:
        """See the base."""
        found = moves(plan, text, is_touched=is_touched)
        return Moved(are_names_lost(found), are_constants_lost(found))

    def adopted(self, rows: Iterable[Sequence[bytes | None]], user: str) -> dict[str, str]:
        """See the base."""
        unset = ((ROLE, "none"), (AUTHORIZATION, user))
        settings: dict[str, str] = {}
        for row in rows:
            name, value = (
                None if field is None else field.decode("utf-8", "surrogateescape") for field in row
            )
            if name is None or value is None or (name, value) in unset:
                continue
            settings[name.lower()] = written(name.lower(), value)
        return settings

    def lasting(self, name: str) -> bool:
        """See the base: RESET ALL leaves roles as they are."""
        return name in ROLES

    def read_begin(self, text: bytes) -> Begin | None:
        """See the base."""
        return read_begin(text)

    def read_end(self, text: bytes) -> bool | None:
        """See the base."""
        return read_end(text)

    def read_savepoint(self, text: bytes) -> str | None:
        """See the base."""
        return read_savepoint(text)

    def read_own(self, sql: bytes) -> OwnCommand | None:
        """See the base."""
        command = read_command(sql)
        if not isinstance(command, Set | Reset) or not (command.name or "").startswith(PREFIX):
            return None
        name = command.name or ""
        if isinstance(command, Set):
            if command.value.strip().lower() == "default":
                return OwnCommand(name, None, command.is_local, b"SET")
            return OwnCommand(name, plain_value(command.value), command.is_local, b"SET")
        return OwnCommand(name, None, False, b"RESET")

    def deallocated_name(self, text: bytes) -> bytes | None:
        """See the base."""
        command = read_command(text)
        if not isinstance(command, Deallocate) or command.name is None:
            return None
        return command.name.encode()

    def prepared_body(self, statements: Mapping[str, str], execute: bytes) -> bytes | None:
        """See the base."""
        command = read_command(execute)
        text = statements.get(command.name) if isinstance(command, Execute) else None
        prepared = read_command(text.encode()) if text is not None else None
        return prepared.body.encode() if isinstance(prepared, Prepare) else None


def _is_readable(settings: Mapping[str, str], default_encoding: str) -> bool:
    encoding = value_of(settings.get("client_encoding"), default_encoding)
    if encoding.replace("-", "_") in _UNREADABLE_ENCODINGS:
        return False
    conforming = value_of(settings.get("standard_conforming_strings"), "on")
    return conforming in ("on", "true", "1")


def _sense(settings: Settings) -> Sense:
    return Sense(
        tuple([item for item in settings if names_depend_on(item[0])]),
        tuple([item for item in settings if constants_depend_on(item[0])]),
    )
