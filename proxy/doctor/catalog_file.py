"""Definitions in a file, so that statements can be judged away from the servers.

JSON: the answers to an engine's questions, by their names. They mean something only to those
questions, so a digest of their texts is kept with them: answers to others are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from proxy.doctor.ways import Asker, Rows
from proxy.errors import Unanswerable
from proxy.sql.bodies import Declarations
from proxy.sql.lineage import Lineage

FORMAT: Final = 1

FIRST: Final = "postgres"
"""The engine of files that name none."""

_AGAIN: Final = "save it again with `tidegate explain --save-catalog`"


def write(asker: Asker, database: str, rows: Rows) -> str:
    """Make the text of a file."""
    said = {
        "tidegate_catalog": FORMAT,
        "engine": asker.engine,
        "queries": _digest(asker),
        "database": database,
        "rows": {name: [list(row) for row in answer] for name, answer in rows.items()},
    }
    return json.dumps(said, ensure_ascii=True, separators=(",", ":")) + "\n"


def engine_of(text: str, name: str) -> str:
    """Tell which engine's definitions are in a file's text.

    Raises:
        Unanswerable: It is no catalog.
    """
    try:
        said = json.loads(text)
    except ValueError:
        raise Unanswerable(f"{name}: not a catalog: not JSON") from None
    if not isinstance(said, dict) or "tidegate_catalog" not in said:
        raise Unanswerable(f"{name}: not a catalog: {_AGAIN}")
    return str(said.get("engine", FIRST))


def read(asker: Asker, text: str, name: str, declarations: Declarations | None = None) -> Lineage:
    """Read a file's text.

    Args:
        asker: Of the file's engine.
        text: What is in it.
        name: What the file is called.
        declarations: What functions do, by those who know.

    Raises:
        Unanswerable: It is no catalog, or one that another version has written.
    """
    engine = engine_of(text, name)
    if engine != asker.engine:
        raise Unanswerable(f"{name}: definitions of {engine}, not of {asker.engine}")
    said = json.loads(text)
    if said["tidegate_catalog"] != FORMAT or said.get("queries") != _digest(asker):
        raise Unanswerable(f"{name}: written by another version of Tidegate: {_AGAIN}")
    try:
        rows = {key: _tuples(answer) for key, answer in said["rows"].items()}
        return asker.build(str(said["database"]), declarations, rows)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unanswerable(f"{name}: a damaged catalog: {_AGAIN}") from None


def _tuples(rows: Sequence[Sequence[object]]) -> list[tuple[object, ...]]:
    return [tuple(row) for row in rows]


def _digest(asker: Asker) -> str:
    return sha256("\0".join(asker.questions()).encode()).hexdigest()[:16]
