"""Rules at work in a session: where reads go, what is refused, what is stopped."""

from __future__ import annotations

import pytest

from proxy.settings.rule import Rule
from proxy.types import Reason
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    FAILED,
    FLUSH,
    GONE,
    IDLE,
    IN_TRANSACTION,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    at_once,
    bind,
    cancelled,
    cancels,
    client,
    complete,
    describe,
    error,
    execute,
    hangs_up,
    parse,
    query,
    released,
    result,
    rows,
    told,
    waits,
)

SELECT = query("SELECT a FROM orders")
OTHER = query("SELECT a FROM items")
SECRET = query("SELECT a FROM secrets")
LEVELS = ("read committed", "repeatable read")
OPENING = query("begin isolation level repeatable read;SELECT")
FAILS = query('ROLLBACK TO SAVEPOINT "tidegate: a statement was refused"')


def served(stage: Stage, request: bytes, by: str) -> None:
    stage >> client(request) << asks(by, request)
    stage >> answers(by, result("1")) << told(result("1")) << released(by)


def on_orders(**actions: object) -> list[Rule]:
    return [Rule(name="orders", tables="public.orders", **actions)]  # type: ignore[arg-type]


def counted(stage: Stage, name: str = "orders") -> int:
    return stage.policy.book.counts()[name].number


def test_a_rule_sends_reads_to_the_primary() -> None:
    stage = Stage(cache=True, rules=on_orders(route="primary"))
    served(stage, SELECT, "primary")
    served(stage, SELECT, "primary")
    assert stage.reasons[-1] is Reason.RULE
    served(stage, OTHER, "replica")
    assert counted(stage) == 2


def test_a_rule_names_the_replicas_for_reads() -> None:
    stage = Stage(replicas=2, rules=on_orders(route=["replica2:1"]))
    for _ in range(5):
        served(stage, SELECT, "replica2")
    stage.ledger.commit(stage.ledger.mark([stage.catalog.table("orders")], stage.tokens()))
    served(stage, SELECT, "primary")


def test_a_rule_may_want_another_contract() -> None:
    stage = Stage(rules=on_orders(consistency="eventual"))
    for name in ("orders", "items"):
        stage.ledger.commit(stage.ledger.mark([stage.catalog.table(name)], stage.tokens()))
    served(stage, SELECT, "replica")
    served(stage, OTHER, "primary")


def test_what_a_rule_speaks_of_is_still_answered_at_once_and_counted() -> None:
    stage = Stage(cache=True, rules=on_orders(cache_max_age=60))
    served(stage, SELECT, "replica")
    answers_ = stage.session.answers
    assert answers_ is not None
    found = answers_[SELECT]
    assert found.limits is not None
    assert found.limits.allow(found.entry, stage.now)
    assert counted(stage) == 2


def test_what_a_rule_forbids_to_cache_is_not_cached() -> None:
    stage = Stage(cache=True, rules=on_orders(cache="never"))
    served(stage, SELECT, "replica")
    served(stage, SELECT, "replica")
    served(stage, OTHER, "replica")
    stage >> client(OTHER) << at_once(result("1"))


def test_other_rules_are_other_answers() -> None:
    stage = Stage(cache=True)
    served(stage, SELECT, "replica")
    stage >> client(SELECT) << at_once(result("1"))
    stage.policy.book.replace(on_orders(route="primary"))
    stage.session.follow_policy()
    served(stage, SELECT, "primary")
    stage.policy.book.replace([])
    stage.session.follow_policy()
    stage >> client(SELECT) << told(result("1"))


# Refused.


def refusing() -> list[Rule]:
    return [Rule(name="secret", tables="public.secrets", reject="not for you")]


def refused(stage: Stage, request: bytes, ready: bytes) -> None:
    stage >> client(request)
    said = b"".join(event[2] for event in stage.events)
    assert {event[0] for event in stage.events} == {"told"}
    stage.events.clear()
    assert b'C42501\0Mnot for you\0Drule "secret"\0' in said
    assert said.endswith(ready)


