"""What operators write for durations, sizes, addresses and numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.settings.values import (
    Address,
    format_duration,
    format_share,
    format_size,
    parse_address,
    parse_count,
    parse_duration,
    parse_mode,
    parse_server,
    parse_share,
    parse_size,
    parse_switch,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("500ms", 0.5),
        ("2m", 120),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1d", 86400),
        ("0", 0),
        ("2.5", 2.5),
        (7, 7),
        (0.25, 0.25),
    ],
)
def test_duration_is_read_in_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "5 parsecs", "-1s", "5s later", "1e3s", "1h30", "5S", True, None, [], -1, "nan"],
)
def test_other_durations_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a duration like"):
        parse_duration(text)


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_endless_duration_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="a duration like"):
        parse_duration(number)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64MiB", 2**26), ("1MB", 10**6), ("512 KiB", 2**19), (1000, 1000), ("1.5KiB", 1536)],
)
def test_size_is_read_in_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["64mib", "1.5", "0.3KiB", "-1MB", 1.5, False, "MB"])
def test_other_sizes_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a size like"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "share"),
    [("0.1%", 0.001), ("100%", 1.0), ("5 %", 0.05), ("0.0001%", 1e-6), ("0%", 0.0), (0, 0.0)],
)
def test_share_is_read_in_percent(text: object, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)
    assert parse_share(format_share(share)) == pytest.approx(share)


@pytest.mark.parametrize("text", ["0.1", 0.1, 1, "101%", "-1%", "0.00001%", "%", True, False, None])
def test_other_shares_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a share like"):
        parse_share(text)


def test_server_may_be_given_by_the_folder_of_its_socket() -> None:
    address = parse_server("/var/run/postgresql:5432")
    assert address == Address("/var/run/postgresql", 5432)
    assert address.unix_socket == "/var/run/postgresql/.s.PGSQL.5432"
    assert str(address) == "/var/run/postgresql:5432"
    assert parse_server("db:5432") == Address("db", 5432)
    assert Address("db", 5432).unix_socket is None


@pytest.mark.parametrize("text", ["/tmp", "/tmp:", "/tmp:0", "/tmp:65536", "/a:b:1", "tmp/x:1"])
def test_other_folders_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="an address like"):
        parse_server(text)


@pytest.mark.parametrize(("text", "mode"), [("0770", 0o770), ("777", 0o777)])
def test_permissions_are_read_as_chmod_reads_them(text: str, mode: int) -> None:
    assert parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "77", "0778", "1777", "rwx", 770, 0o770, True, None])
def test_other_permissions_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="as octal digits"):
        parse_mode(text)


@given(st.integers(0, 10**6))
def test_duration_survives_being_written_and_read(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(0, 2**40))
def test_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1:5432", Address("10.0.0.1", 5432)),
        ("db-1.internal:5432", Address("db-1.internal", 5432)),
        ("[::1]:6432", Address("::1", 6432)),
        ("*:6432", Address("*", 6432)),
    ],
)
def test_address_is_read_and_written_back(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "/tmp:5432",
        ":6432",
        "::1:6432",
        "[::zz]:1",
        "a:0",
        "a:65536",
        "a:b",
        "a:5²",
        "/tmp:1",
        6432,
    ],
)
def test_other_addresses_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


@given(st.text())
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(str(address)) == address


def test_number_may_come_as_text_from_the_environment() -> None:
    assert parse_count("20") == 20


@pytest.mark.parametrize("value", [True, 1.0, "1.0", "²", "", None])
def test_other_numbers_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a whole number"):
        parse_count(value)


def test_switch_is_read_as_toml_or_as_a_word() -> None:
    assert [parse_switch(value) for value in (True, "on", False, "off")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("value", ["yes", 1, 0, None])
def test_other_switches_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="true or false"):
        parse_switch(value)
