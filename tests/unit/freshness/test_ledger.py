"""What the ledger decides, one rule at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import InternalError
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import VOID
from proxy.freshness.rules import Rules
from proxy.freshness.tables import everything_in, schema_of
from proxy.types import Position, Table, Token

NOW = 0.0
ORDERS = Table("shop", 16400)
ITEMS = Table("shop", 16401)
VISITS = Table("web", 16400)

tokens: Iterator[Token] = map(Token, count(1))


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(next(tokens))
    ledger.new_epoch(next(tokens), Position(100))
    return ledger


def write(ledger: Ledger, *tables: Table) -> None:
    ledger.commit(ledger.mark(tables, next(tokens)))


def settle_positions(ledger: Ledger, position: int) -> None:
    ledger.position_arrived(ledger.ask_position(), Position(position))


def test_a_result_is_good_while_nothing_is_written(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    assert ledger.fast_ok(orders, ledger.version(orders), NOW)
    assert ledger.is_clean(orders, NOW)


def test_equal_read_sets_are_one_object(ledger: Ledger) -> None:
    both = ledger.read_set("shop", [ORDERS, ITEMS])
    assert ledger.read_set("shop", [ITEMS, ORDERS, ITEMS]) is both
    assert ledger.read_set("shop", [ORDERS]) is not both


def test_a_marked_table_is_not_served_fast(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    ledger.mark([ORDERS], next(tokens))
    assert not ledger.fast_ok(orders, version, NOW)
    assert not ledger.is_clean(orders, NOW)
    assert ledger.is_pending(ORDERS)
    ledger.read_set("shop", [ITEMS])
    assert not ledger.is_pending(ITEMS)
    assert not ledger.is_pending(VISITS)


def test_a_commit_changes_the_version_for_good(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    write(ledger, ORDERS)
    assert not ledger.fast_ok(orders, version, NOW)
    assert ledger.is_clean(orders, NOW)
    assert ledger.version(orders) != version


def test_a_rollback_makes_cached_results_valid_again(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    ledger.rollback(ledger.mark([ORDERS], next(tokens)))
    assert ledger.fast_ok(orders, version, NOW)


def test_a_table_is_clean_only_when_the_last_of_its_commits_is_settled(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    first, second = (ledger.mark([ORDERS], next(tokens)) for _ in range(2))
    ledger.commit(first)
    assert not ledger.is_clean(orders, NOW)
    ledger.rollback(second)
    assert ledger.is_clean(orders, NOW)


def test_a_write_leaves_other_tables_alone(ledger: Ledger) -> None:
    items = ledger.read_set("shop", [ITEMS])
    version = ledger.version(items)
    ledger.mark([ORDERS], next(tokens))
    write(ledger, ORDERS)
    assert ledger.fast_ok(items, version, NOW)
    assert ledger.need(items) == 100


def test_a_read_of_two_tables_is_touched_by_a_write_to_either(ledger: Ledger) -> None:
    both = ledger.read_set("shop", [ORDERS, ITEMS])
    for table in (ORDERS, ITEMS):
        version = ledger.version(both)
        write(ledger, table)
        assert not ledger.fast_ok(both, version, NOW)


@pytest.mark.parametrize("pseudo", [schema_of("shop"), everything_in("shop")])
def test_a_pseudo_table_stands_for_all_tables_of_its_database(
    ledger: Ledger, pseudo: Table
) -> None:
    reads = [ledger.read_set("shop", tables) for tables in ([ORDERS], [ITEMS], [])]
    elsewhere = ledger.read_set("web", [VISITS])
    ledger.mark([pseudo], next(tokens))
    assert not any(ledger.is_clean(read_set, NOW) for read_set in reads)
    assert ledger.is_clean(elsewhere, NOW)


@pytest.mark.parametrize("pseudo", [schema_of(), everything_in()])
def test_a_pseudo_table_of_no_database_stands_for_the_whole_group(
    ledger: Ledger, pseudo: Table
) -> None:
    reads = [ledger.read_set("shop", [ORDERS]), ledger.read_set("web", [VISITS])]
    versions = [ledger.version(read_set) for read_set in reads]
    write(ledger, pseudo)
    assert not any(ledger.fast_ok(r, v, NOW) for r, v in zip(reads, versions, strict=True))


def test_a_statement_may_read_another_database(ledger: Ledger) -> None:
    across = ledger.read_set("shop", [VISITS])
    ledger.mark([schema_of("web")], next(tokens))
    assert not ledger.is_clean(across, NOW)


def test_a_lost_commit_blocks_its_tables_until_it_is_resolved(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    mark = ledger.mark([ORDERS], next(tokens))
    ledger.lose(mark)
    assert not ledger.is_clean(orders, NOW)
    assert ledger.unsettled() == [mark]
    ledger.resolve(mark)
    assert ledger.is_clean(orders, NOW)
    assert not ledger.fast_ok(orders, version, NOW)
    assert ledger.unsettled() == []


def test_a_lost_commit_is_never_said_to_be_rolled_back(ledger: Ledger) -> None:
    mark = ledger.mark([ORDERS], next(tokens))
    ledger.lose(mark)
    with pytest.raises(InternalError):
        ledger.rollback(mark)


def test_a_mark_is_settled_once(ledger: Ledger) -> None:
    mark = ledger.mark([ORDERS], next(tokens))
    ledger.commit(mark)
    for settle in (ledger.commit, ledger.rollback, ledger.lose, ledger.resolve):
        with pytest.raises(InternalError):
            settle(mark)


def test_only_a_lost_commit_can_be_resolved(ledger: Ledger) -> None:
    mark = ledger.mark([ORDERS], next(tokens))
    with pytest.raises(InternalError):
        ledger.resolve(mark)
    assert ledger.is_pending(ORDERS)


def test_a_mark_needs_tables(ledger: Ledger) -> None:
    with pytest.raises(InternalError):
        ledger.mark([], next(tokens))


def test_a_token_is_used_by_one_commit_at_a_time(ledger: Ledger) -> None:
    token = next(tokens)
    ledger.mark([ORDERS], token)
    with pytest.raises(InternalError):
        ledger.mark([ITEMS], token)


def test_a_member_that_is_alone_waits_for_nobody(ledger: Ledger) -> None:
    assert not ledger.mark([ORDERS], next(tokens)).waiting


def test_a_foreign_commit_counts_like_an_own_one(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    ledger.foreign_commit([ORDERS], next(tokens))
    assert not ledger.fast_ok(orders, version, NOW)
    assert ledger.need(orders) is None


def test_nothing_is_fast_once_a_grant_has_run_out(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    ledger.granted_until = 10.0
    assert ledger.fast_ok(orders, version, 9.9)
    assert not ledger.fast_ok(orders, version, 10.0)
    assert not ledger.is_clean(orders, 10.0)


def test_a_result_is_stored_under_the_version_it_was_asked_for_at(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    assert ledger.stamp(orders, version, NOW) == version
    write(ledger, ORDERS)
    assert ledger.stamp(orders, version, NOW) is None


def test_an_answer_overtaken_by_a_commit_is_not_validated(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    assert ledger.answer_ok(orders, version, NOW)
    ledger.mark([ORDERS], next(tokens))
    assert not ledger.answer_ok(orders, version, NOW)


# Needs and positions.


def test_a_table_nobody_wrote_needs_the_start_of_the_epoch(ledger: Ledger) -> None:
    assert ledger.need(ledger.read_set("shop", [ORDERS])) == 100
    assert not ledger.position_wanted()


def test_before_the_start_of_the_epoch_is_known_only_the_primary_may_serve() -> None:
    ledger = Ledger(next(tokens))
    orders = ledger.read_set("shop", [ORDERS])
    assert ledger.need(orders) is None
    assert ledger.position_wanted(orders)
    settle_positions(ledger, 7)
    assert ledger.need(orders) == 7
    assert ledger.need(ledger.read_set("shop", [ITEMS])) == 7


def test_the_start_of_the_epoch_is_wanted_before_any_table_is_known() -> None:
    ledger = Ledger(next(tokens))
    assert ledger.position_wanted()
    ticket = ledger.ask_position()
    assert not ledger.position_wanted()
    ledger.position_arrived(ticket, Position(5))
    assert not ledger.position_wanted()


def test_after_a_commit_the_need_is_unknown_until_a_position_arrives(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    write(ledger, ORDERS)
    assert ledger.need(orders) is None
    assert ledger.position_wanted(orders)
    settle_positions(ledger, 120)
    assert ledger.need(orders) == 120
    assert not ledger.position_wanted(orders)


def test_one_query_covers_all_commits_acknowledged_before_it(ledger: Ledger) -> None:
    write(ledger, ORDERS)
    write(ledger, ITEMS)
    settle_positions(ledger, 130)
    assert ledger.need(ledger.read_set("shop", [ORDERS, ITEMS])) == 130


def test_a_query_does_not_cover_a_commit_acknowledged_after_it_was_sent(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    ticket = ledger.ask_position()
    write(ledger, ORDERS)
    assert ledger.position_wanted(orders)
    ledger.position_arrived(ticket, Position(110))
    assert ledger.need(orders) is None


def test_a_second_commit_makes_the_first_ones_position_too_low(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    write(ledger, ORDERS)
    ticket = ledger.ask_position()
    write(ledger, ORDERS)
    ledger.position_arrived(ticket, Position(110))
    assert ledger.need(orders) is None
    assert ledger.position_wanted(orders)


def test_a_query_behind_a_commit_covers_that_commit(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    mark = ledger.mark([ORDERS], next(tokens))
    ticket = ledger.ask_position(behind=mark)
    ledger.commit(mark)
    ledger.position_arrived(ticket, Position(140))
    assert ledger.need(orders) == 140


def test_a_query_behind_a_commit_covers_no_later_one(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    mark = ledger.mark([ORDERS], next(tokens))
    ticket = ledger.ask_position(behind=mark)
    ledger.commit(mark)
    write(ledger, ORDERS)
    ledger.position_arrived(ticket, Position(140))
    assert ledger.need(orders) is None


def test_no_second_query_is_wanted_while_one_that_covers_is_under_way(ledger: Ledger) -> None:
    write(ledger, ORDERS)
    ledger.ask_position()
    assert not ledger.position_wanted()
    write(ledger, ORDERS)
    assert ledger.position_wanted()


def test_a_query_that_was_lost_is_wanted_again(ledger: Ledger) -> None:
    write(ledger, ORDERS)
    ledger.position_lost(ledger.ask_position())
    assert ledger.position_wanted()


def test_wanting_is_asked_per_read_set(ledger: Ledger) -> None:
    write(ledger, ORDERS)
    assert not ledger.position_wanted(ledger.read_set("shop", [ITEMS]))


def told(ledger: Ledger, table: Table, position: int) -> None:
    ledger.commit(ledger.mark([table], next(tokens)), position=Position(position))


def test_a_position_that_came_with_the_acknowledgement_is_not_asked_for(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    told(ledger, ORDERS, 120)
    assert ledger.need(orders) == 120
    assert not ledger.position_wanted()
    assert ledger.version(orders) != version


def test_a_position_of_one_commit_is_none_of_those_before_it(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    write(ledger, ORDERS)
    told(ledger, ORDERS, 120)
    assert ledger.need(orders) is None
    assert ledger.position_wanted(orders)
    settle_positions(ledger, 130)
    assert ledger.need(orders) == 130


def test_a_commit_with_a_lower_number_lowers_no_need(ledger: Ledger) -> None:
    """MySQL fills the gap below a number that somebody has chosen."""
    orders = ledger.read_set("shop", [ORDERS])
    told(ledger, ORDERS, 1000)
    told(ledger, ORDERS, 120)
    assert ledger.need(orders) == 1000


def test_a_commit_after_one_whose_position_came_is_asked_for(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    told(ledger, ORDERS, 120)
    write(ledger, ORDERS)
    assert ledger.need(orders) is None


def test_a_position_that_came_too_late_for_its_epoch_is_none(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    mark = ledger.mark([ORDERS], next(tokens))
    ledger.new_epoch(next(tokens), Position(50))
    ledger.commit(mark, position=Position(120))
    assert ledger.need(orders) is None


def test_an_answer_counts_once(ledger: Ledger) -> None:
    ticket = ledger.ask_position()
    ledger.position_arrived(ticket, Position(110))
    write(ledger, ORDERS)
    ledger.position_arrived(ticket, Position(111))
    assert ledger.need(ledger.read_set("shop", [ORDERS])) is None
    assert not ledger._positions._asked


# Epochs.


def test_a_new_epoch_ends_every_version(ledger: Ledger) -> None:
    reads = [ledger.read_set("shop", tables) for tables in ([ORDERS], [ITEMS], [])]
    write(ledger, ORDERS)
    versions = [ledger.version(read_set) for read_set in reads]
    ledger.new_epoch(next(tokens))
    assert not any(ledger.fast_ok(r, v, NOW) for r, v in zip(reads, versions, strict=True))
    later = ledger.read_set("shop", [ORDERS, ITEMS])
    assert ledger.is_clean(later, NOW)


def test_a_table_first_seen_after_an_epoch_has_no_version_of_before_it() -> None:
    token, genesis = next(tokens), next(tokens)
    before, after = Ledger(genesis), Ledger(genesis)
    after.new_epoch(token)
    reads = [ledger.read_set("shop", [ORDERS]) for ledger in (before, after)]
    assert before.version(reads[0]) != after.version(reads[1])


def test_epochs_are_told_apart(ledger: Ledger) -> None:
    epochs = {ledger.epoch}
    for _ in range(3):
        ledger.new_epoch(next(tokens))
        epochs.add(ledger.epoch)
    assert len(epochs) == 4


def test_an_epoch_that_begins_with_its_position_wants_no_other(ledger: Ledger) -> None:
    write(ledger, ORDERS)
    ledger.new_epoch(next(tokens), Position(50))
    assert not ledger.position_wanted()


def test_a_new_epoch_makes_needs_of_the_old_one_void(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    write(ledger, ORDERS)
    settle_positions(ledger, 900)
    ledger.new_epoch(next(tokens), Position(50))
    assert ledger.need(orders) == 50
    ledger.new_epoch(next(tokens))
    assert ledger.need(orders) is None


def test_a_position_asked_of_the_old_primary_says_nothing_of_the_new_one(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    ticket = ledger.ask_position()
    ledger.new_epoch(next(tokens))
    ledger.position_arrived(ticket, Position(900))
    assert ledger.need(orders) is None
    assert ledger.position_wanted()


def test_a_new_epoch_drops_what_was_pending(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    ledger.lose(ledger.mark([ORDERS], next(tokens)))
    mark = ledger.mark([ORDERS], next(tokens))
    ledger.new_epoch(next(tokens))
    assert ledger.is_clean(orders, NOW)
    assert ledger.unsettled() == []
    assert mark.state is VOID


def test_the_owner_of_a_dropped_mark_may_still_settle_it(ledger: Ledger) -> None:
    orders = ledger.read_set("shop", [ORDERS])
    marks = [ledger.mark([ORDERS], next(tokens)) for _ in range(4)]
    ledger.lose(marks[3])
    ledger.new_epoch(next(tokens))
    version = ledger.version(orders)
    ledger.rollback(marks[0])
    ledger.lose(marks[1])
    assert ledger.fast_ok(orders, version, NOW)
    ledger.resolve(marks[1])
    assert not ledger.fast_ok(orders, version, NOW)
    ledger.commit(marks[2])
    ledger.resolve(marks[3])
    assert ledger.is_clean(orders, NOW)


# Versions are sums: members that know the same commits agree, in whatever order they heard.


@given(st.data())
def test_the_version_does_not_depend_on_the_order_of_commits(data: st.DataObject) -> None:
    commits = data.draw(
        st.lists(
            st.tuples(
                st.integers(1, 2**128 - 1).map(Token),
                st.lists(st.sampled_from([ORDERS, ITEMS]), min_size=1, unique=True),
            ),
            unique_by=lambda commit: commit[0],
        )
    )
    shuffled = data.draw(st.permutations(commits))
    versions = []
    for history in (commits, shuffled):
        ledger = Ledger(Token(0))
        for token, tables in history:
            ledger.commit(ledger.mark(tables, token))
        versions.append(ledger.version(ledger.read_set("shop", [ORDERS, ITEMS])))
    assert versions[0] == versions[1]


def test_tokens_with_equal_sums_are_different_versions() -> None:
    versions = set()
    for pair in ((1, 4), (2, 3)):
        ledger = Ledger(Token(0))
        for token in pair:
            ledger.commit(ledger.mark([ORDERS], Token(token)))
        versions.add(ledger.version(ledger.read_set("shop", [ORDERS])))
    assert len(versions) == 2


# What is switched off for tests is off, and nothing else.


def test_without_the_mark_a_table_stays_fast_while_its_commit_is_under_way() -> None:
    ledger = Ledger(next(tokens), Rules(mark=False))
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    mark = ledger.mark([ORDERS], next(tokens))
    assert ledger.fast_ok(orders, version, NOW)
    ledger.commit(mark)
    assert not ledger.fast_ok(orders, version, NOW)


def test_without_the_need_any_replica_will_do() -> None:
    ledger = Ledger(next(tokens), Rules(need=False))
    assert ledger.need(ledger.read_set("shop", [ORDERS])) == 0


def test_without_the_version_an_old_result_is_good_again() -> None:
    ledger = Ledger(next(tokens), Rules(version=False))
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    write(ledger, ORDERS)
    assert ledger.fast_ok(orders, version, NOW)


def test_without_the_fill_check_a_result_gets_the_version_of_the_moment() -> None:
    ledger = Ledger(next(tokens), Rules(fill=False))
    orders = ledger.read_set("shop", [ORDERS])
    version = ledger.version(orders)
    write(ledger, ORDERS)
    assert ledger.stamp(orders, version, NOW) == ledger.version(orders) != version
