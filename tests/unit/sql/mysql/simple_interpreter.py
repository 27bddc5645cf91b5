"""A reader of very simple SQL, for tests of what stands above one."""

from __future__ import annotations

import re
from typing import Final

from proxy.sql.routines import GOOD, Judgement, Verdict
from proxy.sql.statement import Action, Effect, FunctionName, Kind, RelationName, Statement
from proxy.types import Reason

_NAME: Final = r"(?:`?(\w+)`?\.)?`?(\w+)`?"
_OWN: Final = {
    "max": GOOD,
    "count": GOOD,
    "now": Judgement(Verdict.CLOCK, "now"),
    "rand": Judgement(Verdict.DICE, "rand"),
    "connection_id": Judgement(Verdict.PRIMARY, "connection_id"),
}
_WRITES: Final = (
    ("insert into", {Action.INSERT}),
    ("replace into", {Action.INSERT, Action.DELETE}),
    ("update", {Action.UPDATE}),
    ("delete from", {Action.DELETE}),
    ("truncate table", {Action.TRUNCATE}),
)
_NOT_CALLED: Final = frozenset({"values", "in", "from", "into", "select", "set"})


class SimpleInterpreter:
    """See `proxy.sql.mysql.bodies.Interpreter`."""

    def read(self, text: bytes, sql_mode: str = "") -> Statement:
        sql = text.decode()
        lower = sql.lower()
        reads = {
            RelationName(schema or None, name) for schema, name in _found(r"(?:from|join) ", sql)
        }
        functions = {
            FunctionName(schema or None, name, 1)
            for schema, name in _found("", sql, r"\(")
            if name.lower() not in _NOT_CALLED
        }
        kind, reason, effects = Kind.OPAQUE, Reason.UNPARSED, frozenset[Effect]()
        writes: set[RelationName] = set()
        actions: set[Action] = set()
        if lower.startswith("select"):
            kind, reason = Kind.READ, None
        elif lower.startswith("call"):
            kind, reason = Kind.CALL, Reason.OPAQUE
        elif lower.startswith("create temporary table"):
            kind, reason, effects = Kind.SCHEMA, Reason.SCHEMA, frozenset({Effect.TEMPORARY})
        elif lower.startswith(("create", "alter")):
            kind, reason = Kind.SCHEMA, Reason.SCHEMA
        for beginning, done in _WRITES:
            if lower.startswith(beginning):
                kind, reason, actions = Kind.WRITE, Reason.WRITE, done
                schema, name = _found("^" + beginning + " ", sql)[0]
                writes = {RelationName(schema or None, name)}
                functions = {call for call in functions if call.name != name}
                if "on duplicate key" in lower:
                    actions = done | {Action.UPDATE}
        return Statement(
            kind=kind,
            text=text,
            reads=frozenset(reads | writes),
            writes=frozenset(writes),
            actions=frozenset(actions),
            functions=frozenset(functions),
            reason=reason,
            effects=effects,
        )

    def judge(self, name: str, arguments: int) -> Judgement | None:
        return _OWN.get(name)


def _found(before: str, sql: str, after: str = "") -> list[tuple[str, str]]:
    return re.findall(before + _NAME + after, sql, re.IGNORECASE)
