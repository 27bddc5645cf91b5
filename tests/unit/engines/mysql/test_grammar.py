"""What MySQL's settings mean, and its session commands say."""

from __future__ import annotations

import pytest

from proxy.engines.mysql.grammar import MySQLGrammar
from proxy.engines.mysql.settings import plain, quote, quote_name, written
from proxy.session.grammar import Defaults, Meaning
from proxy.sql.mysql.scanner import ANSI_QUOTES, IGNORE_SPACE, NO_BACKSLASH_ESCAPES, ONE_BYTE

GRAMMAR = MySQLGrammar()
DEFAULTS = Defaults(
    {
        "sql_mode": "STRICT_TRANS_TABLES",
        "isolation": "REPEATABLE-READ",
        "character_set_client": "utf8mb4",
    },
    "shape",
)


def understand(**settings: str) -> Meaning:
    return GRAMMAR.understand(tuple(sorted(settings.items())), DEFAULTS, "ann")


def test_nothing_set_means_the_servers_defaults() -> None:
    meaning = understand()
    assert meaning.path == ()
    assert meaning.role == "ann"
    assert meaning.isolation == "repeatable read"
    assert meaning.encoding == "utf8mb4"
    assert meaning.is_readable
    assert meaning.sense is not None
    assert meaning.blocked is None
    assert not meaning.fires_others
    assert meaning.shaping == ()


def test_names_are_of_the_schema() -> None:
    assert understand(schema="`shop`").path == ("shop",)
    assert understand(schema="`sh``op`").path == ("sh`op",)
    assert understand(schema="``").path == ()


@pytest.mark.parametrize("charset", ["big5", "cp932", "gb18030", "gbk", "sjis"])
def test_a_charset_with_ascii_in_its_second_bytes_is_unreadable(charset: str) -> None:
    meaning = understand(character_set_client=quote(charset))
    assert not meaning.is_readable
    assert meaning.sense is None


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1", "utf8mb3", "binary"])
def test_other_charsets_are_readable(charset: str) -> None:
    assert understand(character_set_client=quote(charset)).is_readable


@pytest.mark.parametrize(
    ("modes", "read_by"),
    [
        ("", 0),
        ("STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE", 0),
        ("ANSI_QUOTES", ANSI_QUOTES),
        ("STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES", NO_BACKSLASH_ESCAPES),
        (
            "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI",
            ANSI_QUOTES + IGNORE_SPACE,
        ),
    ],
)
def test_texts_are_cut_as_the_sessions_modes_say(modes: str, read_by: int) -> None:
    meaning = understand(sql_mode=quote(modes))
    assert meaning.is_readable
    assert meaning.modes == read_by


def test_a_mode_with_a_grammar_of_its_own_is_unreadable() -> None:
    assert not understand(sql_mode="'PIPES_AS_CONCAT,ANSI_QUOTES,ORACLE'").is_readable


def test_bytes_of_other_charsets_are_not_taken_for_letters() -> None:
    assert understand(character_set_client="'latin1'").modes == ONE_BYTE
    assert understand(character_set_client="'utf8mb3'").modes == 0


def test_a_servers_own_modes_count_where_none_is_set() -> None:
    defaults = Defaults({**DEFAULTS.settings, "sql_mode": "ansi_quotes"}, "")
    assert GRAMMAR.understand((), defaults, "ann").modes == ANSI_QUOTES
    assert GRAMMAR.understand((("sql_mode", "''"),), defaults, "ann").modes == 0


@pytest.mark.parametrize("name", ["transaction_isolation", "tx_isolation"])
def test_the_level_of_isolation_is_told_by_either_name(name: str) -> None:
    assert understand(**{name: "'READ-COMMITTED'"}).isolation == "read committed"


@pytest.mark.parametrize("value", ["OFF", "'OFF'", "0"])
def test_without_autocommit_every_statement_is_in_a_transaction(value: str) -> None:
    assert understand(autocommit=value).alone == ("autocommit", "'ON'")


