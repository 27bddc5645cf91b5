"""Every fault has a SQLSTATE, and our own errors are well-formed ErrorResponses."""

from __future__ import annotations

import re

import pytest

from proxy.errors import AuthenticationFailed, ClientVisibleError, Fault, NoPrimary, OutcomeUnknown
from proxy.wire.postgres.backend import read_error
from proxy.wire.postgres.errors import SQLSTATES, error_message


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_sqlstate(fault: Fault) -> None:
    assert re.fullmatch(rb"[0-9A-Z]{5}", SQLSTATES[fault])
    assert SQLSTATES[fault] != b"00000"


def test_an_error_that_closes_the_client_is_fatal() -> None:
    fields = read_error(error_message(AuthenticationFailed("no")))
    assert fields == {b"S": b"FATAL", b"V": b"FATAL", b"C": b"28P01", b"M": b"no"}


def test_an_error_that_leaves_the_client_connected_is_not_fatal_unless_said_so() -> None:
    error = NoPrimary('no primary answers in group "main"', detail="3 servers", hint="wait")
    fields = read_error(error_message(error))
    assert fields[b"S"] == b"ERROR"
    assert fields[b"C"] == b"08006"
    assert (fields[b"D"], fields[b"H"]) == (b"3 servers", b"wait")
    assert read_error(error_message(error, fatal=True))[b"S"] == b"FATAL"


def test_an_unknown_outcome_is_told_from_a_lost_server() -> None:
    assert read_error(error_message(OutcomeUnknown("it may have happened")))[b"C"] == b"08007"


def test_a_name_that_is_no_text_goes_out_as_it_came_in() -> None:
    name = b"\xff\xe9".decode("utf-8", "surrogateescape")
    assert read_error(error_message(ClientVisibleError(f'"{name}"')))[b"M"] == b'"\xff\xe9"'


def test_a_nul_in_a_text_does_not_end_the_field() -> None:
    assert read_error(error_message(ClientVisibleError("a\0b")))[b"M"] == b"ab"
