"""Every fault has an errno and a SQLSTATE, and our own errors are well-formed ERR packets."""

from __future__ import annotations

import re

import pytest

from proxy.errors import ClientVisibleError, Fault, NoPrimary, OutcomeUnknown, RemoteProtocolError
from proxy.wire.mysql.errors import (
    CODES,
    AccessDenied,
    BadHandshake,
    LoginRefused,
    OldClient,
    OutOfOrder,
    TlsRequired,
    error_packet,
)
from proxy.wire.mysql.ok import Error, read_error


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_number_and_a_sqlstate(fault: Fault) -> None:
    errno, sqlstate = CODES[fault]
    assert 1000 <= errno < 0xFFFF
    assert re.fullmatch(rb"[0-9A-Z]{5}", sqlstate)
    assert sqlstate != b"00000"


def said(error: ClientVisibleError) -> tuple[int, bytes, bytes]:
    return read_error(error_packet(error, 2))


def test_an_error_has_its_place_in_the_conversation() -> None:
    packet = error_packet(NoPrimary("nobody"), 7)
    assert packet == b"\x0f\0\0\x07\xff\xd3\x07#HY000nobody"


def test_before_a_client_has_said_that_it_speaks_41_there_is_no_sqlstate() -> None:
    packet = error_packet(NoPrimary("nobody"), 0, is_41=False)
    assert packet == b"\x09\0\0\0\xff\xd3\x07nobody"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadHandshake("too short"), (1043, b"08S01", b"Bad handshake; too short")),
        (OutOfOrder(), (1156, b"08S01", b"Got packets out of order")),
        (TlsRequired("TLS"), (3159, b"HY000", b"TLS")),
        (RemoteProtocolError("odd"), (1835, b"HY000", b"odd")),
        (
            AccessDenied(b"ann", "10.0.0.1", used_password=True),
            (1045, b"28000", b"Access denied for user 'ann'@'10.0.0.1' (using password: YES)"),
        ),
        (
            AccessDenied(b"ann", "10.0.0.1", used_password=False),
            (1045, b"28000", b"Access denied for user 'ann'@'10.0.0.1' (using password: NO)"),
        ),
    ],
)
def test_errors_of_the_connection_phase_are_mysqls(
    error: ClientVisibleError, code: tuple[int, bytes, bytes]
) -> None:
    assert said(error) == code


def test_an_old_client_is_told_so() -> None:
    assert said(OldClient())[:2] == (1251, b"08004")


def test_an_unknown_outcome_is_told_from_a_lost_server_by_its_sqlstate() -> None:
    assert said(OutcomeUnknown("it may have happened"))[:2] == (2013, b"08007")


def test_details_and_hints_are_in_the_one_text_that_there_is() -> None:
    error = NoPrimary('no primary in group "main"', detail="3 servers", hint="wait")
    assert said(error)[2] == b'no primary in group "main"; 3 servers; wait'


def test_a_name_that_is_no_text_goes_out_as_it_came_in() -> None:
    error = AccessDenied(b"\xff\xe9", "h", used_password=True)
    assert b"'\xff\xe9'@'h'" in said(error)[2]


def test_a_servers_refusal_is_relayed_as_it_came() -> None:
    theirs = Error(1045, b"28000", b"Access denied for user '\xe9'")
    refused = LoginRefused(theirs)
    assert (refused.errno, refused.sqlstate) == (1045, b"28000")
    assert refused.fault is Fault.AUTHENTICATION_FAILED
    assert read_error(error_packet(refused, 4)) == theirs


@pytest.mark.parametrize(
    ("errno", "fault"),
    [
        (1040, Fault.TOO_MANY_CLIENTS),
        (1044, Fault.INVALID_AUTHORIZATION),
        (1049, Fault.UNKNOWN_DATABASE),
        (1053, Fault.SHUTTING_DOWN),
        (1203, Fault.TOO_MANY_CLIENTS),
        (4711, Fault.INVALID_AUTHORIZATION),
    ],
)
def test_a_servers_refusal_has_a_fault(errno: int, fault: Fault) -> None:
    assert LoginRefused(Error(errno, b"HY000", b"no")).fault is fault


@pytest.mark.parametrize("errno", [1040, 1203, 1226])
def test_a_server_that_is_full_refuses_nobody_for_good(errno: int) -> None:
    assert LoginRefused(Error(errno, b"08004", b"no")).is_full
    assert not LoginRefused(Error(errno, b"08004", b"no")).is_passing


def test_a_server_that_stops_lets_in_again_later() -> None:
    assert LoginRefused(Error(1053, b"08S01", b"no")).is_passing
    wrong = LoginRefused(Error(1045, b"28000", b"no"))
    assert not wrong.is_full
    assert not wrong.is_passing
