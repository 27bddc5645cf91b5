"""Which fast reads are drawn for the audit, and what two answers say."""

from __future__ import annotations

import pytest

from proxy.freshness.contracts import Contract
from proxy.settings.rule import Rule
from proxy.types import Audited, Consistency
from proxy.wire.postgres import backend
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    IDLE,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    at_once,
    bind,
    breaks,
    client,
    complete,
    describe,
    error,
    execute,
    notice,
    parse,
    query,
    released,
    result,
    rows,
    told,
    writes,
)

TEXT = "SELECT a FROM orders"
SELECT = query(TEXT)


def served(stage: Stage, request: bytes, by: str = "replica") -> None:
    stage >> client(request) << asks(by, request)
    stage >> answers(by, result("1", "2")) << told(result("1", "2")) << released(by)


def test_a_replicas_answer_is_drawn_when_its_client_has_it() -> None:
    stage = Stage(audit=1.0)
    served(stage, SELECT)
    (sample,) = stage.samples
    assert sample.served_by == "replica:1"
    assert sample.state is stage.session.profile.state
    assert sample.compare(result("1", "2")) is Audited.SAME


def test_a_cached_answer_is_drawn_and_what_is_drawn_is_no_ready_answer() -> None:
    stage = Stage(cache=True, audit=0.25)
    served(stage, SELECT)
    for _ in range(2):
        stage >> client(SELECT) << at_once(result("1", "2"))
    stage.sampler.counts()  # as the shell does, for what it would answer at once
    stage.sampler.counts()
    stage.sampler.counts()
    stage.session.receive(SELECT)
    stage << told(result("1", "2"))
    (sample,) = stage.samples
    assert sample.served_by == "cache"
    assert sample.compare(result("1", "2")) is Audited.SAME


def test_the_rest_is_left_alone() -> None:
    stage = Stage(audit=0.2)
    for _ in range(12):
        served(stage, SELECT)
    assert (len(stage.samples), stage.skipped) == (2, 0)


def test_the_primarys_own_answer_is_none() -> None:
    stage = Stage(audit=1.0)
    writes(stage, "orders")
    served(stage, SELECT, "primary")
    assert (stage.samples, stage.skipped) == ([], 0)


@pytest.mark.parametrize(
    "consistency", [Consistency.SESSION, Consistency.BOUNDED, Consistency.EVENTUAL]
)
def test_what_may_be_old_is_not_compared(consistency: Consistency) -> None:
    stage = Stage(audit=1.0, contract=Contract(consistency, 60.0))
    served(stage, SELECT)
    assert (stage.samples, stage.skipped) == ([], 1)


def test_what_a_rule_keeps_out_of_the_cache_may_be_another_each_time() -> None:
    stage = Stage(audit=1.0, rules=[Rule(name="r", tables="public.orders", cache="never")])  # type: ignore[arg-type]
    served(stage, SELECT)
    assert (stage.samples, stage.skipped) == ([], 1)


@pytest.mark.parametrize("text", ["SELECT a FROM orders WHERE d < 'now'"])
def test_what_means_another_moment_each_time_is_not_compared(text: str) -> None:
    stage = Stage(audit=1.0)
    served(stage, query(text))
    assert (stage.samples, stage.skipped) == ([], 1)


def test_a_part_of_a_result_is_not_compared() -> None:
    stage = Stage(audit=1.0)
    batch = parse("", TEXT) + bind("") + execute(rows=1) + SYNC
    stage >> client(batch) << asks("replica", batch)
    stage.events.clear()
    stage >> answers("replica", PARSED + BOUND + rows("1") + IDLE)
    assert (stage.samples, stage.skipped) == ([], 1)


def test_an_answer_with_an_error_or_a_notice_in_it_is_not_compared() -> None:
    stage = Stage(audit=1.0)
    for answer in (error() + IDLE, COLUMNS + rows("1") + notice() + IDLE):
        stage >> client(SELECT) << asks("replica", SELECT)
        stage >> answers("replica", answer)
        stage.events.clear()
        if stage.links and any(link.user for link in stage.links):
            stage >> answers("primary", result("1"))
            stage.events.clear()
    assert not stage.samples


def test_what_the_primary_had_to_serve_in_the_end_is_none() -> None:
    stage = Stage(audit=1.0)
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> breaks("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    assert not stage.samples


def test_a_large_answer_is_not_compared() -> None:
    stage = Stage(audit=1.0)
    large = backend.data_row([b"x" * 300_000])
    whole = COLUMNS + large + complete("SELECT 1") + IDLE
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", whole) << told(whole) << released("replica")
    assert (stage.samples, stage.skipped) == ([], 1)


READ = parse("", TEXT) + bind("") + describe() + execute() + SYNC


def test_rows_are_compared_in_any_order_and_nothing_around_them() -> None:
    stage = Stage(audit=1.0)
    stage >> client(READ) << asks("replica", READ)
    stage >> answers("replica", PARSED + BOUND + COLUMNS + rows("1", "2", "2") + IDLE)
    stage.events.clear()
    (sample,) = stage.samples
    other = backend.row_description([backend.Column(b"b")])
    for same in (rows("1", "2", "2"), rows("2", "1", "2")):
        assert sample.compare(PARSED + BOUND + other + same + IDLE) is Audited.SAME
    for wrong in (rows("1", "2"), rows("1", "1", "2"), rows("1", "2", "3"), rows()):
        assert sample.compare(PARSED + BOUND + COLUMNS + wrong + IDLE) is Audited.DIFFERENT
    assert sample.compare((PARSED + BOUND + COLUMNS + rows("1"))[:-3]) is Audited.SKIPPED


def test_what_reads_no_table_can_not_be_stale() -> None:
    stage = Stage(audit=1.0)
    served(stage, query("SELECT 1"))
    (sample,) = stage.samples
    assert sample.compare(result("3")) is Audited.LOOSE


def test_what_may_rightly_differ_says_nothing() -> None:
    stage = Stage(audit=1.0)
    served(stage, query(f"{TEXT} LIMIT 2"))
    (sample,) = stage.samples
    assert sample.compare(result("2", "1")) is Audited.SAME
    assert sample.compare(result("2", "3")) is Audited.LOOSE
    assert sample.compare(result("2")) is Audited.DIFFERENT
