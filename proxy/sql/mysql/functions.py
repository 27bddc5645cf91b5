"""What the functions of MySQL and MariaDB do, by name.

No server says which of its functions are pure, so they are listed here, checked against what MySQL
9.7 and MariaDB 10.11 say they have. A name that is on no list is taken for a stored function.

A stored function, or one that was loaded, has its say only where the server has none of its own
by that name, and servers differ in what they have: `json_value` is MySQL's since 8.0.21. So whoever
resolves a call without a schema must look among the stored and loaded functions first and take what
it finds there for the function; only a name that is not there is judged by these lists. A call with
a schema, `db.f()`, never means a function of the server's own. (With a quoted name or a bracket
that does not touch, some of the server's own can't be called at all: `scanner`.)

Sources: the manuals' chapters on functions; `help_topic` and `information_schema.sql_functions`.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.statement import Effect
from proxy.types import Reason

PURE: Final = frozenset(
    {
        # Comparison and flow.
        *("coalesce", "greatest", "if", "ifnull", "interval", "isnull", "least", "nullif", "nvl"),
        *("nvl2", "strcmp", "decode_oracle", "any_value", "grouping"),
        # Numbers.
        *("abs", "acos", "asin", "atan", "atan2", "ceil", "ceiling", "conv", "cos", "cot"),
        *("crc32", "crc32c", "degrees", "exp", "floor", "ln", "log", "log10", "log2", "mod", "pi"),
        *("pow", "power", "radians", "round", "sign", "sin", "sqrt", "tan", "truncate"),
        # Text.
        *("ascii", "bin", "bit_length", "char", "char_length", "character_length", "chr"),
        *("concat", "concat_ws", "concat_operator_oracle", "elt", "export_set", "field"),
        *("find_in_set", "format", "from_base64", "hex", "insert", "instr", "lcase", "left"),
        *("length", "lengthb", "locate", "lower", "lpad", "lpad_oracle", "ltrim", "ltrim_oracle"),
        *("make_set", "mid", "natural_sort_key", "oct", "octet_length", "ord", "position"),
        *("quote", "repeat", "replace", "replace_oracle", "reverse", "right", "rpad"),
        *("rpad_oracle", "rtrim", "rtrim_oracle", "sformat", "soundex", "space", "substr"),
        *("substr_oracle", "substring", "substring_index", "to_base64", "to_char", "trim"),
        *("trim_oracle", "ucase", "unhex", "upper", "weight_string", "regexp_instr"),
        *("regexp_like", "regexp_replace", "regexp_substr", "cast", "convert", "collation"),
        *("charset", "coercibility", "extractvalue", "updatexml", "name_const"),
        # Dates and times that are given; what depends on the session's settings is in a key.
        *("adddate", "add_months", "addtime", "convert_tz", "date", "date_add", "date_format"),
        *("date_sub", "datediff", "day", "dayname", "dayofmonth", "dayofweek", "dayofyear"),
        *("extract", "from_days", "from_unixtime", "get_format", "hour", "last_day", "makedate"),
        *("maketime", "microsecond", "minute", "month", "monthname", "period_add"),
        *("period_diff", "quarter", "sec_to_time", "second", "str_to_date", "subdate", "subtime"),
        *("time_format", "time_to_sec", "timediff", "timestampadd", "timestampdiff"),
        *("to_days", "to_seconds", "week", "weekday", "weekofyear", "year", "yearweek"),
        # Aggregates and windows.
        *("avg", "bit_and", "bit_count", "bit_or", "bit_xor", "count", "cume_dist"),
        *("dense_rank", "first_value", "group_concat", "json_arrayagg", "json_objectagg", "lag"),
        *("last_value", "lead", "max", "median", "min", "nth_value", "ntile", "percent_rank"),
        *("percentile_cont", "percentile_disc", "rank", "row_number", "std", "stddev"),
        *("stddev_pop", "stddev_samp", "sum", "var_pop", "var_samp", "variance"),
        # JSON and dynamic columns.
        *("json_array", "json_array_append", "json_array_insert", "json_compact"),
        *("json_contains", "json_contains_path", "json_depth", "json_detailed", "json_equals"),
        *("json_exists", "json_extract", "json_insert", "json_keys", "json_length"),
        *("json_loose", "json_merge", "json_merge_patch", "json_merge_preserve"),
        *("json_normalize", "json_object", "json_overlaps", "json_pretty", "json_query"),
        *("json_quote", "json_remove", "json_replace", "json_schema_valid"),
        *("json_schema_validation_report", "json_search", "json_set", "json_storage_free"),
        *("json_storage_size", "json_table", "json_type", "json_unquote", "json_valid"),
        *("json_value", "column_check", "column_exists", "column_json", "column_list"),
        *("column_add", "column_create", "column_delete", "column_get"),
        # Digests and addresses.
        *("aes_decrypt", "compress", "inet6_aton", "inet6_ntoa", "inet_aton", "inet_ntoa"),
        *("is_ipv4", "is_ipv4_compat", "is_ipv4_mapped", "is_ipv6", "is_uuid", "bin_to_uuid"),
        *("uuid_to_bin", "md5", "sha", "sha1", "sha2", "uncompress", "uncompressed_length"),
        *("statement_digest", "statement_digest_text", "aes_encrypt"),
        # Geometry.
        *("geometrycollection", "linestring", "mbrcontains", "mbrcoveredby", "mbrcovers"),
        *("mbrdisjoint", "mbrequals", "mbrintersects", "mbroverlaps", "mbrtouches", "mbrwithin"),
        *("multilinestring", "multipoint", "multipolygon", "point", "polygon", "st_area"),
        *("st_asbinary", "st_asgeojson", "st_astext", "st_aswkb", "st_aswkt", "st_buffer"),
        *("st_centroid", "st_contains", "st_convexhull", "st_crosses", "st_difference"),
        *("st_dimension", "st_disjoint", "st_distance", "st_distance_sphere", "st_endpoint"),
        *("st_envelope", "st_equals", "st_exteriorring", "st_geohash", "st_geomcollfromtext"),
        *("st_geometryn", "st_geometrytype", "st_geomfromgeojson", "st_geomfromtext"),
        *("st_geomfromwkb", "st_interiorringn", "st_intersection", "st_intersects"),
        *("st_isclosed", "st_isempty", "st_issimple", "st_isvalid", "st_latfromgeohash"),
        *("st_length", "st_linefromtext", "st_longfromgeohash", "st_numgeometries"),
        *("st_numinteriorring", "st_numpoints", "st_overlaps", "st_pointfromgeohash"),
        *("st_pointfromtext", "st_pointn", "st_polyfromtext", "st_simplify", "st_srid"),
        *("st_startpoint", "st_symdifference", "st_touches", "st_union", "st_within", "st_x"),
        *("st_y", "st_latitude", "st_longitude", "st_swapxy", "st_transform", "st_validate"),
    }
)
"""Functions of their arguments and of what a cache key holds: anyone may answer."""

CLOCK: Final = frozenset(
    {
        *("curdate", "current_date", "current_time", "current_timestamp", "curtime", "localtime"),
        *("localtimestamp", "now", "utc_date", "utc_time", "utc_timestamp", "unix_timestamp"),
        *("sysdate",),
        # What fills in today's date for a time without one.
        *("time", "timestamp"),
    }
)
"""What tells the time, or may. A replica may serve it; a cache may not."""

MAKES_TIMES: Final = frozenset(
    {"addtime", "maketime", "sec_to_time", "str_to_date", "subtime", "timediff"}
)
"""Functions whose result may be a TIME. Where a date is asked of one, by DATE(), YEAR(), a cast,
COALESCE() with a DATETIME and many more, both servers fill in today's ("Conversion Between Date and
Time Types" in the manual). So is it with a column of type TIME, which no text tells."""

