"""Pipelines, open batches, COPY and large messages: who gets what, in which order."""

from __future__ import annotations

import pytest

from proxy.errors import PoolTimeout
from proxy.wire.postgres import backend, frontend, tags
from tests.unit.session.stage import (
    BOUND,
    CLOSED,
    FAILED,
    FLUSH,
    IDLE,
    IN_TRANSACTION,
    NO_DATA,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    bind,
    client,
    close,
    complete,
    describe_statement,
    error,
    execute,
    lends,
    parse,
    query,
    refuses,
    released,
    result,
    rows,
    says_what_is_set,
    settled,
    told,
    waits,
)

TEXT = "SELECT a FROM orders"
SELECT = query(TEXT)
INSERT = "INSERT INTO orders VALUES (1)"
INSERTED = complete("INSERT 0 1")
COPY_IN = backend.copy_response(tags.COPY_IN_RESPONSE, 0, [0])
ROW = frontend.copy_data(b"1\n")
COPY_DONE = frontend.COPY_DONE


@pytest.fixture
def stage() -> Stage:
    return Stage()


def happens(stage: Stage, *messages: bytes) -> None:
    """The client sends something; what follows from it is looked at elsewhere."""
    stage >> client(*messages)
    stage.events.clear()


def test_a_sync_alone_is_answered_here(stage: Stage) -> None:
    stage >> client(SYNC) << told(IDLE)
    stage >> client(FLUSH)
    stage.quiet()


def test_a_flush_passes_on_what_was_asked(stage: Stage) -> None:
    begin = parse("", INSERT) + bind("") + execute()
    stage >> client(begin + FLUSH)
    assert stage.events.pop() == asks("primary", begin + FLUSH)
    stage.events.clear()
    stage >> answers("primary", PARSED + BOUND + INSERTED) << told(PARSED + BOUND + INSERTED)
    stage >> client(SYNC)
    stage.events.clear()
    stage >> answers("primary", IDLE) << told(IDLE) << settled(True) << released("primary")
    stage.finish()


def test_an_open_batch_that_only_prepares_keeps_no_connection(stage: Stage) -> None:
    batch = parse("s", TEXT) + describe_statement("s") + FLUSH
    stage >> client(batch)
    stage.events.clear()
    description = backend.parameter_description(()) + NO_DATA
    stage >> answers("primary", PARSED + description + IDLE) << told(PARSED + description)
    stage << released("primary")
    stage >> client(bind("s") + execute() + SYNC)
    assert stage.events.popleft()[:2] == ("asks", "replica")


def test_after_an_error_in_a_batch_we_ended_all_is_skipped_up_to_the_sync(stage: Stage) -> None:
    happens(stage, parse("s", "nonsense") + FLUSH)
    stage >> answers("primary", error("42601") + IDLE) << told(error("42601"))
    stage << released("primary")
    stage >> client(bind("s") + execute() + FLUSH)
    stage >> client(close("s") + query("SELECT 1"))
    stage >> client(SYNC) << told(IDLE)
    stage >> client(SELECT) << asks("replica", SELECT)


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "late"])
def test_a_name_that_is_given_again_behind_an_error_is_still_free(
    stage: Stage, is_late: bool
) -> None:
    """What is skipped may come before the server is ready, or after."""
    happens(stage, parse("s", "nonsense") + FLUSH)
    stage >> answers("primary", error("42601")) << told(error("42601"))
    again = query("SELECT 1") + parse("s", "SELECT 2") + SYNC
    if is_late:
        stage >> answers("primary", IDLE) << released("primary")
        stage >> client(again) << told(IDLE)
    else:
        stage >> client(again)
        stage >> answers("primary", IDLE) << released("primary") << told(IDLE)
    stage >> client(bind("s") + execute() + SYNC)
    assert stage.events.pop()[2] == bind("s") + execute() + SYNC  # the server says there is none


