"""Settings that a query makes: `SELECT set_config('name', 'value', false)`.

Only the plain form is read, with nothing in the query but such calls, so that each of them is
known to run once. What is read otherwise is left to whoever asks the server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 4096
"""No setting that people make is longer; what is, is not looked at."""

_SPACE: Final = r"[ \t\r\n\f]"
_STRING: Final = r"'((?:[^']|'')*)'"
_CALL: Final = (
    rf"(?:pg_catalog{_SPACE}*\.{_SPACE}*)?set_config{_SPACE}*\({_SPACE}*{_STRING}{_SPACE}*,"
    rf"{_SPACE}*(?:{_STRING}|\$[0-9]+){_SPACE}*,{_SPACE}*(true|false){_SPACE}*\)"
    rf"(?:{_SPACE}+(?:as{_SPACE}+)?[a-z_][a-z0-9_]*)?{_SPACE}*"
)
_QUERY: Final = re.compile(
    rf"{_SPACE}*select{_SPACE}+({_CALL}(?:,{_SPACE}*{_CALL})*);?{_SPACE}*", re.IGNORECASE
)
_EACH: Final = re.compile(_CALL, re.IGNORECASE)


@dataclass(slots=True, frozen=True)
class SettingCall:
    """One call of `set_config`.

    Attributes:
        name: The setting, folded.
        value: What it is set to, as the string says it; a list is still one text. None where that
            is a parameter's.
        is_local: Only until the transaction ends.
    """

    name: str
    value: str | None
    is_local: bool


def read_setting_calls(sql: bytes) -> tuple[SettingCall, ...] | None:
    """Read a query that does nothing but make settings; None: not one, or not read exactly.

    Args:
        sql: One statement, as it was sent, with `standard_conforming_strings` on.
    """
    if len(sql) > LONGEST or not sql.isascii():
        return None
    match = _QUERY.fullmatch(sql.decode())
    if match is None:
        return None
    return tuple(
        SettingCall(
            name=call[1].replace("''", "'").lower(),
            value=None if call[2] is None else call[2].replace("''", "'"),
            is_local=call[3].lower() == "true",
        )
        for call in _EACH.finditer(match[1])
    )


_CUSTOM: Final = re.compile(rb"'([A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)+)'")


def custom_names(sql: bytes) -> set[str]:
    """List what may be names of custom settings among a text's strings, wherever they stand."""
    return {name.decode().lower() for name in _CUSTOM.findall(sql[:LONGEST])}
