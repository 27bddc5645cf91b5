"""What is made of a log: where each statement would be served, and what the cache would do."""

from __future__ import annotations

import pytest

from proxy.doctor.events import Began, Ended, Failed, Ran, Timed
from proxy.doctor.findings import Findings
from proxy.doctor.model import Model
from proxy.doctor.visits import READ_COMMITTED, REPEATABLE_READ, Terms
from proxy.doctor.ways import FiledCatalogs
from proxy.sql.catalog import Catalog
from tests.unit.sql.test_catalog import Database

READ = "SELECT a FROM orders WHERE id = $1"
TERMS = Terms()


DYNAMIC = "BEGIN EXECUTE what; END"


class Log:
    """A log that is written as the test goes."""

    def __init__(self, terms: Terms = TERMS) -> None:
        database = Database()
        database.relation("orders")
        database.relation("items")
        database.relation("orders", schema="other")
        database.body(database.routine("touch", "v"), DYNAMIC)
        fires = database.body(database.routine("fires", "v", 0), DYNAMIC)
        database.add("triggers", database.relation("watched"), 4, fires)
        catalogs = FiledCatalogs([Catalog.build("shop", **database.rows)])
        self.model = Model(catalogs, user="app", search_path=("public",), terms=terms)

    def say(self, *texts: str, session: str = "s", values: str = "1") -> Log:
        for text in texts:
            self.model.take(Ran(session, "app", "shop", text, values))
        return self

    @property
    def found(self) -> Findings:
        return self.model.findings

    @property
    def reads(self) -> tuple[int, int, int]:
        """All, those that may leave the primary, those from the cache."""
        found = self.found
        return found.reads.calls, found.away.calls, found.hits.calls

    @property
    def blocked(self) -> dict[str, int]:
        return {cause.reason.value: cause.count.calls for cause in self.found.blocked.top()}


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_read_leaves_and_the_same_again_is_a_hit(log: Log) -> None:
    assert log.say(READ, READ).say(READ, values="2").reads == (3, 3, 1)


def test_a_write_to_its_table_ends_a_result_and_to_another_does_not(log: Log) -> None:
    log.say(READ, "UPDATE items SET a = 1", READ, "UPDATE orders SET a = 1", READ)
    assert log.reads == (3, 3, 1)
    assert log.found.writes == 2


def test_a_write_in_a_transaction_counts_when_it_is_committed(log: Log) -> None:
    log.say(READ).say("BEGIN", "UPDATE orders SET a = 1", session="other")
    log.say(READ).say("ROLLBACK", session="other").say(READ)
    assert log.reads == (3, 3, 2)
    log.say("BEGIN", "UPDATE orders SET a = 1", "COMMIT", session="other").say(READ)
    assert log.reads == (4, 4, 2)


def test_reads_in_front_of_the_first_write_leave_and_those_behind_it_do_not(log: Log) -> None:
    log.say("BEGIN", READ, "SAVEPOINT a", READ, "UPDATE items SET a = 1", READ, "COMMIT", READ)
    assert log.reads == (4, 3, 2)
    assert log.blocked == {"transaction": 1}
    assert (log.found.transactions, log.found.spared) == (1, 0)


def test_a_transaction_that_only_reads_is_spared(log: Log) -> None:
    log.say("BEGIN", READ, "COMMIT AND CHAIN", READ, "ROLLBACK")
    assert (log.found.transactions, log.found.spared) == (1, 1)
    assert log.reads == (2, 2, 1)


def test_what_tells_the_time_opens_a_transaction(log: Log) -> None:
    log.say("BEGIN", "SELECT now()", READ, "COMMIT")
    assert log.blocked == {"clock": 1, "transaction": 1}


@pytest.mark.parametrize(
    "begin",
    ["BEGIN ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"],
)
def test_one_snapshot_for_all_is_at_the_primary(log: Log, begin: str) -> None:
    assert log.say(begin, READ, "COMMIT", READ).reads == (2, 1, 0)
    assert log.blocked == {"transaction": 1}


def test_the_setting_of_transactions_counts() -> None:
    assert Log(Terms(late=False)).say("BEGIN", READ, "COMMIT").blocked == {"transaction": 1}
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    versioned = Terms(frozenset((READ_COMMITTED, REPEATABLE_READ)))
    assert Log(versioned).say(begin, READ, "COMMIT").blocked == {}


def test_an_error_keeps_the_rest_of_a_transaction_at_the_primary(log: Log) -> None:
    log.say("BEGIN", READ)
    log.model.take(Failed("s", "shop"))
    log.say(READ, "ROLLBACK", READ)
    assert log.reads == (3, 2, 1)
    assert log.found.failed == 1


def test_an_isolation_level_of_the_session_counts(log: Log) -> None:
    log.say("SET default_transaction_isolation = 'serializable'", READ, "RESET ALL", READ)
    assert log.blocked == {"isolation": 1}


def test_a_temporary_table_pins_until_it_is_discarded(log: Log) -> None:
    log.say("CREATE TEMP TABLE t (a int)", READ, "DISCARD ALL", READ)
    assert log.blocked == {"pinned": 1}


def test_a_search_path_is_followed(log: Log) -> None:
    log.say(READ, "SET search_path TO other, public", READ, READ, "RESET search_path", READ)
    assert log.reads == (4, 4, 2)
    assert {(t.name, t.reads) for t in log.found.tables.values()} == {
        ("public.orders", 4),  # it is behind the other one on the path: both may be meant
        ("other.orders", 2),
    }


