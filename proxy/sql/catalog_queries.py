"""What is asked of PostgreSQL's system catalogs, in SQL.

Any role may run these on versions 13 to 18; no rights are needed beyond CONNECT. They are run
in one snapshot, over a connection of the control plane, and their rows go to `Catalog.build` under
the names of `QUERIES`. Objects below oid 16384 are the server's own (FirstNormalObjectId).

Temporary tables are left out: only their own session sees them, and that session is pinned.
"""

from __future__ import annotations

from typing import Final

DATABASE: Final = """
SELECT datid::int8 FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid())
"""
"""Which database this is, whatever it is called."""

RELATIONS: Final = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text,
       c.relrowsecurity,
       c.oid >= 16384 AND EXISTS (
           SELECT FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid IN (1266, 1270))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
  AND n.nspname <> 'pg_toast'
"""
"""oid, schema, name, kind, persistence, row security, has a column of time with time zone."""

INHERITANCE: Final = """
SELECT i.inhrelid::int8, i.inhparent::int8
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
"""
"""Child and parent: partitions, and inheritance."""

# Whatever is not in pg_catalog is written with its schema when the search path is empty. The
# CASE makes the setting come before the text: both would otherwise be free to go first.
_WITH_EMPTY_PATH: Final = """
WITH path AS MATERIALIZED (SELECT pg_catalog.set_config('search_path', '', true) AS value)
"""

DEFINITIONS: Final = (
    _WITH_EMPTY_PATH
    + """
SELECT c.oid::int8, CASE WHEN path.value = '' THEN pg_catalog.pg_get_viewdef(c.oid) END
FROM path, pg_catalog.pg_class c
WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't'
"""
)
"""View or materialized view, and its query."""

POLICIES: Final = (
    _WITH_EMPTY_PATH
    + """
SELECT p.polrelid::int8,
       CASE WHEN path.value = '' THEN pg_catalog.pg_get_expr(e.expression, p.polrelid) END
FROM path, pg_catalog.pg_policy p, LATERAL (VALUES (p.polqual), (p.polwithcheck)) e (expression)
WHERE e.expression IS NOT NULL
"""
)
"""Table, and an expression that row security evaluates on it."""

RULES: Final = (
    _WITH_EMPTY_PATH
    + """
SELECT r.ev_class::int8, r.ev_type::text,
       CASE WHEN path.value = '' THEN pg_catalog.pg_get_ruledef(r.oid) END
FROM path, pg_catalog.pg_rewrite r
WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D' AND r.ev_class >= 16384
"""
)
"""Relation that has a rule, on which event, and the rule."""

# A partition's copy of its parent's trigger is internal up to version 14, and is enabled by itself.
TRIGGERS: Final = (
    _WITH_EMPTY_PATH
    + """
SELECT t.tgrelid::int8, t.tgtype::int4, t.tgfoid::int8, t.tgdeferrable,
       CASE WHEN path.value = '' AND t.tgqual IS NOT NULL
            THEN pg_catalog.pg_get_triggerdef(t.oid) END
FROM path, pg_catalog.pg_trigger t
WHERE (NOT t.tgisinternal OR t.tgparentid <> 0) AND t.tgenabled <> 'D' AND t.tgfoid >= 16384
"""
)
"""Relation that has a trigger whose function is not the server's own, on which events, its
function, whether it may run later, and the whole trigger if it has a condition."""

EVENT_TRIGGERS: Final = """
SELECT evtfoid::int8 FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'
"""
"""Function of an event trigger."""

FOREIGN_KEYS: Final = """
SELECT k.conrelid::int8, k.confrelid::int8, k.confupdtype::text, k.confdeltype::text,
       pg_catalog.pg_get_userbyid(c.relowner)::text
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
WHERE k.contype = 'f'
"""
"""Referencing table, referenced table, what follows an update and a delete there, and the owner of
the referencing table."""

_CALLS: Final = """
WITH calls AS (
    SELECT d.classid, d.objid, d.refobjid AS routine
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    UNION ALL
    SELECT d.classid, d.objid, o.oprcode::pg_catalog.oid
    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid
    WHERE d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass)
