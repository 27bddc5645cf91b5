"""What PostgreSQL's own functions do that their volatility does not say.

`pg_proc.provolatile` is the base of every verdict (`catalog.py`); these lists are the exceptions
to it, keyed by name. IMMUTABLE is believed. STABLE and VOLATILE builtins are refused unless they
are listed here: STABLE also covers what looks at the session, the server or the system catalogs,
and a standby accepts most of that silently, with another answer.

A function of the same name in a user's schema is judged by its own row, not by these lists.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.statement import Effect

STABLE_DATA: Final = frozenset(
    {
        # Text, by the settings of the session: its time zone, its date style, its collation.
        *("anytextcat", "textanycat", "array_to_string", "concat", "concat_ws", "format"),
        *("quote_literal", "quote_nullable", "length", "convert", "convert_from", "convert_to"),
        *("to_char", "to_date", "to_number", "to_timestamp", "money", "numeric"),
        # Dates and times that are given.
        *("date", "time", "timetz", "timestamp", "timestamptz", "timezone", "make_timestamptz"),
        *("date_part", "date_trunc", "date_add", "date_subtract", "extract", "overlaps"),
        *("generate_series", "interval_pl_timestamptz", "timestamptz_pl_interval"),
        # JSON and XML.
        *("to_json", "to_jsonb", "row_to_json", "array_to_json", "json_agg", "jsonb_agg"),
        *("json_agg_strict", "jsonb_agg_strict", "json_object_agg", "jsonb_object_agg"),
        *("json_object_agg_strict", "jsonb_object_agg_strict", "json_object_agg_unique"),
        *("jsonb_object_agg_unique", "json_object_agg_unique_strict"),
        *("jsonb_object_agg_unique_strict", "json_build_array", "jsonb_build_array"),
        *("json_build_object", "jsonb_build_object"),
        *("json_to_record", "jsonb_to_record", "json_to_recordset", "jsonb_to_recordset"),
        *("jsonb_path_exists_tz", "jsonb_path_match_tz", "jsonb_path_query_tz"),
        *("jsonb_path_query_array_tz", "jsonb_path_query_first_tz", "xml", "xml_is_well_formed"),
        # Text search, by a configuration that only DDL changes.
        *("to_tsvector", "json_to_tsvector", "jsonb_to_tsvector", "to_tsquery"),
        *("plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery", "ts_headline"),
        *("ts_match_tq", "ts_match_tt"),
        # Types and schemas, which only DDL changes, and who is asking, which the key holds.
        *("enum_first", "enum_last", "enum_range", "pg_typeof", "current_schema"),
        *("current_schemas", "current_user", "session_user", "current_database"),
    }
)
"""STABLE functions that depend on their arguments and on what a cache key holds."""

CLOCK: Final = frozenset(
    {
        *("now", "statement_timestamp", "transaction_timestamp", "current_date", "current_time"),
        *("current_timestamp", "localtime", "localtimestamp"),
    }
)
"""What tells the time. A replica may serve it; a cache may not."""

MAKES_TIMES: Final = frozenset(
    {
        *("json_populate_record", "jsonb_populate_record", "json_populate_recordset"),
        "jsonb_populate_recordset",
    }
)
"""What makes rows out of texts, of types that are not written down: `now` may be among them."""

MAKES_TIMES_IN_EXTENSIONS: Final = frozenset({("hstore", "populate_record")})
"""The same in the extensions PostgreSQL brings along."""

CALLED_TYPES: Final = frozenset({"date", "time", "timestamp", "timestamptz"})
"""Types that are also called, `date(x)`: with a text it is a cast."""

AGE_SINCE_TODAY: Final = ("age", 1)
"""`age(x)` counts from today, `age(x, y)` does not."""

RANDOM: Final = frozenset(
    {
        *("random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "clock_timestamp"),
        *("timeofday", "bernoulli", "system", "array_sample", "array_shuffle"),
    }
)
"""VOLATILE functions that neither change nor see any state. A replica may serve them."""

KEYWORDS: Final = frozenset(
    {"current_catalog", "current_role", "user", "system_user", "current_date", "current_time"}
    | {"current_timestamp", "localtime", "localtimestamp"}
)
"""Keywords that are calls and have no row in pg_proc."""

GRAMMAR: Final = frozenset(
    {
        *("json", "json_array", "json_arrayagg", "json_exists", "json_object", "json_objectagg"),
        *("json_query", "json_scalar", "json_serialize", "json_table", "json_value", "columns"),
        *("xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlparse", "xmlpi", "xmlroot"),
        *("xmlserialize", "xmltable", "xmlattributes", "xmlnamespaces"),
    }
)
"""Calls that the grammar turns into something else than a function; they write nothing."""

RUNS_SQL: Final = frozenset(
    {
        *("query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema"),
        *("cursor_to_xml", "cursor_to_xmlschema", "table_to_xml", "table_to_xmlschema"),
        *("table_to_xml_and_xmlschema", "schema_to_xml", "schema_to_xmlschema"),
        *("schema_to_xml_and_xmlschema", "database_to_xml", "database_to_xmlschema"),
        *("database_to_xml_and_xmlschema", "ts_stat", "ts_rewrite"),
    }
)
"""Functions that run a query they are given as text, or by the name of what it reads."""

LEAVES_THE_SERVER: Final = ("dblink",)
"""Beginnings of names of functions that work through connections of their own."""

HARMLESS_IN_EXTENSIONS: Final = frozenset(
    {
        *(("uuid-ossp", name) for name in ("uuid_generate_v1", "uuid_generate_v1mc")),
        ("uuid-ossp", "uuid_generate_v4"),
        *(("pgcrypto", name) for name in ("gen_random_bytes", "gen_random_uuid", "gen_salt")),
        *(("pgcrypto", name) for name in ("pgp_sym_encrypt", "pgp_sym_encrypt_bytea")),
        *(("pgcrypto", name) for name in ("pgp_pub_encrypt", "pgp_pub_encrypt_bytea")),
        *(("tablefunc", name) for name in ("normal_rand",)),
        *(("tsm_system_rows", "system_rows"), ("tsm_system_time", "system_time")),
    }
)
"""VOLATILE functions of the extensions PostgreSQL brings along that only roll dice."""

STABLE_EXTENSIONS: Final = frozenset(
    {
        *("citext", "cube", "earthdistance", "fuzzystrmatch", "hstore", "intarray", "isn"),
        *("ltree", "pg_trgm", "seg", "unaccent"),
    }
)
"""Extensions PostgreSQL brings along whose STABLE functions read no table."""

_ACTS: Final = frozenset(
    {
        *("nextval", "setval", "currval", "lastval", "set_config", "setseed", "pg_notify"),
        *("loread", "lowrite", "pg_promote", "pg_reload_conf", "pg_cancel_backend"),
        *("pg_terminate_backend", "pg_switch_wal", "pg_import_system_collations"),
        *("pg_extension_config_dump", "pg_export_snapshot", "gin_clean_pending_list"),
        *("pg_drop_replication_slot", "pg_log_backend_memory_contexts", "pg_nextoid"),
        *("pg_stop_making_pinned_objects", "pg_sync_replication_slots"),
    }
)
_ACTS_BY_BEGINNING: Final = (
    *("pg_advisory_", "pg_try_advisory_", "lo_", "txid_current", "pg_current_xact_id"),
    *("pg_sleep", "pg_logical_", "pg_replication_", "pg_create_", "pg_copy_", "pg_backup_"),
    *("pg_start_backup", "pg_stop_backup", "pg_wal_replay_", "pg_stat_reset", "pg_stat_clear_"),
    *("pg_stat_force_", "pg_rotate_logfile", "pg_restore_", "pg_clear_", "pg_set_"),
    *("binary_upgrade_", "brin_"),
)

_EFFECTS: Final = {
    "nextval": Effect.SEQUENCE,
    "setval": Effect.SEQUENCE,
    "currval": Effect.SEQUENCE,
    "lastval": Effect.SEQUENCE,
    "set_config": Effect.SETTING,
    "setseed": Effect.UNTRACKED,
    "pg_replication_origin_session_setup": Effect.UNTRACKED,
    "pg_advisory_lock": Effect.ADVISORY_LOCK,
    "pg_advisory_lock_shared": Effect.ADVISORY_LOCK,
    "pg_try_advisory_lock": Effect.ADVISORY_LOCK,
    "pg_try_advisory_lock_shared": Effect.ADVISORY_LOCK,
    "pg_advisory_unlock": Effect.ADVISORY_LOCK,
    "pg_advisory_unlock_shared": Effect.ADVISORY_LOCK,
    "pg_advisory_unlock_all": Effect.ADVISORY_LOCK,
}


def acts(name: str) -> bool:
    """Whether a builtin changes or awaits something, so that its call is no read at all.

    What it changes is no table's content: sequences, large objects, locks and the like, none of
    which is ever read away from the primary.
    """
    return name in _ACTS or name.startswith(_ACTS_BY_BEGINNING)


def effect_of(name: str) -> Effect | None:
    """Tell what a call of a builtin leaves in the session."""
    return _EFFECTS.get(name)
