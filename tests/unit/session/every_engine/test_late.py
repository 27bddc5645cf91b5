"""A transaction is begun at a server when it must be; what is read before is read beside it."""

from __future__ import annotations

from proxy.session.late import Held
from proxy.types import Reason
from tests.unit.session.every_engine.steps import INSERT, SELECT, reads
from tests.unit.session.stage import Stage, answers, asks, client, marked, released, settled, told
from tests.unit.session.words import Words


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