def test_what_a_rule_rejects_is_not_run() -> None:
    stage = Stage(rules=refusing())
    refused(stage, SECRET, IDLE)
    refused(stage, query("UPDATE secrets SET a = 1"), IDLE)
    refused(stage, query("SELECT 1; SELECT a FROM secrets"), IDLE)
    batch = parse("", "SELECT a FROM secrets") + bind("") + execute() + SYNC
    refused(stage, batch, IDLE)
    served(stage, SELECT, "replica")
    assert counted(stage, "secret") == 4


def test_it_fails_a_transaction_that_is_held_back() -> None:
    stage = Stage(rules=refusing(), late_begin=True)
    stage >> client(query("BEGIN")) << told(complete("BEGIN") + IN_TRANSACTION)
    refused(stage, SECRET, FAILED)
    stage >> client(query("ROLLBACK")) << told(complete("ROLLBACK") + IDLE)


def test_it_fails_a_transaction_that_is_open() -> None:
    stage = Stage(rules=refusing())
    begin, rollback = query("BEGIN"), query("ROLLBACK")
    stage >> client(begin) << asks("primary", begin)
    reply = complete("BEGIN") + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    stage >> client(SECRET) << asks("primary", FAILS)
    stage >> answers("primary", error("3B001", "no such savepoint") + FAILED)
    said = b"".join(event[2] for event in stage.events)
    stage.events.clear()
    assert b"42501" in said
    assert b"3B001" not in said
    assert said.endswith(FAILED)
    # The server judges the rest of it.
    stage >> client(SECRET) << asks("primary", SECRET)
    aborted = error("25P02") + FAILED
    stage >> answers("primary", aborted) << told(aborted)
    stage >> client(rollback) << asks("primary", rollback)
    reply = complete("ROLLBACK") + IDLE
    stage >> answers("primary", reply) << told(reply) << released("primary")


def test_it_fails_a_batch_that_is_open() -> None:
    stage = Stage(rules=refusing())
    first = parse("", "UPDATE orders SET a = 1") + bind("") + execute() + FLUSH
    stage >> client(first)
    assert stage.events.popleft()[0] == "marked"
    assert stage.events.popleft()[0] == "asks"
    reply = PARSED + BOUND + complete("UPDATE 1")
    stage >> answers("primary", reply) << told(reply)
    second = parse("", "SELECT a FROM secrets") + bind("") + execute() + SYNC
    stage >> client(second)
    kind, name, said = stage.events.popleft()
    assert (kind, name) == ("asks", "primary")
    assert b"secrets" not in said
    assert describe('not for you (rule "secret")') in said


@pytest.mark.parametrize("kind", ["COMMIT", "ROLLBACK"])
def test_a_transaction_can_always_be_ended(kind: str) -> None:
    stage = Stage(rules=[Rule(name="all", regex="^(commit|rollback)", reject="no")])
    begin, end = query("BEGIN"), query(kind)
    stage >> client(begin) << asks("primary", begin)
    reply = complete("BEGIN") + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    stage >> client(end) << asks("primary", end)


def test_what_the_proxy_is_asked_among_other_statements_reaches_no_server() -> None:
    stage = Stage()
    begin = query("BEGIN")
    stage >> client(begin) << asks("primary", begin)
    reply = complete("BEGIN") + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    (
        stage
        >> client(query("SET tidegate.consistency = 'bounded'; SELECT 1"))
        << asks("primary", FAILS)
    )


def test_the_primarys_read_is_in_the_transaction_where_all_is_of_one_snapshot() -> None:
    stage = Stage(rules=on_orders(route="primary"), late_begin=True, levels=LEVELS)
    begin = query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    stage >> client(begin) << told(complete("BEGIN") + IN_TRANSACTION)
    (stage >> client(SELECT) << asks("primary", OPENING))


def test_no_contract_is_weak_where_all_is_of_one_snapshot() -> None:
    stage = Stage(rules=on_orders(consistency="eventual"), late_begin=True, levels=LEVELS)
    stage.ledger.commit(stage.ledger.mark([stage.catalog.table("orders")], stage.tokens()))
    begin = query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    stage >> client(begin) << told(complete("BEGIN") + IN_TRANSACTION)
    (stage >> client(SELECT) << asks("primary", OPENING))


