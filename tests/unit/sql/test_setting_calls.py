"""Reading `SELECT set_config(...)`."""

from __future__ import annotations

import pytest

from proxy.sql.setting_calls import SettingCall, custom_names, read_setting_calls


@pytest.mark.parametrize(
    ("sql", "calls"),
    [
        (
            b"SELECT set_config('app.User', 'it''s', false);",
            [SettingCall("app.user", "it's", False)],
        ),
        (
            b"select\n pg_catalog . SET_CONFIG ( 'search_path' , '' , TRUE ) AS x , "
            b"set_config('a','b',false) y",
            [SettingCall("search_path", "", True), SettingCall("a", "b", False)],
        ),
        (
            b"SELECT set_config('a', 'x, set_config(''b'', ''c'', false)', false)",
            [SettingCall("a", "x, set_config('b', 'c', false)", False)],
        ),
        (
            b"SELECT set_config('a', $1, true), set_config('b', $22 , true)",
            [SettingCall("a", None, True), SettingCall("b", None, True)],
        ),
    ],
)
def test_plain_calls_are_read(sql: bytes, calls: list[SettingCall]) -> None:
    assert read_setting_calls(sql) == tuple(calls)


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 1",
        b"SELECT set_config($1, 'b', false)",
        b"SELECT set_config('a', $1 || 'b', false)",
        b"SELECT set_config('a', 'b', $1)",
        b"SELECT set_config('a', 'b', f())",
        b"SELECT set_config('a', E'b', false)",
        b"SELECT set_config('a', 'b' 'c', false)",
        b"SELECT set_config('a', 'b', false) FROM t",
        b"SELECT set_config('a', 'b', false) WHERE false",
        b"SELECT set_config('a', 'b', false), 1",
        b"SELECT s.set_config('a', 'b', false)",
        b"SELECT set_config('a', 'b', false); DELETE FROM t",
        b"SELECT set_config('a', 'b', false) -- c",
        "SELECT set_config('a', 'é', false)".encode(),
        b"SELECT set_config('a', '" + b"x" * 5000 + b"', false)",
    ],
)
def test_anything_else_is_not_read(sql: bytes) -> None:
    assert read_setting_calls(sql) is None


def test_custom_names_are_found_wherever_they_stand() -> None:
    sql = b"DO $$BEGIN PERFORM set_config('App.Tenant', '1.5', false), f('a.b.c', 'x', '.y'); END$$"
    assert custom_names(sql) == {"app.tenant", "a.b.c"}
