"""The `options` of a startup packet: a command line in one string, as `PGOPTIONS` gives it.

Only settings are understood (`-c name=value`, `--name=value`). A server's other switches
can't be carried to a connection that was opened before, so they are refused, not dropped.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.errors import InvalidSetting, Unsupported

_WORD: Final = re.compile(rb"(?:\\.|[^\\\s])+", re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)


def read_options(options: bytes) -> dict[bytes, bytes]:
    """The settings in an `options` string, by lower-case name; the last of a name holds.

    Raises:
        InvalidSetting: A switch lacks its value.
        Unsupported: There is something else than settings.
    """
    settings: dict[bytes, bytes] = {}
    words = iter(split_options(options))
    for word in words:
        if word == b"-c":
            assignment, switch = next(words, b""), "-c "
        elif word.startswith(b"-c"):
            assignment, switch = word[2:], "-c "
        elif word.startswith(b"--") and len(word) > 2:
            assignment, switch = word[2:], "--"
        else:
            raise Unsupported(
                f"startup option {_shown(word)!r} is not supported: only settings are,"
                " as -c name=value or --name=value"
            )
        name, equals, value = assignment.partition(b"=")
        if not name or not equals:
            raise InvalidSetting(f"{switch}{_shown(name)} requires a value")
        settings[name.replace(b"-", b"_").lower()] = value
    return settings


def split_options(options: bytes) -> list[bytes]:
    """The words of an `options` string: white space parts them, a backslash takes what follows.

    A backslash at the very end stands for nothing (`pg_split_opts` in postinit.c).
    """
    return [_ESCAPED.sub(rb"\1", word) for word in _WORD.findall(options)]


def _shown(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")
