"""Words of MySQL's and MariaDB's SQL, by what they can stand for.

`RESERVED` and `TOUCHING` were asked of the servers themselves (MySQL 9.7, MariaDB 10.11): a
reserved word names no table without quotes, and a function whose bracket must touch it is said not
to exist when it does not ("Keywords and Reserved Words", "Function Name Parsing and Resolution").
"""

from __future__ import annotations

from typing import Final

RESERVED_NAMES: Final = frozenset(
    {
        *("accessible", "add", "all", "alter", "analyze", "and", "as", "asc", "asensitive"),
        *("before", "between", "bigint", "binary", "blob", "both", "by", "call", "cascade"),
        *("case", "change", "char", "character", "check", "collate", "column", "condition"),
        *("constraint", "continue", "convert", "create", "cross", "current_date"),
        *("current_time", "current_timestamp", "current_user", "cursor", "databases"),
        *("day_hour", "day_microsecond", "day_minute", "day_second", "dec", "decimal"),
        *("declare", "default", "delayed", "delete", "desc", "describe", "deterministic"),
        *("distinct", "distinctrow", "div", "double", "drop", "dual", "each", "else", "elseif"),
        *("enclosed", "escaped", "exists", "exit", "explain", "false", "fetch", "float"),
        *("float4", "float8", "for", "force", "foreign", "from", "fulltext", "grant", "group"),
        *("having", "high_priority", "hour_microsecond", "hour_minute", "hour_second", "if"),
        *("ignore", "in", "index", "infile", "inner", "inout", "insensitive", "insert", "int"),
        *("int1", "int2", "int3", "int4", "int8", "integer", "interval", "into", "is"),
        *("iterate", "join", "key", "keys", "kill", "leading", "leave", "left", "like"),
        *("limit", "linear", "lines", "load", "localtime", "localtimestamp", "lock", "long"),
        *("longblob", "longtext", "loop", "low_priority", "match", "maxvalue", "mediumblob"),
        *("mediumint", "mediumtext", "middleint", "minute_microsecond", "minute_second", "mod"),
        *("modifies", "natural", "no_write_to_binlog", "not", "null", "numeric", "on"),
        *("optimize", "optionally", "or", "order", "out", "outer", "outfile", "partition"),
        *("precision", "primary", "procedure", "purge", "range", "read", "read_write", "reads"),
        *("real", "references", "regexp", "release", "rename", "repeat", "replace", "require"),
        *("resignal", "restrict", "return", "revoke", "right", "rlike", "schemas"),
        *("second_microsecond", "select", "sensitive", "separator", "set", "show", "signal"),
        *("smallint", "spatial", "specific", "sql", "sql_big_result", "sql_calc_found_rows"),
        *("sql_small_result", "sqlexception", "sqlstate", "sqlwarning", "ssl", "starting"),
        *("straight_join", "table", "terminated", "then", "tinyblob", "tinyint", "tinytext"),
        *("to", "trailing", "trigger", "true", "undo", "union", "unique", "unlock", "unsigned"),
        *("update", "usage", "use", "using", "utc_date", "utc_time", "utc_timestamp", "values"),
        *("varbinary", "varchar", "varcharacter", "varying", "when", "where", "while", "with"),
        *("write", "xor", "year_month", "zerofill"),
    }
)
"""Words that are reserved on every server; those that came with MySQL 8 are in `RESERVED_LATE`."""

RESERVED: Final = frozenset(word.encode() for word in RESERVED_NAMES)

RESERVED_LATE: Final = frozenset(
    {"except", "intersect", "lateral", "of", "over", "recursive", "row_number", "window"}
)

KEYWORDS: Final = RESERVED_NAMES | RESERVED_LATE | {"offset", "returning"}
"""Words that may be grammar where a name could stand."""