"""

COLUMN_CALLS: Final = (
    _CALLS
    + """
SELECT a.adrelid::int8, calls.routine::int8
FROM calls JOIN pg_catalog.pg_attrdef a
  ON calls.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND calls.objid = a.oid
UNION
SELECT c.conrelid::int8, calls.routine::int8
FROM calls JOIN pg_catalog.pg_constraint c
  ON calls.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND calls.objid = c.oid
WHERE c.conrelid <> 0
"""
)
"""Table, and a function that its defaults, generated columns or constraints call."""

DOMAIN_CALLS: Final = (
    _CALLS
    + """
SELECT c.contypid::int8, calls.routine::int8
FROM calls JOIN pg_catalog.pg_constraint c
  ON calls.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND calls.objid = c.oid
WHERE c.contypid <> 0
"""
)
"""Domain, and a function that its constraints call."""

TYPES: Final = """
SELECT oid::int8, typname::text, typelem::int8, typbasetype::int8, typrelid::int8
FROM pg_catalog.pg_type WHERE oid >= 16384
"""
"""oid, name, type of its elements, type beneath a domain, relation of a row type."""

COLUMN_TYPES: Final = """
SELECT DISTINCT attrelid::int8, atttypid::int8 FROM pg_catalog.pg_attribute
WHERE atttypid >= 16384 AND attnum > 0 AND NOT attisdropped
"""
"""Relation, and a type of a column of it that is not the server's own."""

ROUTINES: Final = """
SELECT p.oid::int8, n.nspname::text, p.proname::text,
       CASE WHEN p.oid >= 16384 AND strpos(p.proargdefaults::text, 'FUNC') > 0 THEN 'v'
            ELSE p.provolatile::text END,
       CASE WHEN p.prokind = 'p' THEN coalesce(cardinality(p.proallargtypes), p.pronargs)
            ELSE p.pronargs END::int4,
       p.pronargdefaults::int4, p.provariadic <> 0,
       coalesce(t.typtype IN ('c', 'p') OR t.oid >= 16384, false),
       p.oid >= 16384 AND strpos(p.prosrc, 'set_config') > 0, e.extname::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
LEFT JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
LEFT JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
 AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
"""
"""oid, schema, name, volatility, arguments (what a procedure returns is among them, as in CALL),
how many have a default, VARIADIC, can take a row, mentions set_config, extension. A default that
calls something makes it VOLATILE."""

ROUTINE_TYPES: Final = """
SELECT objid::int8, refobjid::int8 FROM pg_catalog.pg_depend
WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND refobjid >= 16384
  AND refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
"""
"""Function, and a type in its signature that is not the server's own."""

LONGEST_BODY: Final = 64 * 1024
"""Bytes of a body that is read; twenty times what people write."""

BODIES: Final = (
    _WITH_EMPTY_PATH
    + f"""
SELECT p.oid::int8, l.lanname::text,
       CASE WHEN octet_length(p.prosrc) <= {LONGEST_BODY} THEN p.prosrc END,
       CASE WHEN path.value = '' AND p.prosrc = '' AND l.lanname = 'sql'
            THEN pg_catalog.pg_get_functiondef(p.oid) END,
       p.proconfig::text[],
       CASE WHEN p.prosecdef THEN pg_catalog.pg_get_userbyid(p.proowner)::text END,
       CASE WHEN path.value = '' AND strpos(p.proargdefaults::text, 'FUNC') > 0
            THEN pg_catalog.pg_get_expr(p.proargdefaults, 0) END,
       CASE WHEN l.lanname = 'plpgsql'
            THEN p.prorettype::int8 || coalesce(p.proallargtypes, p.proargtypes::oid[])::int8[] END
FROM path, pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid >= 16384 AND l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p', 'w')
"""
)
"""Function in a language that can be read, the language, its text, its whole definition where the
text is no string, its own settings, whom it runs as if not as the caller, what the defaults of its
arguments call, and the types in its signature, that of its result first."""

