"""What a client's requests say, and what it has prepared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import frontend, tags
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.cutting import GATHERED, Cutter
from proxy.wire.postgres.items import TAKEN
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.requests import SIMPLE_TAIL, Request
from proxy.wire.prepared import AS_AT_LOGIN, Prepared, Sense

SYNC = frontend.SYNC
EXECUTE = frontend.execute(b"")
QUERY = frontend.query(b"SELECT 1")
PARSE = frontend.parse(b"", b"SELECT a", (23,))
BIND = frontend.bind(b"", b"", [b"1"])


@pytest.fixture
def engine() -> ClientEngine:
    return ClientEngine(Library(lambda: 0, lambda sql: False))


def all_of(engine: ClientEngine, data: bytes) -> list[Request]:
    """Cut and read everything."""
    requests = Cutter().feed(data)
    for request in requests:
        engine.read(request)
    return requests


def one(engine: ClientEngine, data: bytes) -> Request:
    (request,) = all_of(engine, data)
    return request


def test_one_text_with_one_list_of_types_is_one_statement(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"s", b"SELECT a", (23,)) + SYNC)
    one(engine, frontend.parse(b"t", b"SELECT a", (23,)) + SYNC)
    one(engine, frontend.parse(b"u", b"SELECT a") + SYNC)
    assert engine.statements[b"s"] is engine.statements[b"t"]
    assert engine.statements[b"u"] is not engine.statements[b"t"]


def test_a_text_means_something_else_under_another_search_path(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"s", b"SELECT a") + SYNC)
    engine.sense = Sense((("search_path", "other"),), ())
    one(engine, frontend.parse(b"t", b"SELECT a") + SYNC)
    assert engine.statements[b"s"] is not engine.statements[b"t"]


HERE = Sense((("search_path", "here"),), (("timezone", "UTC"),))
THERE = Sense((("search_path", "there"),), (("timezone", "UTC"),))
THEN = Sense((("search_path", "here"),), (("timezone", "CET"),))


def test_a_text_means_something_else_under_another_time_zone(engine: ClientEngine) -> None:
    for name, sense in ((b"s", HERE), (b"t", THEN), (b"u", HERE)):
        engine.sense = sense
        one(engine, frontend.parse(name, b"SELECT a") + SYNC)
    assert engine.statements[b"s"] is not engine.statements[b"t"]
    assert engine.statements[b"s"] is engine.statements[b"u"]


def test_a_text_whose_sense_nobody_knows_is_shared_with_nobody(engine: ClientEngine) -> None:
    engine.sense = None
    one(engine, frontend.parse(b"s", b"SELECT a") + SYNC)
    one(engine, frontend.parse(b"t", b"SELECT a") + SYNC)
    assert engine.statements[b"s"] is not engine.statements[b"t"]


def test_a_text_that_means_this_moment_is_shared_with_nobody() -> None:
    library = Library(lambda: 0, lambda sql: b"'now'" in sql)
    held = [library.find(b"SELECT 'now'", (), HERE) for _ in range(2)]
    assert held[0] is not held[1]
    same = [library.find(b"SELECT now()", (), HERE) for _ in range(2)]
    assert same[0] is same[1]


def test_a_statement_keeps_its_constants(engine: ClientEngine) -> None:
    engine.sense = HERE
    one(engine, frontend.parse(b"s", b"SELECT a") + SYNC)
    before = engine.statements[b"s"]
    engine.sense = THEN
    request = one(engine, frontend.describe(tags.STATEMENT, b"s") + SYNC)
    assert request.items[0].prepared is before
    assert request.is_foreign
    engine.sense = None
    request = one(engine, frontend.bind(b"", b"s") + SYNC)
    assert request.items[0].prepared is before
    assert not request.is_foreign


def test_a_statement_whose_names_mean_something_else_is_another(engine: ClientEngine) -> None:
    engine.sense = THEN
    one(engine, frontend.parse(b"s", b"SELECT a") + frontend.parse(b"", b"SELECT a") + SYNC)
    engine.sense = THERE
    request = one(engine, frontend.bind(b"", b"s") + SYNC)
    assert request.items[0].prepared is engine.statements[b"s"]
    assert engine.statements[b"s"].sense == THERE
    assert not request.is_foreign
    one(engine, frontend.bind(b"", b"") + SYNC)
    assert engine.unnamed is engine.statements[b"s"]


def test_what_is_read_again_is_shared_with_nobody(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"gone", b"SELECT g") + SYNC)
    batch = (
        PARSE
        + BIND
        + EXECUTE
        + frontend.parse(b"s", b"SELECT b")
        + frontend.close(tags.STATEMENT, b"gone")
        + SYNC
    )
    request = one(engine, batch)
    assert request.prepares_late
    shared = engine.statements[b"s"]
    engine.read_again(request)
    assert engine.statements[b"s"] is not shared
    assert engine.statements[b"s"].sense is None
    assert [item.tag for item in request.items] == list(b"PBEPCS")
    assert [execution.sql for execution in request.executions] == [b"SELECT a"]
    engine.undo(request, 0)
    assert set(engine.statements) == {b"gone"}


def test_a_text_is_new_when_definitions_may_have_changed() -> None:
    generation = 0
    library = Library(lambda: generation, lambda sql: False)
    before = library.find(b"SELECT a", (), AS_AT_LOGIN)
    generation = 1
    assert library.find(b"SELECT a", (), AS_AT_LOGIN) is not before


def test_a_library_keeps_nothing_that_nobody_has() -> None:
    library = Library(lambda: 0, lambda sql: False)
    first = library.find(b"SELECT a", (), AS_AT_LOGIN).server_name
    assert library.find(b"SELECT a", (), AS_AT_LOGIN).server_name != first


def test_a_bind_says_what_an_execute_runs(engine: ClientEngine) -> None:
    bind = frontend.bind(b"p", b"", [b"1", None], result_formats=[1])
    request = one(engine, PARSE + bind + frontend.execute(b"p", 7) + SYNC)
    (execution,) = request.executions
    assert execution.sql == b"SELECT a"
    assert execution.max_rows == 7
    assert execution.tail == bind[8:]


def test_a_portal_that_may_be_either_of_two_is_not_known(engine: ClientEngine) -> None:
    """The second Bind is refused, if the first one's portal is still there."""
    other = frontend.parse(b"", b"SELECT b") + frontend.bind(b"p", b"") + SYNC
    one(engine, PARSE + frontend.bind(b"p", b"") + SYNC)
    request = one(engine, other)
    assert request.items[1].prepared is engine.unnamed
    (execution,) = one(engine, frontend.execute(b"p") + SYNC).executions
    assert execution.sql is None
    assert [found.sql for found in engine.cursors.values()] == [b"SELECT a", b"SELECT b"]
    engine.forget_portals()
    one(engine, other)
    (execution,) = one(engine, frontend.execute(b"p") + SYNC).executions
    assert execution.sql == b"SELECT b"


