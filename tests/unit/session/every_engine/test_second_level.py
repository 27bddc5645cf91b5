"""What memory has not the second level may have, if it still holds when it comes."""

from __future__ import annotations

import pytest

from proxy.cache.benefit import TRIAL
from proxy.settings.rule import Rule
from proxy.types import Reason
from tests.unit.session.every_engine.steps import INSERT, SELECT, runs
from tests.unit.session.every_engine.test_flights import redefine
from tests.unit.session.shelf import FETCHES, HOLDS, KEEPS, LETS_GO, Shelf
from tests.unit.session.stage import (
    GONE,
    Stage,
    answers,
    asks,
    at_once,
    cancels,
    client,
    elsewhere,
    hangs_up,
    marked,
    released,
    told,
    writes,
)
from tests.unit.session.words import SYNTAX, Words


@pytest.fixture
def shelf(caching: Stage) -> Shelf:
    return Shelf(caching)


@pytest.fixture
def filled(shelf: Shelf, words: Words) -> Stage:
    """The result is on the shelf, and not in memory."""
    stage = shelf.stage
    select = words.query(SELECT)
    stage >> client(select) << FETCHES
    stage >> shelf.answers() << asks("replica", select)
    reads_on(stage, words, "replica", "1", kept=True)
    shelf.forget_memory()
    return stage


def reads_on(stage: Stage, words: Words, name: str, value: str, *, kept: bool) -> None:
    """A server answers."""
    result = words.result(value)
    stage >> answers(name, result) << told(result)
    if kept:
        stage << KEEPS
    stage << released(name)


def test_what_is_there_is_answered_and_kept_in_memory(
    filled: Stage, shelf: Shelf, words: Words
) -> None:
    select, result = words.query(SELECT), words.result("1")
    filled >> client(select) << FETCHES
    filled >> shelf.answers() << told(result)
    assert filled.reasons[-1] is Reason.HIT
    filled >> client(select) << at_once(result)
    assert shelf.outcomes == {"absent": 1, "hit": 1}
    filled.finish()


def test_what_was_written_since_is_read_anew(filled: Stage, shelf: Shelf, words: Words) -> None:
    select = words.query(SELECT)
    filled >> elsewhere(lambda s: writes(s, "orders"))
    filled >> client(select) << FETCHES
    filled >> shelf.answers() << asks("primary", select)
    reads_on(filled, words, "primary", "2", kept=True)
    assert shelf.outcomes == {"absent": 1, "stale": 1}
    shelf.forget_memory()
    filled >> client(select) << FETCHES
    filled >> shelf.answers() << told(words.result("2"))


def test_what_is_written_while_it_is_fetched_is_read_anew(
    filled: Stage, shelf: Shelf, words: Words
) -> None:
    """It is judged when it has come, and what the server says then is of the new version."""
    select = words.query(SELECT)
    filled >> client(select) << FETCHES
    filled >> elsewhere(lambda s: writes(s, "orders"))
    filled >> shelf.answers() << asks("primary", select)
    reads_on(filled, words, "primary", "2", kept=True)
    filled >> client(select) << at_once(words.result("2"))


def test_what_is_being_written_is_not_asked_for(filled: Stage, shelf: Shelf, words: Words) -> None:
    select = words.query(SELECT)
    table = filled.catalog.table("orders")
    filled >> elsewhere(lambda s: s.marks.append(s.ledger.mark([table], s.tokens())))
    filled >> client(select) << asks("primary", select)
    reads_on(filled, words, "primary", "1", kept=False)


def test_a_commit_that_begins_meanwhile_is_in_the_way(
    filled: Stage, shelf: Shelf, words: Words
) -> None:
    select = words.query(SELECT)
    table = filled.catalog.table("orders")
    filled >> client(select) << FETCHES
    filled >> elsewhere(lambda s: s.marks.append(s.ledger.mark([table], s.tokens())))
    filled >> shelf.answers() << asks("primary", select)
    reads_on(filled, words, "primary", "1", kept=False)


def test_what_was_overtaken_is_not_kept(shelf: Shelf, words: Words) -> None:
    stage, select = shelf.stage, words.query(SELECT)
    stage >> client(select) << FETCHES
    stage >> shelf.answers() << asks("replica", select)
    first, rest = words.parts("1")
    stage >> answers("replica", first) << told(first)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    stage >> answers("replica", rest) << told(rest) << released("replica")


