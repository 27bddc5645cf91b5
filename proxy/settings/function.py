"""What a function does, where its text does not tell, or tells too much."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum, unique
from typing import Annotated, Final

from pydantic.dataclasses import dataclass

from proxy.settings.values import CONFIG

_NAME: Final = re.compile(r"[^.\s\"]+\.[^.\s\"]+")

Names = Annotated[tuple[str, ...], "list of `schema.name`"]


@unique
class Volatility(Enum):
    """How the result of a function may change. PostgreSQL's names."""

    IMMUTABLE = "immutable"
    STABLE = "stable"
    VOLATILE = "volatile"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Function:
    """What a function reads and writes, all of it, in place of what its text says."""

    reads: Names = ()
    """The tables and views that it reads, by itself and by what it calls."""

    writes: Names = ()
    """The tables and views that it writes to. What their triggers and foreign keys do is known."""

    volatility: Volatility | None = None
    """What it shall be taken for; when not set, what the server has it for. A function that is
    `stable` and writes nothing is a read like any other; `volatile` ones run on the primary."""


def check_functions(functions: Mapping[str, Function]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield where a name is none, and what is wrong with it."""
    for name, function in functions.items():
        if not _is_name(name):
            yield (name,), "a function is named schema.name"
        for setting in ("reads", "writes"):
            for table in getattr(function, setting):
                if not _is_name(table):
                    yield (name, setting), f'"{table}" is not schema.name'


def _is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None