AGGREGATE_CALLS: Final = """
SELECT a.aggfnoid::int8, f.routine::int8
FROM pg_catalog.pg_aggregate a, LATERAL (VALUES
    (a.aggtransfn), (a.aggfinalfn), (a.aggcombinefn), (a.aggserialfn), (a.aggdeserialfn),
    (a.aggmtransfn), (a.aggminvtransfn), (a.aggmfinalfn)) f (routine)
WHERE a.aggfnoid >= 16384 AND f.routine <> 0
"""
"""Aggregate, and a function that it is made of; the aggregate's own volatility says nothing."""

OPERATORS: Final = """
SELECT oprname::text, oprcode::int8 FROM pg_catalog.pg_operator
WHERE oid >= 16384 AND oprcode <> 0
"""
"""Symbol and function."""

CASTS: Final = """
SELECT castfunc::int8 FROM pg_catalog.pg_cast WHERE castfunc >= 16384
"""
"""Function of a cast."""

IMPLICIT_CASTS: Final = """
SELECT casttarget::int8 FROM pg_catalog.pg_cast
WHERE oid >= 16384 AND castmethod = 'i' AND castcontext = 'i'
"""
"""Type that a value becomes by its text, without a word."""

# The server's own date, time, timestamp and timestamptz, and arrays of them.
_TIMES: Final = "(1082, 1083, 1114, 1184, 1182, 1183, 1115, 1185)"

# A column of pg_range that version 13 does not have is read by way of JSON.
TIME_TYPES: Final = f"""
WITH RECURSIVE made_of (whole, part) AS MATERIALIZED (
    SELECT oid, typelem FROM pg_catalog.pg_type WHERE typelem <> 0
    UNION ALL SELECT oid, typbasetype FROM pg_catalog.pg_type WHERE typbasetype <> 0
    UNION ALL SELECT rngtypid, rngsubtype FROM pg_catalog.pg_range
    UNION ALL SELECT (pg_catalog.to_jsonb(r)->>'rngmultitypid')::pg_catalog.oid, rngsubtype
    FROM pg_catalog.pg_range r
    UNION ALL SELECT c.reltype, a.atttypid
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE c.reltype <> 0 AND a.attnum > 0
      AND (a.atttypid >= 12000 OR a.atttypid IN (1266, 1270) OR a.atttypid IN {_TIMES})),
times (type) AS (
    SELECT t.oid FROM pg_catalog.pg_type t JOIN pg_catalog.pg_proc p ON p.oid = t.typinput
    WHERE t.oid = 1266 OR t.oid IN {_TIMES} OR p.oid >= 16384 AND p.provolatile <> 'i'
    UNION SELECT whole FROM made_of JOIN times ON part = type)
SELECT oid::int8, typname::text FROM pg_catalog.pg_type JOIN times ON oid = type
"""
"""oid and name of every type that takes now in a text: dates and times, what is made of them, and
types of extensions whose input is not IMMUTABLE."""

TIME_COLUMNS: Final = f"""
SELECT attrelid::int8, attname::text, atttypid IN {_TIMES} FROM pg_catalog.pg_attribute
WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped AND attname IN (
    SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid >= 16384 AND atttypid IN {_TIMES})
"""
"""Relation and column, and whether it holds dates or times; no names but those of such columns."""

