"""A transaction is begun at a server when it must be; what is read before is read beside it."""

from __future__ import annotations

from proxy.session.late import Held
from proxy.types import Reason
from tests.unit.session.every_engine.steps import INSERT, SELECT, hears_error, reads
from tests.unit.session.stage import (
    GONE,
    Stage,
    aborted,
    answers,
    asks,
    at_once,
    breaks,
    client,
    hangs_up,
    marked,
    released,
    settled,
    told,
)
from tests.unit.session.words import CANCELLED, CONFLICT, Words


def test_a_transaction_that_only_reads_is_never_begun(late: Stage, words: Words) -> None:
    late >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))
    reads(late, "replica", "1", block=True)
    reads(late, "replica", "1", block=True)
    late >> client(words.query("COMMIT")) << told(words.done("COMMIT"))
    reads(late, "replica", "1")
    assert late.reasons == [Reason.REPLICA] * 3
    assert late.held == [Held.SPARED]


def test_what_comes_after_a_write_is_in_the_transaction(late: Stage, words: Words) -> None:
    late >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))
    late >> client(words.query("SAVEPOINT a")) << told(words.done("SAVEPOINT", block=True))
    late >> client(words.query(INSERT))
    kind, name, said = late.events.popleft()
    assert (kind, name) == ("asks", "primary")
    assert b"SAVEPOINT" in said
    late >> answers("primary", words.done_together("BEGIN", "SAVEPOINT", block=True))
    late << asks("primary", words.query(INSERT))
    done = words.done("INSERT 0 1", block=True)
    late >> answers("primary", done) << told(done)
    query, result = words.query(SELECT), words.result("1", block=True)
    late >> client(query) << asks("primary", query)
    late >> answers("primary", result) << told(result)
    commit, committed = words.query("COMMIT"), words.done("COMMIT")
    late >> client(commit) << marked(late.catalog.table("orders")) << asks("primary", commit)
    late >> answers("primary", committed) << told(committed) << settled(True)
    late << released("primary")
    assert late.held == [Held.OPENED]


def begin(late: Stage) -> None:
    words = late.words
    late >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))


def test_a_read_that_fails_beside_it_fails_it_where_servers_do(late: Stage, words: Words) -> None:
    begin(late)
    query, failed = words.query(SELECT), words.error(CONFLICT)
    late >> client(query) << asks("replica", query)
    late >> answers("replica", failed) << released("replica") << asks("primary", query)
    late >> answers("primary", failed)
    hears_error(late, CONFLICT.encode())
    late.events.clear()
    end = "ROLLBACK" if words.grammar.fails_whole else "COMMIT"
    late >> client(words.query("COMMIT")) << told(words.done(end))


def test_a_read_that_lost_its_replica_is_repeated_beside_it(late: Stage, words: Words) -> None:
    begin(late)
    query, result = words.query(SELECT), words.result("1", block=True)
    late >> client(query) << asks("replica", query)
    late >> breaks("replica") << asks("primary", query)
    late >> answers("primary", words.result("1")) << told(result) << released("primary")


def test_a_cached_result_says_that_a_transaction_is_open(words: Words) -> None:
    stage = Stage(words=words, late_begin=True, cache=True)
    reads(stage, "replica", "1")
    begin(stage)
    stage >> client(words.query(SELECT)) << at_once(words.result("1", block=True))


def test_a_client_that_goes_leaves_nothing(late: Stage) -> None:
    begin(late)
    reads(late, "replica", "1", block=True)
    late >> hangs_up() << GONE
    late.finish()


def test_one_that_can_not_be_opened_runs_nothing(late: Stage, words: Words) -> None:
    begin(late)
    late >> client(words.query(INSERT))
    late.events.clear()
    late >> answers("primary", words.error(CANCELLED)) << aborted("primary")
    hears_error(late, CANCELLED.encode())
    late >> client(words.query("ROLLBACK")) << told(words.done("ROLLBACK"))