_TOUCHING: Final = (
    *("adddate", "bit_and", "bit_or", "bit_xor", "cast", "count", "cume_dist", "curdate"),
    *("curtime", "date_add", "date_sub", "dense_rank", "extract", "first_value"),
    *("group_concat", "json_arrayagg", "json_objectagg", "lag", "lead", "max", "median"),
    *("mid", "min", "now", "nth_value", "ntile", "percent_rank", "percentile_cont"),
    *("percentile_disc", "position", "rank", "session_user", "std", "stddev", "stddev_pop"),
    *("stddev_samp", "subdate", "substr", "substring", "sum", "sysdate", "system_user"),
    *("trim", "trim_oracle", "var_pop", "var_samp", "variance"),
)
TOUCHING: Final = frozenset(word.encode() for word in _TOUCHING)
"""Functions that are the server's own only when their bracket touches them; else they are stored
functions, or nothing."""

QUERY_STARTS: Final = frozenset({"select", "values", "table", "with"})

CHANGES: Final = frozenset({"insert", "replace", "update", "delete"})

SET_OPERATIONS: Final = frozenset({"union", "intersect", "except"})

SELECT_OPTIONS: Final = frozenset(
    {
        *("high_priority", "straight_join", "sql_small_result", "sql_big_result"),
        *("sql_buffer_result", "sql_no_cache", "sql_cache", "sql_calc_found_rows"),
    }
)
"""Words behind SELECT that are no column ("SELECT Statement" in the manual)."""

JOIN_WORDS: Final = frozenset({"natural", "cross", "inner", "left", "right", "outer"})

ITEM_ENDS: Final = frozenset(
    {*JOIN_WORDS, "on", "using", "use", "force", "ignore", "partition", "for", "set", "where"}
)
"""Words behind a relation that are not its alias."""

NOT_CALLED: Final = frozenset(
    {
        *("all", "and", "any", "as", "asc", "between", "binary", "by", "case", "collate", "desc"),
        *("distinct", "distinctrow", "div", "else", "end", "exists", "for", "from", "in", "into"),
        *("is", "like", "limit", "not", "on", "or", "order", "over", "regexp", "rlike", "row"),
        *("select", "some", "then", "to", "using", "when", "where", "with", "xor", "escape"),
        *("having", "group", "set", "sounds", "update"),
    }
)
"""Words that are no function even in front of a bracket. What stands in the bracket is read."""

OPERATORS: Final = frozenset(
    {
        *("and", "between", "binary", "div", "escape", "in", "is", "like", "mod", "not", "or"),
        *("regexp", "rlike", "sounds", "xor", "member"),
    }
)
"""Words behind which an operand begins."""

CALLS_WITHOUT_BRACKETS: Final = frozenset(
    {
        *("current_date", "current_role", "current_time", "current_timestamp", "current_user"),
        *("localtime", "localtimestamp", "utc_date", "utc_time", "utc_timestamp"),
    }
)
"""Reserved words that are function calls by themselves."""

UNITS: Final = frozenset(
    {
        *("microsecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"),
        *("second_microsecond", "minute_microsecond", "minute_second", "hour_microsecond"),
        *("hour_second", "hour_minute", "day_microsecond", "day_second", "day_minute"),
        *("day_hour", "year_month"),
    }
)
"""What INTERVAL counts in ("Temporal Intervals" in the manual)."""

ARGUMENT_WORDS: Final = {
    "group_concat": {"order": ",", "by": "", "asc": "", "desc": "", "separator": ",", "limit": ","},
    "json_arrayagg": {"order": ",", "by": "", "asc": "", "desc": "", "limit": ","},
    "extract": {"from": ","},
    "position": {"in": ","},
    **{name: {"from": ",", "for": ","} for name in ("substring", "substr", "mid")},
    "trim": {"both": "", "leading": "", "trailing": "", "from": ","},
    "char": {"using": ","},
    "convert": {"using": ","},
}
"""Words among a call's arguments, and what stands for them where it is read a second time."""

LITERALS: Final = frozenset({"''", "0", "?"})

TYPED_LITERALS: Final = frozenset({"date", "time", "timestamp"})