def test_a_bind_of_nothing_ends_like_a_simple_query(engine: ClientEngine) -> None:
    request = one(engine, PARSE + frontend.bind(b"", b"") + EXECUTE + SYNC)
    assert request.executions[0].tail == SIMPLE_TAIL
    assert one(engine, QUERY).executions[0].tail == SIMPLE_TAIL


def test_what_is_run_may_be_unknown(engine: ClientEngine) -> None:
    unknown = [
        EXECUTE + SYNC,
        frontend.bind(b"", b"nobody") + EXECUTE + SYNC,
        frontend.function_call(1, []),
    ]
    for data in unknown:
        assert [execution.sql for execution in one(engine, data).executions] == [None]
    assert [execution.sql for execution in one(engine, frontend.query(b"")).executions] == [b""]


def test_portals_end_with_their_transaction(engine: ClientEngine) -> None:
    one(engine, PARSE + BIND + SYNC)
    assert one(engine, EXECUTE + SYNC).executions[0].sql == b"SELECT a"
    engine.forget_portals()
    assert one(engine, EXECUTE + SYNC).executions[0].sql is None


def test_a_closed_portal_runs_nothing(engine: ClientEngine) -> None:
    data = PARSE + BIND + frontend.close(tags.PORTAL, b"") + EXECUTE + SYNC
    assert one(engine, data).executions[0].sql is None


def test_a_portal_whose_close_was_passed_over_is_not_known(engine: ClientEngine) -> None:
    """It may be there still: a savepoint brings it back, and the Bind behind it is refused."""
    one(engine, PARSE + frontend.bind(b"p", b"") + SYNC)
    one(engine, frontend.bind(b"", b"nobody") + frontend.close(tags.PORTAL, b"p") + SYNC)
    one(engine, frontend.parse(b"", b"SELECT b") + frontend.bind(b"p", b"") + SYNC)
    (execution,) = one(engine, frontend.execute(b"p") + SYNC).executions
    assert execution.sql is None