def test_a_name_that_is_given_again_while_its_batch_waits_is_still_free() -> None:
    stage = Stage(size=0)
    stage >> client(parse("s", "nonsense") + FLUSH) << waits("primary")
    stage >> client(parse("s", TEXT) + SYNC)
    stage >> refuses("primary", PoolTimeout("none"))
    stage.events.clear()
    happens(stage, bind("s") + execute() + SYNC)
    stage >> lends("primary")
    assert stage.events.pop()[2] == bind("s") + execute() + SYNC


def test_error_in_pipeline_skips_to_sync(stage: Stage) -> None:
    happens(stage, parse("", INSERT) + bind("") + execute() + FLUSH)
    stage >> answers("primary", PARSED + error("23505")) << told(PARSED + error("23505"))
    stage >> client(parse("s", "SELECT 1") + bind("s") + execute() + FLUSH)
    stage >> client(query("SELECT 1"))
    stage >> client(bind("s") + execute() + SYNC) << asks("primary", SYNC)
    stage >> answers("primary", IDLE) << told(IDLE) << settled(False) << released("primary")
    stage >> client(bind("s") + execute() + SYNC)
    # What was skipped is not prepared: the server says so.
    assert stage.events.pop()[2] == bind("s") + execute() + SYNC


def test_without_a_connection_an_open_batch_is_skipped() -> None:
    stage = Stage(size=0)
    stage >> client(parse("", INSERT) + bind("") + execute() + FLUSH) << waits("primary")
    stage >> refuses("primary", PoolTimeout("none"))
    assert stage.events.popleft()[0] == "told"
    stage >> client(bind("") + execute() + SYNC) << told(IDLE)


def test_without_a_connection_a_whole_batch_is_answered() -> None:
    stage = Stage(size=0)
    stage >> client(parse("", INSERT) + bind("") + execute() + SYNC) << waits("primary")
    stage >> refuses("primary", PoolTimeout("none"))
    assert stage.events.popleft()[0] == "told"
    stage << told(IDLE)
    stage >> client(query(INSERT)) << waits("primary")


def test_a_query_behind_a_batch_that_failed_is_skipped_as_well(stage: Stage) -> None:
    mixed = parse("", INSERT) + bind("") + execute() + query("SELECT 1")
    happens(stage, mixed)
    stage >> answers("primary", error("42P01")) << told(error("42P01"))
    stage >> client(SYNC) << asks("primary", SYNC)
    stage >> answers("primary", IDLE) << told(IDLE) << settled(False) << released("primary")
    stage.finish()


def test_the_next_batch_is_not_sent_into_a_copy(stage: Stage) -> None:
    """The answer to a COPY may come in pieces; what follows it is another request."""
    copy = parse("", "COPY orders FROM STDIN") + bind("") + execute() + SYNC
    happens(stage, copy)
    stage >> answers("primary", PARSED + BOUND + COPY_IN) << told(PARSED + BOUND + COPY_IN)
    stage >> client(ROW) << asks("primary", ROW)
    stage >> client(COPY_DONE + SYNC + SELECT) << asks("primary", COPY_DONE)
    stage << asks("primary", SYNC)
    stage >> answers("primary", complete("COPY 1")) << told(complete("COPY 1"))
    stage >> answers("primary", IDLE) << told(IDLE) << settled(True) << released("primary")
    stage << asks("primary", SELECT)


def test_rows_come_before_they_are_asked_for(stage: Stage) -> None:
    copy = query("COPY orders FROM STDIN")
    happens(stage, copy)
    stage >> client(ROW + COPY_DONE) << asks("primary", ROW) << asks("primary", COPY_DONE)
    answer = COPY_IN + complete("COPY 1") + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")
    stage >> client(ROW)
    stage.quiet()


def test_two_copies_in_one_text(stage: Stage) -> None:
    happens(stage, query("COPY orders FROM STDIN; COPY items FROM STDIN"))
    stage >> answers("primary", COPY_IN) << told(COPY_IN)
    stage >> client(ROW + COPY_DONE) << asks("primary", ROW) << asks("primary", COPY_DONE)
    stage >> answers("primary", complete("COPY 1") + COPY_IN)
    stage << told(complete("COPY 1") + COPY_IN)
    stage >> client(ROW + COPY_DONE) << asks("primary", ROW) << asks("primary", COPY_DONE)
    answer = complete("COPY 1") + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")


