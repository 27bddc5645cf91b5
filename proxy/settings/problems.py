"""Mistakes in a configuration, as lines an operator can act on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.settings.model import Admin, Log, ServerGroup, Settings, User, fields_of
from proxy.settings.rule import Rule

Where: TypeAlias = tuple[str | int, ...]

WITHOUT_VALUE: Final = {"string_type", "unexpected_keyword_argument", "dataclass_type", "dict_type"}
"""Kinds of mistakes whose value is not shown: it may be a secret, or long."""

ALLOWED: Final = {
    "string_type": "must be a text in quotes",
    "dataclass_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list in brackets",
    "path_type": "must be a file's path in quotes",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it is in the file, and what is allowed there."""

    where: Where
    what: str

    def __str__(self) -> str:
        return f"{path(self.where)}: {self.what}" if self.where else self.what


def path(where: Where) -> str:
    """Write a place as TOML would: server_groups.app.servers[1]."""
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def explain(error: ValidationError, raw: object) -> list[Problem]:
    """Say what is wrong, in the operator's words.

    Args:
        error: What the model found.
        raw: The file's content before variables were filled in, so that no value
            from the environment is ever shown.
    """
    return [_explain(detail, raw) for detail in error.errors(include_url=False)]


def _explain(detail: ErrorDetails, raw: object) -> Problem:
    where, kind = detail["loc"], detail["type"]
    given = find(raw, where)
    if kind == "unexpected_keyword_argument":
        return Problem(where, _unknown(where))
    allowed = ALLOWED.get(kind)
    if allowed is None:
        allowed = f"must be {_expected(detail)}"
    shown = "" if kind in WITHOUT_VALUE else _shown(given)
    return Problem(where, allowed + shown)


def _expected(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "enum":
            # pydantic writes 'a', 'b' or 'c'; TOML wants double quotes.
            return "one of " + str(context["expected"]).replace("'", '"').replace(" or ", ", ")
        case "greater_than_equal":
            return f"{context['ge']} or more"
        case "value_error":
            return str(context["error"])
        case _:
            return detail["msg"].removeprefix("Input should be ")


def _unknown(where: Where) -> str:
    """Name the setting that was probably meant."""
    close = get_close_matches(str(where[-1]), _names(where[:-1]), n=1)
    return f"unknown setting; did you mean {close[0]}?" if close else "unknown setting"


def _names(table: Where) -> Iterable[str]:
    """The settings of a table, by the table's place."""
    match table:
        case ():
            return fields_of(Settings)
        case ("admin",):
            return fields_of(Admin)
        case ("log",):
            return fields_of(Log)
        case ("server_groups", _, "rules", _):
            return fields_of(Rule)
        case ("server_groups", _):
            return fields_of(ServerGroup)
        case _:
            return fields_of(User)


def _shown(given: object) -> str:
    # A connection string holds a password, so nothing with an @ is repeated.
    if isinstance(given, str) and "@" not in given:
        return f', not "{given}"'
    if isinstance(given, bool):
        return f", not {str(given).lower()}"
    return f", not {given}" if isinstance(given, int | float) else ""


def find(raw: object, where: Where) -> object:
    """Return what the file has at a place; None where it has nothing."""
    for step in where:
        if isinstance(raw, Mapping):
            raw = raw.get(step)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
        else:
            return None
    return raw
