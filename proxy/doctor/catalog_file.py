"""A database's definitions in a file, so that statements can be judged away from the servers.

JSON: the rows of every query of `catalog_queries`, by its name there. They mean something only to
those queries, so a digest of their texts is kept with them: rows of others are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from proxy.errors import Unanswerable
from proxy.sql.bodies import Declarations
from proxy.sql.catalog import Catalog
from proxy.sql.catalog_queries import QUERIES

FORMAT: Final = 1

Rows = Mapping[str, Sequence[Sequence[Any]]]

_AGAIN: Final = "save it again with `tidegate explain --save-catalog`"


def write(database: str, rows: Rows) -> str:
    """Make the text of a file."""
    said = {
        "tidegate_catalog": FORMAT,
        "queries": _digest(),
        "database": database,
        "rows": {name: [list(row) for row in rows[name]] for name in QUERIES},
    }
    return json.dumps(said, ensure_ascii=True, separators=(",", ":")) + "\n"


def read(text: str, name: str, declarations: Declarations | None = None) -> Catalog:
    """Read a file's text.

    Args:
        text: What is in it.
        name: What the file is called.
        declarations: What functions do, by those who know.

    Raises:
        Unanswerable: It is no catalog, or one that another version has written.
    """
    try:
        said = json.loads(text)
    except ValueError:
        raise Unanswerable(f"{name}: not a catalog: not JSON") from None
    if not isinstance(said, dict) or "tidegate_catalog" not in said:
        raise Unanswerable(f"{name}: not a catalog: {_AGAIN}")
    if said["tidegate_catalog"] != FORMAT or said.get("queries") != _digest():
        raise Unanswerable(f"{name}: written by another version of Tidegate: {_AGAIN}")
    try:
        rows = {key: said["rows"][key] for key in QUERIES}
        return Catalog.build(str(said["database"]), declarations, **rows)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unanswerable(f"{name}: a damaged catalog: {_AGAIN}") from None


def _digest() -> str:
    text = "\0".join(f"{name}\0{sql}" for name, sql in sorted(QUERIES.items()))
    return sha256(text.encode()).hexdigest()[:16]