def test_definitions_that_change_meanwhile_send_it_to_the_primary(
    filled: Stage, shelf: Shelf, words: Words
) -> None:
    select = words.query(SELECT)
    filled >> client(select) << FETCHES
    filled >> elsewhere(lambda s: redefine(s, "orders"))
    filled >> shelf.answers() << asks("primary", select)


def test_a_quarantine_that_begins_meanwhile_sends_it_to_the_primary(
    filled: Stage, shelf: Shelf, words: Words
) -> None:
    select = words.query(SELECT)
    orders = filled.catalog.table("orders")
    filled >> client(select) << FETCHES
    filled >> elsewhere(lambda s: s.ledger.quarantine([orders], s.tokens()))
    filled >> shelf.answers() << asks("primary", select)
    reads_on(filled, words, "primary", "1", kept=False)
    filled >> client(select) << asks("primary", select)


@pytest.mark.parametrize("damage", [b"", b"no entry at all"])
def test_what_is_damaged_is_not_there(
    filled: Stage, shelf: Shelf, words: Words, damage: bytes
) -> None:
    select = words.query(SELECT)
    for name, data in shelf.entries.items():
        shelf.entries[name] = damage or data[:-1]
    filled >> client(select) << FETCHES
    filled >> shelf.answers() << asks("replica", select)
    assert shelf.outcomes == {"absent": 1, "refused": 1}


def test_what_is_late_is_not_waited_for(filled: Stage, shelf: Shelf, words: Words) -> None:
    select = words.query(SELECT)
    filled >> client(select) << FETCHES
    lookup = shelf.lookups[0]
    filled >> shelf.gives_up() << asks("replica", select)
    filled >> elsewhere(lambda s: lookup.answered(shelf.entries[lookup.name], s.now))
    filled.quiet()
    reads_on(filled, words, "replica", "1", kept=True)
    assert shelf.outcomes == {"absent": 1, "late": 1}


def test_a_store_that_is_skipped_costs_nothing(filled: Stage, shelf: Shelf, words: Words) -> None:
    select = words.query(SELECT)
    shelf.is_open = False
    filled >> client(select) << asks("replica", select)
    assert shelf.outcomes == {"absent": 1, "skipped": 1}


def test_others_wait_for_the_one_who_asks(filled: Stage, shelf: Shelf, words: Words) -> None:
    select, result = words.query(SELECT), words.result("1")
    other, _ = filled.enter("other")
    filled >> client(select) << FETCHES
    filled >> client(select, session=other)
    filled.quiet()
    filled >> shelf.answers() << told(result, name="other") << told(result)


def test_others_wait_for_the_server_where_nothing_is_found(shelf: Shelf, words: Words) -> None:
    stage, select, result = shelf.stage, words.query(SELECT), words.result("1")
    other, _ = stage.enter("other")
    stage >> client(select) << FETCHES
    stage >> client(select, session=other)
    stage >> shelf.answers() << asks("replica", select)
    stage >> answers("replica", result) << told(result) << KEEPS << told(result, name="other")
    stage << released("replica")


def test_another_asks_when_the_first_one_goes(filled: Stage, shelf: Shelf, words: Words) -> None:
    select, result = words.query(SELECT), words.result("1")
    other, _ = filled.enter("other")
    filled >> client(select) << FETCHES
    filled >> client(select, session=other)
    filled >> hangs_up() << FETCHES << GONE
    filled >> shelf.answers()
    filled.quiet()
    filled >> shelf.answers() << told(result, name="other")


def test_who_waits_for_it_can_be_cancelled(filled: Stage, shelf: Shelf, words: Words) -> None:
    select = words.query(SELECT)
    filled >> client(select) << FETCHES
    filled >> cancels()
    assert all(event[0] == "told" for event in filled.events)
    filled.events.clear()
    filled >> shelf.answers()
    filled.quiet()
    filled >> client(select) << FETCHES


def test_what_comes_behind_it_waits_for_its_turn(filled: Stage, shelf: Shelf, words: Words) -> None:
    select, insert = words.query(SELECT), words.query(INSERT)
    filled >> client(select) << FETCHES
    filled >> client(insert)
    filled.quiet()
    filled >> shelf.answers() << told(words.result("1")) << marked(filled.catalog.table("orders"))
    filled << asks("primary", insert)