def test_rows_for_a_copy_that_failed_are_dropped(stage: Stage) -> None:
    happens(stage, query("COPY orders FROM STDIN"))
    stage >> answers("primary", error() + IDLE) << told(error() + IDLE) << settled(False)
    stage << released("primary")
    stage >> client(ROW + COPY_DONE)
    stage.quiet()
    stage >> client(SELECT) << asks("replica", SELECT)


def test_a_named_copy_leaves_no_debts(stage: Stage) -> None:
    """The Sync in front of the rows is lost on the server: nothing is owed for it."""
    copy = parse("c", "COPY orders FROM STDIN") + bind("c") + execute() + SYNC
    happens(stage, copy)
    stage >> answers("primary", PARSED + BOUND + COPY_IN) << told(PARSED + BOUND + COPY_IN)
    stage >> client(ROW + COPY_DONE + SYNC)
    stage.events.clear()
    stage >> answers("primary", complete("COPY 1") + IDLE)
    stage.events.clear()
    stage >> client(parse("d", INSERT) + bind("d") + execute() + SYNC)
    stage.events.clear()
    answer = PARSED + BOUND + INSERTED + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")


def big_bind(size: int) -> bytes:
    return frontend.bind(b"", b"", [b"x" * size])


@pytest.mark.parametrize("cut", [1_100_000, 1_500_000, 1_999_999])
def test_a_large_bind_passes_through_in_pieces(stage: Stage, cut: int) -> None:
    head = parse("", "INSERT INTO orders VALUES ($1)")
    batch = head + big_bind(2_000_000) + execute() + SYNC
    stage >> client(batch[:cut])
    sent = b"".join(event[2] for event in stage.events if event[0] == "asks")
    stage.events.clear()
    stage >> client(batch[cut:])
    sent += b"".join(event[2] for event in stage.events if event[0] == "asks")
    stage.events.clear()
    assert sent == batch
    answer = PARSED + BOUND + INSERTED + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(True) << released("primary")
    stage.finish()


@pytest.mark.parametrize("extra", [1, 100, 1000])
def test_what_is_behind_a_message_just_too_large_is_not_forgotten(stage: Stage, extra: int) -> None:
    """Its first piece may be all of it, with more behind."""
    text = query("INSERT INTO orders VALUES ('" + "x" * (1024 * 1024 + extra) + "')")
    stage.session.receive(text[:1_000_000])
    stage.session.receive(text[1_000_000:] + SELECT)
    assert b"".join(event[2] for event in stage.events if event[0] == "asks") == text
    stage.events.clear()
    stage >> answers("primary", INSERTED + IDLE) << told(INSERTED + IDLE) << settled(True)
    assert stage.events.popleft()[0] == "asks"  # what it left behind: it has not been read
    stage >> answers("primary", says_what_is_set()) << released("primary")
    stage << asks("primary", SELECT)


def test_a_large_message_waits_behind_the_request_that_runs(stage: Stage) -> None:
    big = query("INSERT INTO orders VALUES ('" + "x" * 3_000_000 + "')")
    stage >> client(SELECT) << asks("replica", SELECT)
    for start in range(0, len(big), 500_000):
        stage >> client(big[start : start + 500_000])
    assert not stage.shell.is_reading
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    assert stage.events.popleft()[0] == "marked"
    assert b"".join(event[2] for event in stage.events if event[0] == "asks") == big


def test_a_large_message_that_is_skipped_is_dropped_to_its_end(stage: Stage) -> None:
    happens(stage, parse("", INSERT) + bind("") + execute() + FLUSH)
    stage >> answers("primary", error()) << told(error())
    big = big_bind(2_000_000) + execute() + SYNC
    for start in range(0, len(big), 300_000):
        stage.session.receive(big[start : start + 300_000])
    assert list(stage.events) == [asks("primary", SYNC)]