def test_other_users_and_settings_have_results_of_their_own(log: Log) -> None:
    log.say(READ)
    log.model.take(Ran("t", "other", "shop", READ, "1"))
    log.say("SET TimeZone TO 'UTC'", READ)
    assert log.reads == (3, 3, 0)


def test_what_blocks_a_read_has_a_reason_and_an_example_without_values(log: Log) -> None:
    log.say("SELECT touch(a) FROM orders WHERE b = 'hunter2'", "SELECT a FROM orders FOR UPDATE")
    log.say("SELECT relname FROM pg_catalog.pg_class", "SELECT a FROM nowhere")
    causes = {cause.reason.value: cause for cause in log.found.blocked.top()}
    assert causes.keys() == {"function", "lock", "system_catalog", "unknown_relation"}
    assert causes["function"].detail == "touch"
    assert causes["function"].example == "select touch (a) from orders where b = ?"


def test_what_may_have_written_anywhere_ends_every_result(log: Log) -> None:
    log.say(READ, "CREATE TABLE t (a int)", READ, "DO LANGUAGE plperl $$x$$", READ)
    assert log.found.hits.calls == 0
    assert {cause.detail for cause in log.found.unseen.top()} == {"create", "do"}


def test_what_the_server_would_be_asked_for_ends_what_is_known_of_it(log: Log) -> None:
    other = "SELECT a FROM watched"
    log.say(READ, other, "INSERT INTO watched VALUES (1)", READ, other, "SELECT touch(1)", READ)
    assert log.found.hits.calls == 2
    assert {cause.detail for cause in log.found.asked.top()} == {
        "trigger on public.watched -> function public.fires",
        "function public.touch",
    }


def test_several_statements_in_one_text(log: Log) -> None:
    log.say(f"BEGIN; {READ}; UPDATE orders SET a = 1; COMMIT", f"{READ}; {READ}")
    assert log.blocked == {"several_statements": 3}
    assert log.found.transactions == 1


def test_a_text_that_is_not_certain_is_not_shown(log: Log) -> None:
    log.say("SELECT 'hunter2")
    (cause,) = log.found.unseen.top()
    assert cause.example == "(a text that is not certain)"


def test_durations_go_to_the_statement_they_belong_to(log: Log) -> None:
    log.model.take(Timed("s", 1.0, is_ahead=True))
    log.model.take(Ran("s", "app", "shop", READ, "1", seconds=2.0))
    log.say("SELECT a FROM orders FOR UPDATE")
    log.model.take(Timed("s", 4.0))
    log.model.take(Timed("s", 8.0))  # what prepares the next
    log.say(READ)
    log.model.take(Timed("s", 16.0))
    found = log.found
    assert (found.reads.seconds, found.reads.timed) == (31.0, 3)
    assert (found.away.seconds, found.hits.seconds) == (27.0, 24.0)
    assert found.blocked.top()[0].count.seconds == 4.0
    assert found.shortest == 3.0


def test_sessions_begin_and_end(log: Log) -> None:
    log.model.take(Began("s", "app", "shop"))
    log.model.take(Ran("s", None, None, READ, "1"))
    log.say("BEGIN", "UPDATE orders SET a = 1")
    log.model.take(Ended("s"))
    log.model.take(Began("s", "app", "shop"))
    log.model.take(Ran("s", None, None, READ, "1"))
    assert log.reads == (2, 2, 1)
    assert log.found.sessions == 2


def test_statements_of_no_known_session_are_taken_by_themselves(log: Log) -> None:
    log.say("BEGIN", "UPDATE orders SET a = 1", READ, session="")
    assert log.reads == (1, 1, 0)
    assert log.found.loose == 3


def test_databases_without_definitions_are_counted_apart(log: Log) -> None:
    log.model.take(Ran("s", "app", "other", READ))
    log.model.take(Ran("t", None, None, READ))
    assert log.found.elsewhere == {"other": 1}
    assert log.reads == (1, 1, 0)


def test_totals_have_no_order(log: Log) -> None:
    log.model.take_total(READ, "app", "shop", calls=10, seconds=5.0)
    log.model.take_total("SELECT touch(a) FROM orders", "app", "shop", calls=3, seconds=1.0)
    log.model.take_total(READ, "app", "other", calls=2, seconds=1.0)
    found = log.found
    assert log.reads == (13, 10, 0)
    assert (found.reads.seconds, found.away.seconds) == (6.0, 5.0)
    assert found.elsewhere == {"other": 2}
    assert not found.is_ordered


def test_without_their_values_reads_are_no_hits(log: Log) -> None:
    assert log.say(READ, READ, values="").reads == (2, 2, 0)
    assert log.found.valueless == 2


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VISITS", "RESULTS", "TEXTS", "STATEMENTS"):
        monkeypatch.setattr(f"proxy.doctor.model.{name}", 10)
    for name in ("EXAMPLES", "CAUSES"):
        monkeypatch.setattr(f"proxy.doctor.findings.{name}", 5)
    log = Log()
    for number in range(100):
        log.say(READ, session=str(number), values=str(number))
        log.say(f"SELECT {'x' * (number + 1)}(a) FROM orders", session=str(number))
    model = log.model
    assert len(model._visits) <= 10
    assert len(model._cached) <= 10
    assert len(model._texts) <= 10
    assert len(model._known) <= 20
    assert len(log.found.blocked.top()) <= 6
    assert log.reads == (200, 100, 0)
