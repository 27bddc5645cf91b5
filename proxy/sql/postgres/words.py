"""PostgreSQL's words, by what they can stand for ("SQL Key Words" in the manual, appendix C).

The outline only needs to know where a word in front of a bracket is no function, and where a
word ends a clause; so these are not the keyword lists themselves but what follows from them.
"""

from __future__ import annotations

from typing import Final

QUERY_STARTS: Final = frozenset({"select", "values", "table", "with"})
"""Words that begin a query: behind an opening bracket they make a subquery of it."""

CHANGES: Final = frozenset({"insert", "update", "delete", "merge"})
"""Words that begin a data-modifying statement, at the top or as a common table expression."""

SET_OPERATIONS: Final = frozenset({"union", "intersect", "except"})

SELECT_CLAUSES: Final = frozenset(
    {
        *("into", "from", "where", "group", "having", "window"),
        *("order", "limit", "offset", "fetch", "for"),
    }
)
"""Words that end a clause of SELECT. All are reserved, and none can be a label without AS."""

JOIN_WORDS: Final = frozenset({"natural", "cross", "inner", "left", "right", "full", "outer"})

ITEM_ENDS: Final = frozenset(
    {*JOIN_WORDS, "on", "using", "tablesample", "with", "set", "where", "when", "returning"}
)
"""Words behind a relation that are not its alias."""

NOT_CALLED: Final = frozenset(
    {
        # Reserved words: none can name a function.
        *("all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "both"),
        *("case", "check", "collate", "column", "constraint", "create", "default", "deferrable"),
        *("desc", "distinct", "do", "else", "end", "except", "fetch", "for", "foreign", "from"),
        *("grant", "group", "having", "in", "initially", "intersect", "into", "lateral"),
        *("leading", "limit", "not", "offset", "on", "only", "or", "order", "placing", "primary"),
        *("references", "returning", "select", "some", "symmetric", "table", "then", "to"),
        *("trailing", "union", "unique", "using", "variadic", "when", "where", "window", "with"),
        # Expressions that are no function calls.
        *("between", "coalesce", "exists", "greatest", "grouping", "least", "nullif", "row"),
        *("merge_action", "setof", "values", "none", "out", "inout"),
    }
)
"""Words that are no function even in front of a bracket. What stands in the bracket is read."""

NOT_CALLED_BEHIND: Final = frozenset(
    {
        *(("by", "order"), ("by", "group"), ("by", "partition"), ("first", "fetch")),
        *(("next", "fetch"), ("set", "update")),
    }
)
"""Words that are no function when the second word stands in front of them."""

TYPES_WITH_MODIFIERS: Final = frozenset(
    {
        *("bit", "char", "character", "dec", "decimal", "float", "int", "integer", "bigint"),
        *("smallint", "boolean", "real", "interval", "national", "nchar", "numeric", "precision"),
        *("time", "timestamp", "varchar"),
    }
)
"""Words for types that take a bracket and can't name a function."""

TYPES_OF_GRAMMAR: Final = TYPES_WITH_MODIFIERS | {"double"}
"""Words for types that other words may follow."""

BEFORE_STRINGS: Final = frozenset(
    {*("like", "ilike", "escape", "zone", "similar", "is", "isnull", "notnull", "overlaps")}
)
"""Words that may stand in front of a string and name no type."""

INFIX: Final = frozenset({"like", "ilike", "overlaps", "is", "isnull", "notnull", "similar"})
"""Words that are an operator behind an operand and may be a function elsewhere."""

CALLS_WITHOUT_BRACKETS: Final = frozenset(
    {
        *("current_catalog", "current_date", "current_role", "current_schema", "current_time"),
        *("current_timestamp", "current_user", "localtime", "localtimestamp", "session_user"),
        *("system_user", "user"),
    }
)
"""Reserved words that are function calls by themselves."""

CALLS_WITH_GRAMMAR: Final = {
    "cast": (),
    "treat": (),
    "extract": ("extract", "date_part"),
    "normalize": ("normalize",),
    "overlay": ("overlay",),
    "position": ("position",),
    "substring": ("substring", "similar_to_escape"),
    "trim": ("btrim", "ltrim", "rtrim"),
}
"""Calls with words among their arguments, and the functions that they stand for."""

CALLS_OF_ANY_LENGTH: Final = frozenset(
    {
        *("json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg"),
        *("json_query", "json_scalar", "json_serialize", "json_table", "json_value"),
        *("xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces"),
        *("xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable", "columns"),
    }
)
"""Calls whose commas do not count arguments, in the one or the other server version."""

SYSTEM_COLUMNS: Final = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"})

LITERALS: Final = frozenset({"''", "0", "$1"})

CONSTANTS: Final = frozenset({"null", "true", "false"})

TYPE_WORDS: Final = frozenset(
    {
        *("precision", "varying", "character", "char", "without", "time", "zone", "year", "month"),
        *("day", "hour", "minute", "second"),
    }
)
"""Words that go on with the name of a type."""