# Stopped.


def test_a_statement_that_takes_too_long_is_cancelled() -> None:
    stage = Stage(rules=on_orders(timeout=2))
    stage >> client(SELECT) << asks("replica", SELECT)
    ((seconds, stop),) = stage.timers
    assert seconds == 2.0
    stage >> (lambda _: stop()) << cancelled("replica")
    reply = error("57014", "canceling statement due to user request") + IDLE
    stage >> answers("replica", reply) << told(reply) << released("replica")


def test_a_timer_that_comes_too_late_stops_nothing() -> None:
    stage = Stage(rules=on_orders(timeout=2))
    served(stage, SELECT, "replica")
    (_, stop) = stage.timers[0]
    stage >> client(OTHER) << asks("replica", OTHER)
    stop()
    stage >> answers("replica", COLUMNS + rows("1") + IDLE)


# Rewritten.


def rewriting() -> list[Rule]:
    return [Rule(name="old", tables="public.old", rewrite=r"FROM orders", rewrite_regex="FROM old")]


def test_a_simple_query_is_rewritten() -> None:
    stage = Stage(cache=True, rules=rewriting())
    old = query("SELECT a FROM old WHERE a = 7")
    stage >> client(old) << asks("replica", query("SELECT a FROM orders WHERE a = 7"))
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage >> client(old) << told(result("1"))
    assert counted(stage, "old") == 2
    served(stage, SELECT, "replica")


def test_what_is_prepared_is_rewritten() -> None:
    stage = Stage(rules=rewriting())
    batch = parse("", "SELECT a FROM old WHERE a = $1") + bind("", "7") + execute() + SYNC
    new = parse("", "SELECT a FROM orders WHERE a = $1") + bind("", "7") + execute() + SYNC
    stage >> client(batch) << asks("replica", new)
    reply = PARSED + BOUND + rows("1") + IDLE
    stage >> answers("replica", reply) << told(reply) << released("replica")


def test_a_write_is_rewritten_in_an_open_transaction_too() -> None:
    stage = Stage(
        rules=[Rule(tables="public.old", rewrite="orders", rewrite_regex="old")], late_begin=True
    )
    stage >> client(query("BEGIN")) << told(complete("BEGIN") + IN_TRANSACTION)
    stage >> client(query("DELETE FROM old")) << asks("primary", query("begin"))
    stage >> answers("primary", complete("BEGIN") + IN_TRANSACTION)
    stage << asks("primary", query("DELETE FROM orders"))
    reply = complete("DELETE 1") + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    stage >> client(query("DELETE FROM old")) << asks("primary", query("DELETE FROM orders"))


def test_rules_that_come_later_rewrite_what_is_prepared_from_then_on() -> None:
    stage = Stage()
    stage.policy.book.replace(rewriting())
    stage.session.follow_policy()
    batch = parse("", "SELECT a FROM old") + bind("") + execute() + SYNC
    new = parse("", "SELECT a FROM orders") + bind("") + execute() + SYNC
    stage >> client(batch) << asks("replica", new)


# Held back by a throttle.


def test_what_comes_too_fast_waits_for_its_turn() -> None:
    stage = Stage(rules=on_orders(throttle_concurrency=1))
    other, _ = stage.enter("other")
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> client(SELECT, session=other) << waits("a rule")
    stage >> client(OTHER, session=other)  # behind it
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    assert stage.session.errand is None
    stage >> (lambda s: s.in_line.pop().admitted()) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1"), name="other")
    stage << released("replica") << asks("replica", OTHER)


def test_who_waits_for_its_turn_may_cancel_and_go() -> None:
    stage = Stage(rules=on_orders(throttle_concurrency=1))
    other, _ = stage.enter("other")
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> client(SELECT, session=other) << waits("a rule")
    stage >> cancels(other) << ("left", "a primary")
    assert b"57014" in stage.events.popleft()[2]
    assert stage.events.popleft()[2] == IDLE
    stage >> client(SELECT, session=other) << waits("a rule")
    stage >> hangs_up(other) << ("left", "a primary") << GONE


