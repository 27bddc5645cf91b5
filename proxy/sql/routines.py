"""Judging functions: what a call can do to the promise of a read.

The name and the number of arguments say which overloads can be meant; all of them must be good,
since types are not known here. Volatility is the base: the author's label is believed, as the
server itself believes it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Set
from enum import IntEnum
from typing import Final, NamedTuple

from proxy.sql import functions
from proxy.sql.statement import ANY_ARGUMENTS, Effect, FunctionName

BUILTIN_SCHEMA: Final = "pg_catalog"
FIRST_USER_OID: Final = 16384

_VOLATILITIES: Final = (("i", "immutable"), ("s", "stable"), ("v", "volatile"))


class Verdict(IntEnum):
    """What a call allows, from best to worst."""

    # Depends on its arguments and on what a cache key holds.
    DATA = 0
    # Tells the time: any server, no cache.
    CLOCK = 1
    # Rolls dice: any server, no cache.
    DICE = 2
    # The primary; it changes no table's content.
    PRIMARY = 3
    # May write anything, and leave anything in the session.
    ANYTHING = 4


class Judgement(NamedTuple):
    """A verdict, whose it is, and whether the session may be changed by it.

    Attributes:
        follow: Functions that are judged by what they run, whenever they are called.
    """

    verdict: Verdict
    detail: str = ""
    taints: bool = False
    follow: frozenset[int] = frozenset()

    @property
    def is_good(self) -> bool:
        """Whether nothing follows from it."""
        return self.verdict is Verdict.DATA and not self.taints and not self.follow


GOOD: Final = Judgement(Verdict.DATA)


class Routine(NamedTuple):
    """A row of pg_proc."""

    oid: int
    schema: str
    name: str
    volatility: str
    arguments: int
    defaults: int
    variadic: bool
    takes_row: bool
    sets: bool  # mentions set_config
    extension: str | None

    def takes(self, count: int) -> bool:
        """Whether a call with so many arguments can mean this one."""
        if count == ANY_ARGUMENTS:
            return True
        if count > self.arguments:
            return self.variadic
        return count >= self.arguments - self.defaults - self.variadic


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """Take the worst of several; it taints if any of them does, and follows what each does."""
    result = GOOD
    for judgement in judgements:
        if judgement is GOOD:
            continue
        taints = result.taints or judgement.taints
        follow = result.follow | judgement.follow
        if judgement.verdict > result.verdict:
            result = judgement
        if taints != result.taints or follow != result.follow:
            result = result._replace(taints=taints, follow=follow)
    return result


class Routines:
    """Every function of a database.

    Args:
        rows: See `catalog_queries.ROUTINES`.
        aggregate_calls: See `catalog_queries.AGGREGATE_CALLS`.
        told: Functions of which it can be told what they run.
    """

    __slots__ = ("_aggregates", "_arguments", "_by_name", "_by_oid", "_told")

    def __init__(
        self,
        rows: Iterable[Iterable[object]],
        aggregate_calls: Iterable[tuple[int, int]],
        told: Container[int] = frozenset(),
    ) -> None:
        """Sort them by name."""
        self._by_oid: dict[int, Routine] = {}
        self._by_name: dict[str, list[Routine]] = {}
        for row in rows:
            routine = Routine(*row)  # type: ignore[arg-type]
            self._by_oid[routine.oid] = routine
            self._by_name.setdefault(routine.name, []).append(routine)
        self._aggregates: dict[int, list[int]] = {}
        for aggregate, part in aggregate_calls:
            self._aggregates.setdefault(aggregate, []).append(part)
        self._told = told
        self._arguments: dict[int, Judgement] = {}

    @property
    def schemas(self) -> Set[str]:
        """Every schema that has a function."""
        return {routine.schema for routine in self._by_oid.values()}

    def get(self, oid: int) -> Routine | None:
        """Find a function."""
        return self._by_oid.get(oid)

    def add_call(self, oid: int, judgement: Judgement) -> None:
        """Note what a function calls besides, by the types of its arguments."""
        self._arguments[oid] = worst((self._arguments.get(oid, GOOD), judgement))

    def find(self, schema: str | None, name: str) -> list[Routine]:
        """Find the functions of a name, all of its overloads."""
        return [routine for routine in self._by_name.get(name, ()) if routine.schema == schema]

    def relabel(self, routine: Routine, volatility: str | None) -> None:
        """Judge a function by what is said of it, not by its extension."""
        other = routine._replace(extension=None, volatility=volatility or routine.volatility)
        self._by_oid[routine.oid] = other
        named = self._by_name[routine.name]
        named[named.index(routine)] = other

    def is_builtin_everywhere(self, name: str) -> bool:
        """Tell whether nobody has a function of this name but the server."""
        return all(routine.oid < FIRST_USER_OID for routine in self._by_name.get(name, ()))

    def judge(self, call: FunctionName, search_path: tuple[str, ...]) -> Judgement:
        """Judge a call by every overload that it can mean."""
        candidates = self._candidates(call.schema, call.name, search_path)
        if not candidates:
            return self._judge_unknown(call)
        meant = [routine for routine in candidates if routine.takes(call.arguments)]
        return worst(self._judge(routine, call.arguments) for routine in meant or candidates)

    def judge_attribute(self, name: str, search_path: tuple[str, ...]) -> Judgement:
        """Judge `a.name`, which calls a function of a row where there is no such column."""
        return worst(
            self._judge(routine, 1)
            for routine in self._candidates(None, name, search_path)
            if routine.takes_row and routine.takes(1)
        )

    def volatility(self, call: FunctionName, search_path: tuple[str, ...]) -> str:
        """Name the volatility of every overload that a call can mean, for people."""
        candidates = self._candidates(call.schema, call.name, search_path)
        meant = [routine for routine in candidates if routine.takes(call.arguments)]
        found = {routine.volatility for routine in meant or candidates}
        return " or ".join(name for letter, name in _VOLATILITIES if letter in found)

    def takes_row(self, name: str, search_path: tuple[str, ...]) -> bool:
        """Tell whether `a.name` can call a function."""
        return any(routine.takes_row for routine in self._candidates(None, name, search_path))

    def is_builtin(self, name: str, search_path: tuple[str, ...]) -> bool:
        """Tell whether a name means nobody's function but the server's own."""
        candidates = self._candidates(None, name, search_path)
        return all(routine.oid < FIRST_USER_OID for routine in candidates)

    def judge_selection(self, name: str, search_path: tuple[str, ...]) -> Judgement:
        """Judge `(a).name`, which can call any function of one argument."""
        return worst(
            self._judge(routine, 1)
            for routine in self._candidates(None, name, search_path)
            if routine.takes(1)
        )

    def judge_oid(self, oid: int) -> Judgement:
        """Judge a function that the catalog itself names."""
        routine = self._by_oid.get(oid)
        if routine is None:
            return Judgement(Verdict.ANYTHING, f"function {oid}", taints=True)
        return self._judge(routine, routine.arguments)

    def _candidates(
        self, schema: str | None, name: str, search_path: tuple[str, ...]
    ) -> list[Routine]:
        named = self._by_name.get(name, [])
        if schema is not None:
            return [routine for routine in named if routine.schema == schema]
        return [
            routine
            for routine in named
            if routine.schema == BUILTIN_SCHEMA or routine.schema in search_path
        ]

    def _judge_unknown(self, call: FunctionName) -> Judgement:
        if call.schema in (None, BUILTIN_SCHEMA):
            if call.name in functions.KEYWORDS:
                return _judge_builtin(call.name, "s", call.arguments)
            if call.name in functions.GRAMMAR:
                return Judgement(Verdict.PRIMARY, call.name)
        return Judgement(Verdict.ANYTHING, call.name, taints=True)

    def _judge(self, routine: Routine, count: int) -> Judgement:
        if routine.oid < FIRST_USER_OID:
            return _judge_builtin(routine.name, routine.volatility, count)
        if routine.oid in self._told and not _is_known(routine):
            own = Judgement(Verdict.DATA, follow=frozenset((routine.oid,)))
        else:
            own = judge_unread(routine)
        arguments = self._arguments.get(routine.oid)
        parts = self._aggregates.get(routine.oid, ())
        if arguments is None and not parts:
            return own
        return worst((own, arguments or GOOD, *(self.judge_oid(part) for part in parts)))


def _judge_builtin(name: str, volatility: str, count: int) -> Judgement:
    if volatility == "i":
        return GOOD
    if name in functions.CLOCK or (name, count) == functions.AGE_SINCE_TODAY:
        return Judgement(Verdict.CLOCK, name)
    if name in functions.MAKES_TIMES:
        return Judgement(Verdict.CLOCK, name)
    if name in functions.RANDOM:
        return Judgement(Verdict.DICE, name)
    if volatility == "s" and (
        name in functions.STABLE_DATA or name in functions.KEYWORDS or (name, count) == ("age", 2)
    ):
        return GOOD
    if name in functions.RUNS_SQL:
        return Judgement(Verdict.ANYTHING, name, taints=True)
    return Judgement(Verdict.PRIMARY, name, taints=functions.effect_of(name) is Effect.SETTING)


def _is_known(routine: Routine) -> bool:
    """Whether it belongs to an extension whose functions are judged by their names."""
    called = (routine.extension, routine.name)
    return (
        called in functions.HARMLESS_IN_EXTENSIONS
        or called in functions.MAKES_TIMES_IN_EXTENSIONS
        or routine.extension in functions.STABLE_EXTENSIONS
    )


def judge_unread(routine: Routine) -> Judgement:
    """Judge a function that is not the server's own by what is written on it."""
    if routine.volatility == "v":
        if (routine.extension, routine.name) in functions.HARMLESS_IN_EXTENSIONS:
            return Judgement(Verdict.DICE, routine.name)
        return Judgement(Verdict.ANYTHING, routine.name, taints=True)
    if (routine.extension, routine.name) in functions.MAKES_TIMES_IN_EXTENSIONS:
        return Judgement(Verdict.CLOCK, routine.name)
    if routine.volatility == "i" or routine.extension in functions.STABLE_EXTENSIONS:
        return Judgement(Verdict.DATA, taints=routine.sets)
    # It may read tables that nobody told us of.
    return Judgement(Verdict.PRIMARY, routine.name, taints=routine.sets)