def test_a_large_message_behind_an_error_is_passed_on_to_its_end(stage: Stage) -> None:
    """An error came in front of a large message, of which a part has been sent."""
    happens(stage, parse("", "nonsense") + big_bind(3_000_000)[:1_500_000])
    stage >> answers("primary", error("42601")) << told(error("42601"))
    rest = big_bind(3_000_000)[1_500_000:]
    stage >> client(rest[:1_000_000])
    stage.events.clear()
    stage >> client(rest[1_000_000:] + execute() + SYNC)
    assert stage.events.pop() == asks("primary", SYNC)
    stage.events.clear()
    stage >> answers("primary", IDLE) << told(IDLE) << released("primary")


def test_a_server_that_takes_no_more_stops_its_client(stage: Stage) -> None:
    happens(stage, query("COPY orders FROM STDIN"))
    link = stage.link("primary")
    stage.session.server_paused(link, True)
    assert not stage.shell.is_reading
    stage.session.server_paused(link, False)
    assert stage.shell.is_reading


def test_a_transaction_keeps_its_connection_through_batches(stage: Stage) -> None:
    begin = parse("", "BEGIN") + bind("") + execute() + SYNC
    stage >> client(begin) << asks("primary", begin)
    answer = PARSED + BOUND + complete("BEGIN") + IN_TRANSACTION
    stage >> answers("primary", answer) << told(answer)
    stage >> client(parse("s", TEXT) + FLUSH)
    assert stage.events.popleft()[:2] == ("asks", "primary")
    stage >> answers("primary", error()) << told(error())
    stage >> client(SYNC) << asks("primary", SYNC)
    stage >> answers("primary", FAILED) << told(FAILED)
    stage >> client(SYNC) << asks("primary", SYNC)
    stage >> answers("primary", FAILED) << told(FAILED)


def test_deallocate_of_a_statement_of_ours_never_reaches_the_server(stage: Stage) -> None:
    happens(stage, parse("s", TEXT) + SYNC)
    stage >> answers("primary", PARSED + IDLE) << told(PARSED + IDLE) << released("primary")
    reply = complete("DEALLOCATE") + IDLE
    stage >> client(query("DEALLOCATE s")) << told(reply)
    stage >> client(query("DEALLOCATE s")) << asks("primary", query("DEALLOCATE s"))


def test_a_portal_is_closed_behind_its_rows(stage: Stage) -> None:
    batch = parse("", TEXT) + bind("") + execute() + frontend.close(tags.PORTAL, b"") + SYNC
    stage >> client(batch) << asks("replica", batch)
    answer = PARSED + BOUND + rows("1") + CLOSED + IDLE
    stage >> answers("replica", answer) << told(answer) << released("replica")


def test_deallocate_of_a_statement_of_the_protocol_leaves_a_transaction_open(stage: Stage) -> None:
    happens(stage, parse("s", TEXT) + SYNC)
    stage >> answers("primary", PARSED + IDLE) << told(PARSED + IDLE) << released("primary")
    happens(stage, query("BEGIN"))
    stage >> answers("primary", complete("BEGIN") + IN_TRANSACTION)
    stage << told(complete("BEGIN") + IN_TRANSACTION)
    said = complete("DEALLOCATE") + IN_TRANSACTION
    stage >> client(query("DEALLOCATE s")) << told(said)
    stage >> client(SELECT) << asks("primary", SELECT)


def test_a_name_is_free_again_when_what_was_to_have_it_failed(stage: Stage) -> None:
    """Both batches come in one segment; what the second means depends on how the first ends."""
    bad, good = parse("s", "nonsense") + SYNC, parse("s", "SELECT a FROM orders") + SYNC
    stage >> client(bad + good)
    stage.events.clear()
    stage >> answers("primary", error("42601") + IDLE)
    asked = [event[2] for event in stage.events if event[0] == "asks"]
    assert len(asked) == 1
    assert asked[0].count(b"SELECT a FROM orders") == 1
    assert stage.session.engine.statements[b"s"].sql == b"SELECT a FROM orders"