VOLATILE: Final = frozenset({"rand", "uuid", "uuid_short", "sys_guid", "random_bytes", "uuid_v4"})
"""Answers differ each time, whoever gives them. A replica may serve them."""

OF_SESSION: Final = frozenset(
    {
        *("connection_id", "current_role", "current_user", "database", "schema", "session_user"),
        *("system_user", "user", "version", "roles_graphml"),
    }
)
"""What looks at the session or the server: the primary, since a replica may be another version."""

INSERT_ID: Final = "last_insert_id"

_ASKS_BEFORE: Final = frozenset({"row_count", "found_rows"})

ASKING_VARIABLES: Final = frozenset({"warning_count", "error_count"})
"""System variables that speak of the statement before."""

INSERT_ID_VARIABLES: Final = frozenset({"identity", "last_insert_id", "insert_id"})

_LOCKS: Final = frozenset(
    {"get_lock", "release_lock", "release_all_locks", "is_free_lock", "is_used_lock"}
)

SEQUENCE_WRITES: Final = frozenset({"nextval", "setval"})
"""MariaDB's sequences are tables, and are read as such: to move one on is a write."""

_ACTS: Final = _LOCKS | frozenset(
    {
        *("sleep", "benchmark", "load_file", "master_pos_wait", "source_pos_wait", "lastval"),
        *("master_gtid_wait", "wait_for_executed_gtid_set", "wsrep_last_seen_gtid"),
        *("wait_until_sql_thread_after_gtids", "wsrep_last_written_gtid"),
        *("wsrep_sync_wait_upto_gtid", "binlog_gtid_pos", "gtid_subset", "gtid_subtract"),
        *("encrypt", "des_encrypt", "des_decrypt", "format_bytes", "format_pico_time"),
        *("ps_current_thread_id", "ps_thread_id", "icu_version", "get_dd_create_options"),
        *(INSERT_ID, *_ASKS_BEFORE),
    }
)


def acts(name: str) -> bool:
    """Whether a function waits, locks, reads files, or looks at its server: no read at all.

    It may have an argument that is written by it, as a lock is, but no table.
    """
    return name in _ACTS


def replica_reason(name: str) -> Reason | None:
    """Tell why no replica may serve a call of the server's own function; None when one may."""
    return None if name in PURE or name in CLOCK or name in VOLATILE else Reason.FUNCTION


def cache_reason(name: str) -> Reason | None:
    """Tell why the result of a call of the server's own function may not be kept."""
    if name in CLOCK:
        return Reason.CLOCK
    if name in VOLATILE:
        return Reason.VOLATILE
    return None if name in PURE else Reason.FUNCTION


def is_builtin(name: str) -> bool:
    """Whether a function of that name is some server's own, as far as it is known here."""
    return name in PURE or name in CLOCK or name in VOLATILE or name in OF_SESSION or acts(name)


def effects_of(name: str, arguments: int) -> frozenset[Effect]:
    """Tell what a call leaves in the session, or wants to find there."""
    if name in _LOCKS:
        return frozenset({Effect.ADVISORY_LOCK})
    if name in _ASKS_BEFORE:
        return frozenset({Effect.ASKS_BEFORE})
    if name == INSERT_ID:
        return frozenset({Effect.ASKS_INSERT_ID if arguments == 0 else Effect.INSERT_ID})
    if name == "connection_id":
        return frozenset({Effect.ASKS_NUMBER})
    if name == "lastval":
        return frozenset({Effect.SEQUENCE})
    return _NOTHING


_NOTHING: Final[frozenset[Effect]] = frozenset()