QUERIES: Final = {
    "relations": RELATIONS,
    "inheritance": INHERITANCE,
    "definitions": DEFINITIONS,
    "policies": POLICIES,
    "rules": RULES,
    "triggers": TRIGGERS,
    "event_triggers": EVENT_TRIGGERS,
    "foreign_keys": FOREIGN_KEYS,
    "column_calls": COLUMN_CALLS,
    "domain_calls": DOMAIN_CALLS,
    "types": TYPES,
    "column_types": COLUMN_TYPES,
    "routines": ROUTINES,
    "routine_types": ROUTINE_TYPES,
    "bodies": BODIES,
    "aggregate_calls": AGGREGATE_CALLS,
    "operators": OPERATORS,
    "casts": CASTS,
    "implicit_casts": IMPLICIT_CASTS,
    "time_types": TIME_TYPES,
    "time_columns": TIME_COLUMNS,
}
"""Every query of a catalog, by the name under which its rows go to `Catalog.build`."""


def _rows_of(table: str, *, relation: str = "", condition: str = "oid >= 16384") -> str:
    """Write the digest of a system catalog: how many rows, and which transactions wrote them.

    Args:
        table: The catalog.
        relation: Its column that names a relation; rows of temporary ones are left out.
        condition: Which rows count.
    """
    if relation:
        condition = (
            f"{relation} >= 16384 AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c"
            f" WHERE c.oid = {relation} AND c.relpersistence = 't')"
        )
    return (
        f"(SELECT row(count(*), sum(xmin::text::int8))::text"
        f" FROM pg_catalog.{table} WHERE {condition})"
    )


_RELATIONS: Final = """(SELECT sum(pg_catalog.hashtextextended(row(oid, relname, relnamespace,
        relowner, relkind, relpersistence, relrowsecurity, relforcerowsecurity, relnatts, relacl,
        reloptions)::text, 0))::text
 FROM pg_catalog.pg_class
 WHERE oid >= 16384 AND relpersistence <> 't' AND relkind NOT IN ('t', 'i', 'I'))"""

_ROLES: Final = """(SELECT sum(pg_catalog.hashtextextended(r::text, 0))::text
 FROM pg_catalog.pg_roles r)"""

FINGERPRINT: Final = "SELECT " + ",\n".join(
    (
        _RELATIONS,
        _ROLES,
        _rows_of("pg_attribute", relation="attrelid"),
        _rows_of("pg_inherits", relation="inhrelid"),
        _rows_of("pg_rewrite", relation="ev_class"),
        _rows_of("pg_trigger", relation="tgrelid"),
        _rows_of("pg_event_trigger", condition="true"),
        _rows_of("pg_attrdef", relation="adrelid"),
        _rows_of("pg_policy", relation="polrelid"),
        _rows_of("pg_constraint", relation="conrelid"),
        _rows_of("pg_constraint", condition="contypid <> 0"),
        _rows_of("pg_proc"),
        _rows_of("pg_type", condition="oid >= 16384 AND typtype <> 'c' AND typelem = 0"),
        _rows_of("pg_operator"),
        _rows_of("pg_cast"),
        _rows_of("pg_namespace", condition="nspname !~ '^pg_(toast_)?temp_'"),
        _rows_of("pg_extension", condition="true"),
        _rows_of("pg_auth_members", condition="true"),
        _rows_of("pg_db_role_setting", condition="true"),
    )
)
"""Changes whenever a definition, a right or a role does; for DDL that is done elsewhere.

Every change of a catalog row gives it a new xmin, so counts and sums of xmin tell. Relations are
told by their columns instead, since TRUNCATE writes their rows too. What happens to temporary
tables is left out, and so is what VACUUM and ANALYZE note in place. It takes 0.5 us per column.
"""

COUNTERS: Final = """
SELECT c.oid::int8,
       coalesce(pg_catalog.pg_stat_get_tuples_inserted(c.oid), 0)
       + coalesce(pg_catalog.pg_stat_get_tuples_updated(c.oid), 0)
       + coalesce(pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0),
       c.relfilenode::int8
FROM pg_catalog.pg_class c
WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND c.oid >= 16384
"""
"""Table, rows written since the statistics began, and the file it lies in: TRUNCATE and REFRESH
write no rows but take a new file."""