@pytest.mark.parametrize("value", ["ON", "'ON'", "1"])
def test_with_autocommit_every_statement_is_one(value: str) -> None:
    assert understand(autocommit=value).alone is None


def test_a_servers_own_autocommit_counts_where_none_is_set() -> None:
    defaults = Defaults({**DEFAULTS.settings, "autocommit": "0"}, "")
    assert GRAMMAR.understand((), defaults, "ann").alone is not None
    assert GRAMMAR.understand((("autocommit", "'ON'"),), defaults, "ann").alone is None


def test_unchecked_foreign_keys_set_off_other_things() -> None:
    assert understand(foreign_key_checks="'OFF'").fires_others
    assert not understand(foreign_key_checks="'ON'").fires_others


def test_a_result_has_the_charset_that_was_asked_for() -> None:
    assert understand(character_set_client="'latin1'").encoding == "latin1"
    assert understand(character_set_results="'utf8mb3'").encoding == "utf8mb3"


def test_only_what_shapes_results_is_part_of_their_key() -> None:
    meaning = understand(time_zone="'UTC'", wait_timeout="5", autocommit="'ON'")
    assert meaning.shaping == (("time_zone", "'UTC'"),)


def test_what_is_prepared_depends_on_schema_modes_and_charsets() -> None:
    assert understand(schema="`a`").sense != understand(schema="`b`").sense
    assert understand(sql_mode="''").sense != understand().sense
    assert understand(time_zone="'UTC'").sense == understand().sense
    assert GRAMMAR.constants_depend_on("collation_connection")
    assert not GRAMMAR.constants_depend_on("time_zone")
    assert not GRAMMAR.names_depend_on("schema")


def test_only_a_reset_takes_a_schema_away() -> None:
    with_schema = (("schema", "`shop`"),)
    assert GRAMMAR.must_begin_anew(with_schema, ())
    assert not GRAMMAR.must_begin_anew((), with_schema)
    assert not GRAMMAR.must_begin_anew(with_schema, (("schema", "`other`"),))


def test_transactions_are_told() -> None:
    begin = GRAMMAR.read_begin(b"START TRANSACTION READ ONLY")
    assert begin is not None
    assert GRAMMAR.read_begin(b"START TRANSACTION WITH CONSISTENT SNAPSHOT") is None
    assert GRAMMAR.read_begin(b"SELECT 1") is None
    assert GRAMMAR.read_end(b"COMMIT") is False
    assert GRAMMAR.read_end(b"ROLLBACK AND CHAIN") is True
    assert GRAMMAR.read_end(b"COMMIT RELEASE") is None
    assert GRAMMAR.read_savepoint(b"SAVEPOINT `a b`") == "a b"


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        (b"SET tidegate.consistency = 'session'", "session"),
        (b"SET SESSION tidegate.consistency = DEFAULT", None),
    ],
)
def test_the_proxys_own_settings_are_told(sql: bytes, value: str | None) -> None:
    own = GRAMMAR.read_own(sql)
    assert own is not None
    assert (own.name, own.value) == ("tidegate.consistency", value)


@pytest.mark.parametrize("sql", [b"SET time_zone = 'UTC'", b"SET @a = 1", b"SELECT 1"])
def test_others_are_the_servers(sql: bytes) -> None:
    assert GRAMMAR.read_own(sql) is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("time_zone", "+01:00", "'+01:00'"),
        ("wait_timeout", "28800", "28800"),
        ("long_query_time", "0.500000", "0.500000"),
        ("character_set_results", "", "NULL"),
        ("sql_mode", "", "''"),
        ("init_file", "it's", "'it''s'"),
        ("init_file", "a\\b", "CONVERT(0x615c62 USING utf8mb4)"),
    ],
)
def test_a_value_is_written_as_the_text_that_sets_it(name: str, value: str, text: str) -> None:
    assert written(name, value) == text


def test_a_written_value_is_read_plainly() -> None:
    assert plain(quote("READ-COMMITTED")) == "read-committed"
    assert plain(quote("it's")) == "it's"
    assert plain("ON") == "on"
    assert plain(None, "x") == "x"
    assert quote_name("a`b") == "`a``b`"
