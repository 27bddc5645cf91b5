"""Which statements may answer differently over the same rows, and be right each time.

Rows come in any order where none is said; so what takes only some of them, or puts them together in
the order in which they come, depends on how a server goes about it. Sums of floating-point numbers
do too, in their last digits.

What is told here is told by the text alone: views and functions may hide the same. It is for
judging a difference that was found, and never for deciding what may be kept.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.statement import Statement

_CUTTING: Final = frozenset((b"limit", b"fetch", b"offset"))
"""What takes some rows, but says how many: their number is the same in whatever order they come."""

_ORDERED: Final = frozenset((b"over", b"window", b"array", b"within"))
"""Window functions, where rows have equals; ARRAY(SELECT ...); ordered-set aggregates."""

_GATHERING: Final = frozenset(
    {
        *("array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg"),
        *("jsonb_object_agg", "json_arrayagg", "json_objectagg", "xmlagg", "group_concat"),
        *("any_value", "range_agg", "sum", "avg", "std", "stddev", "stddev_pop", "stddev_samp"),
        *("variance", "var_pop", "var_samp", "corr", "covar_pop", "covar_samp"),
        *("query_to_xml", "table_to_xml"),
    }
)
_FAMILIES: Final = ("regr_", "json_agg_", "json_object_agg_", "jsonb_agg_", "jsonb_object_agg_")


def may_differ(statement: Statement, here: int, there: int) -> bool:
    """Tell if two different answers may both be right.

    Args:
        statement: What was asked.
        here: How many rows one of them has.
        there: And the other.
    """
    words = statement.text.split()
    if not _ORDERED.isdisjoint(words) or b"distinct on (" in statement.text:
        return True
    names = [call.name.lower() for call in statement.functions]
    if any(name in _GATHERING or name.startswith(_FAMILIES) for name in names):
        return True
    return here == there and not _CUTTING.isdisjoint(words)