# Names.


def name_of(prepared: Prepared | None) -> bytes | None:
    return None if prepared is None else prepared.sql


def test_an_unnamed_statement_lasts_until_a_query(engine: ClientEngine) -> None:
    one(engine, PARSE + SYNC)
    assert name_of(engine.unnamed) == b"SELECT a"
    one(engine, QUERY)
    assert engine.unnamed is None


def test_a_named_statement_lasts_until_it_is_closed(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"s", b"SELECT a") + SYNC)
    one(engine, QUERY)
    assert name_of(engine.find(b"s")) == b"SELECT a"
    one(engine, frontend.close(tags.STATEMENT, b"s") + SYNC)
    assert engine.find(b"s") is None


def test_a_name_is_given_once(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"s", b"SELECT a") + SYNC)
    request = one(engine, frontend.parse(b"s", b"SELECT b") + SYNC)
    assert request.items[0].tag == TAKEN
    assert request.edited
    assert name_of(engine.find(b"s")) == b"SELECT a"


def test_deallocate_forgets(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"s", b"SELECT a") + frontend.parse(b"t", b"SELECT b") + SYNC)
    assert engine.deallocate(b"s")
    assert not engine.deallocate(b"s")
    one(engine, frontend.parse(b"", b"SELECT c") + SYNC)
    engine.forget_statements()
    assert engine.find(b"t") is None
    assert name_of(engine.unnamed) == b"SELECT c"


def test_what_failed_is_taken_back(engine: ClientEngine) -> None:
    one(engine, frontend.parse(b"s", b"SELECT a") + frontend.parse(b"", b"SELECT u") + SYNC)
    request = one(
        engine,
        frontend.parse(b"t", b"SELECT b")
        + frontend.close(tags.STATEMENT, b"s")
        + frontend.parse(b"s", b"SELECT c")
        + frontend.parse(b"", b"SELECT v")
        + SYNC,
    )
    engine.undo(request, 1)
    assert name_of(engine.find(b"t")) == b"SELECT b"
    assert name_of(engine.find(b"s")) == b"SELECT a"
    assert name_of(engine.unnamed) == b"SELECT u"
    engine.undo(request, 1, unnamed_is_lost=True)
    assert engine.unnamed is None


def test_a_batch_answered_unread_is_read_when_it_matters(engine: ClientEngine) -> None:
    engine.answered(PARSE + BIND + EXECUTE + SYNC)
    assert name_of(engine.unnamed) == b"SELECT a"
    engine.answered(BIND + EXECUTE + SYNC)
    assert name_of(engine.unnamed) == b"SELECT a"
    engine.answered(QUERY)
    assert engine.unnamed is None


def test_a_query_in_a_batch_belongs_to_it(engine: ClientEngine) -> None:
    request = one(engine, PARSE + BIND + EXECUTE + QUERY)
    assert [execution.sql for execution in request.executions] == [b"SELECT a", b"SELECT 1"]
    assert request.edited


def test_what_a_large_query_runs_is_not_known(engine: ClientEngine) -> None:
    text = b"x" * GATHERED
    for data in (frontend.query(text), frontend.function_call(1, [text])):
        assert one(engine, data[:GATHERED]).executions[0].sql is None


# Bad input.


@pytest.mark.parametrize(
    "data",
    [
        b"?\0\0\0\4",
        b"p\0\0\0\4",
        b"Q\0\0\0\3",
        b"Q\0\0\0\x05x",
        b"P\0\0\0\x06s\0",
        b"D\0\0\0\x06Xa",
        b"C\0\0\0\4",
        b"B\0\0\0\x05\0",
        b"E\0\0\0\x05\0",
    ],
)
def test_what_is_no_message_is_refused(engine: ClientEngine, data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        all_of(engine, data + SYNC)


BODIES = st.builds(
    lambda tag, body: bytes((tag,)) + (4 + len(body)).to_bytes(4, "big") + body,
    st.sampled_from(sorted(tags.FROM_CLIENT)),
    st.binary(max_size=20),
)


@given(st.lists(BODIES, max_size=6))
def test_messages_with_garbage_in_them_raise_nothing_else(found: list[bytes]) -> None:
    engine = ClientEngine(Library(lambda: 0, lambda sql: False))
    try:
        all_of(engine, b"".join(found))
    except RemoteProtocolError:
        return