def test_in_an_open_transaction_it_is_not_asked(filled: Stage, words: Words) -> None:
    runs(filled, "BEGIN", "BEGIN")
    filled >> client(words.query(SELECT)) << asks("primary", words.query(SELECT))


def test_beside_a_transaction_that_is_held_back_it_is_asked(words: Words) -> None:
    stage = Stage(words=words, cache=True, late_begin=True)
    shelf = Shelf(stage)
    select = words.query(SELECT)
    stage >> client(select) << FETCHES
    stage >> shelf.answers() << asks("replica", select)
    reads_on(stage, words, "replica", "1", kept=True)
    shelf.forget_memory()
    stage >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))
    stage >> client(select) << FETCHES
    stage >> shelf.answers() << told(words.result("1", block=True))


def test_what_may_not_be_older_than_so_much_is_not_asked_for(words: Words) -> None:
    """Nobody knows when it was kept."""
    stage = Stage(words=words, cache=True, rules=[Rule(cache_max_age=60.0)])
    Shelf(stage)
    select = words.query(SELECT)
    stage >> client(select) << asks("replica", select)


def test_what_never_pays_is_not_asked_for(shelf: Shelf, words: Words) -> None:
    stage = shelf.stage
    for number in range(TRIAL):
        select = words.query(f"SELECT a FROM orders WHERE a = {number}")
        stage >> client(select) << FETCHES
        stage.now += 0.001
        stage >> shelf.gives_up() << asks("replica", select)
        stage.now += 0.01
        reads_on(stage, words, "replica", "1", kept=True)
    select = words.query("SELECT a FROM orders WHERE a = 99")
    stage >> client(select) << asks("replica", select)
    assert shelf.outcomes == {"late": TRIAL, "not_worth": 1}


@pytest.fixture
def missing(shelf: Shelf, words: Words) -> Stage:
    """A fleet's: the result takes a server long, and is nowhere any more."""
    stage = shelf.stage
    select = words.query(SELECT)
    assert stage.results is not None
    assert stage.results.second is not None
    stage.results.second.is_shared = True
    stage >> client(select) << FETCHES
    stage >> shelf.answers() << asks("replica", select)
    stage.now += 0.1
    reads_on(stage, words, "replica", "1", kept=True)
    shelf.forget_memory()
    shelf.away, shelf.entries = shelf.entries, {}
    return stage


def test_whose_turn_it_is_asks_and_holds_the_claim_until_that_is_over(
    missing: Stage, shelf: Shelf, words: Words
) -> None:
    select, result = words.query(SELECT), words.result("1")
    missing >> client(select) << FETCHES
    missing >> shelf.answers() << FETCHES
    missing >> shelf.claims(is_ours=True) << HOLDS << asks("replica", select)
    missing >> answers("replica", result) << told(result) << KEEPS << LETS_GO << released("replica")
    missing >> client(select) << at_once(result)


def test_whose_turn_it_is_lets_go_when_nothing_comes_of_it(
    missing: Stage, shelf: Shelf, words: Words
) -> None:
    select, error = words.query(SELECT), words.error(SYNTAX)
    missing >> client(select) << FETCHES
    missing >> shelf.answers() << FETCHES
    missing >> shelf.claims(is_ours=True) << HOLDS << asks("replica", select)
    missing >> answers("replica", error) << released("replica") << asks("primary", select)
    missing >> answers("primary", error) << told(error) << LETS_GO


def test_the_others_wait_and_answer_with_what_it_kept(
    missing: Stage, shelf: Shelf, words: Words
) -> None:
    select, result = words.query(SELECT), words.result("1")
    missing >> client(select) << FETCHES
    missing >> shelf.answers() << FETCHES
    missing >> shelf.claims(is_ours=False) << FETCHES
    shelf.entries = shelf.away
    missing >> shelf.answers() << told(result)
    missing >> client(select) << at_once(result)


def test_the_others_ask_themselves_where_nothing_comes(
    missing: Stage, shelf: Shelf, words: Words
) -> None:
    select = words.query(SELECT)
    missing >> client(select) << FETCHES
    missing >> shelf.answers() << FETCHES
    missing >> shelf.claims(is_ours=False) << FETCHES
    missing >> shelf.answers() << asks("replica", select)
    reads_on(missing, words, "replica", "1", kept=True)