def test_nobody_is_kept_from_ending_a_transaction() -> None:
    stage = Stage(rules=[Rule(throttle_concurrency=1)])
    other, _ = stage.enter("other")
    stage >> client(SELECT, session=other) << asks("replica", SELECT)
    rollback = query("ROLLBACK")
    stage >> client(rollback) << asks("primary", rollback)


# Mirrored.


def mirroring() -> list[Rule]:
    return on_orders(mirror="other")


def test_what_a_rule_mirrors_is_handed_over_once_it_is_answered() -> None:
    stage = Stage(rules=mirroring())
    stage >> client(SELECT) << asks("replica", SELECT)
    assert stage.mirrored == []
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    served(stage, OTHER, "replica")
    assert stage.mirrored == [("other", SELECT)]


def test_a_call_is_mirrored() -> None:
    stage = Stage(rules=[Rule(mirror="other")])
    call, answer = query("CALL commits()"), complete("CALL") + IDLE
    stage >> client(call)
    stage.events.clear()
    stage >> answers("primary", answer)
    assert stage.mirrored == [("other", call)]


def test_a_hit_is_mirrored_and_never_answered_unread() -> None:
    stage = Stage(cache=True, rules=mirroring())
    served(stage, SELECT, "replica")
    assert not stage.session.answers
    stage >> client(SELECT) << told(result("1"))
    stage >> client(SELECT) << told(result("1"))
    assert stage.mirrored == [("other", SELECT)] * 3


def test_a_batch_is_mirrored_with_its_parameters_under_no_name() -> None:
    stage = Stage(rules=mirroring())
    batch = parse("", "SELECT a FROM orders") + bind("") + execute() + SYNC
    stage >> client(batch)
    stage.events.clear()
    reply = PARSED + BOUND + rows("1") + complete("SELECT 1") + IDLE
    stage >> answers("replica", reply) << told(reply) << released("replica")
    assert stage.mirrored == [("other", batch)]


def test_what_fails_is_not_mirrored() -> None:
    stage = Stage(rules=mirroring())
    in_transaction(stage, "UPDATE orders SET a = 1", "UPDATE 1", IDLE)
    assert len(stage.mirrored) == 1
    stage >> client(query("UPDATE orders SET a = 2"))
    stage.events.clear()
    stage >> answers("primary", error("22012") + IDLE)
    assert len(stage.mirrored) == 1


def in_transaction(stage: Stage, sql: str, tag: str, status: bytes = IN_TRANSACTION) -> None:
    stage >> client(query(sql))
    assert asks("primary", query(sql)) in stage.events
    stage.events.clear()
    stage >> answers("primary", complete(tag) + status)
    stage.events.clear()


@pytest.mark.parametrize("tag", ["COMMIT", "ROLLBACK"])
def test_a_transaction_is_mirrored_when_it_has_committed(tag: str) -> None:
    stage = Stage(rules=mirroring())
    update = "UPDATE orders SET a = 1"
    in_transaction(stage, "BEGIN", "BEGIN")
    in_transaction(stage, update, "UPDATE 1")
    in_transaction(stage, "SAVEPOINT s", "SAVEPOINT")
    in_transaction(stage, "DELETE FROM orders", "DELETE 1")
    in_transaction(stage, "ROLLBACK TO s", "ROLLBACK")
    assert stage.mirrored == []
    in_transaction(stage, "COMMIT", tag, IDLE)
    assert stage.mirrored == ([("other", query(update))] if tag == "COMMIT" else [])


def test_what_would_be_left_in_a_session_is_not_mirrored() -> None:
    stage = Stage(rules=[Rule(name="all", mirror="other")])
    for sql in ("SET search_path = a", "SELECT pg_advisory_lock(1)", "LISTEN a"):
        stage >> client(query(sql))
        stage.events.clear()
        assert stage.session.errand is not None
        assert not any(stage.session.errand.copies)
        stage = Stage(rules=[Rule(name="all", mirror="other")])
