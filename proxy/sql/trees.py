"""What both engines' second readings do alike: parse with sqlglot, and compare with the outline."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from proxy.sql.groups import NotUnderstood
from proxy.types import Reason


class Disagreement(NotUnderstood):
    """The two readings differ."""


class UnknownNode(NotUnderstood):
    """The tree has a node that is not on the list."""

    reason = Reason.NODE


def parse(dialect: Dialect, text: str, roots: frozenset[type[exp.Expr]]) -> exp.Expr:
    """Parse one statement.

    Raises:
        NotUnderstood: sqlglot does not parse it, or it is none of these.
    """
    try:
        trees = dialect.parse(text)
    except RecursionError:
        raise NotUnderstood("nested too deep") from None
    except Exception as error:  # whatever another's parser trips over was not understood
        raise NotUnderstood(str(error).partition("\n")[0]) from None
    tree = trees[0] if len(trees) == 1 else None
    if tree is None:
        raise NotUnderstood("not one statement")
    if type(tree) not in roots:
        raise UnknownNode(type(tree).__name__)
    return tree


def agree(*readings: tuple[str, object, object]) -> None:
    """Compare two readings of several things.

    Raises:
        Disagreement: They differ in one.
    """
    for what, mine, others in readings:
        if mine != others:
            raise Disagreement(f"two readings differ: {what}")
