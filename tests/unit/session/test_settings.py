"""A client's settings follow it over many connections, and nobody else gets them."""

from __future__ import annotations

import pytest

from proxy.engines.postgres.questions import QUESTION, settings_question
from proxy.session.state import UNTOUCHED, SessionState
from proxy.types import PinReason
from proxy.wire.postgres.cutting import Cutter
from tests.unit.session.stage import (
    BOUND,
    FAILED,
    FLUSH,
    GONE,
    IDLE,
    IN_TRANSACTION,
    PARSED,
    SYNC,
    Stage,
    aborted,
    answers,
    asks,
    bind,
    client,
    complete,
    error,
    execute,
    hangs_up,
    marked,
    parameter,
    parse,
    query,
    released,
    result,
    says_what_is_set,
    settled,
    told,
)

BEGIN, COMMIT, ROLLBACK = query("BEGIN"), query("COMMIT"), query("ROLLBACK")
SET = query("SET timezone TO 'UTC'")
INSERT = query("INSERT INTO orders VALUES (1)")
SELECT = query("SELECT a FROM orders")
DONE = complete("SET") + IDLE
INSERTED = complete("INSERT 0 1") + IDLE


@pytest.fixture
def stage() -> Stage:
    return Stage()


def settings(stage: Stage) -> dict[str, str]:
    return dict(stage.session.profile.state.settings)


def runs(stage: Stage, sql: str, *replies: bytes) -> None:
    """A statement that the primary answers, whatever else it brings about before that."""
    stage >> client(query(sql))
    stage.events.clear()
    stage >> answers("primary", *replies)
    stage.events.clear()


def question(*names: str) -> bytes:
    return query((QUESTION + b";" + settings_question(names)).decode())


def test_a_setting_is_made_again_on_another_connection(stage: Stage) -> None:
    stage >> client(SET) << asks("primary", SET)
    stage >> answers("primary", DONE) << told(DONE) << released("primary")
    again = query("SET \"timezone\" TO 'UTC'")
    stage >> client(SELECT) << asks("replica", again, SELECT)
    stage >> answers("replica", DONE + result("1")) << told(result("1")) << released("replica")
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage.finish()


def test_another_client_does_not_get_the_setting(stage: Stage) -> None:
    stage >> client(SET) << asks("primary", SET)
    stage >> answers("primary", DONE) << told(DONE) << released("primary")
    other, _ = stage.enter("other")
    reset = query('RESET "timezone"')
    stage >> client(BEGIN, session=other) << asks("primary", reset)
    stage >> answers("primary", complete("RESET") + IDLE) << asks("primary", BEGIN)


def test_nothing_is_run_before_its_settings_are_known_to_be_made(stage: Stage) -> None:
    """Else it would run with others, and its client would only hear of the refusal."""
    runs(stage, "SET role TO 'boss'", DONE)
    (link,) = stage.pools[stage.servers["primary"]].idle
    link.state = UNTOUCHED
    set_role = query("SET ROLE 'boss'")
    stage >> client(INSERT) << asks("primary", set_role)
    refusal = error("22023", "role does not exist")
    stage >> answers("primary", refusal + IDLE) << aborted("primary") << told(refusal)
    stage << told(IDLE)
    stage.finish()
    assert not stage.marks


def test_a_write_follows_its_settings(stage: Stage) -> None:
    stage >> client(SET) << asks("primary", SET)
    stage >> answers("primary", DONE) << told(DONE) << released("primary")
    (link,) = stage.pools[stage.servers["primary"]].idle
    link.state = UNTOUCHED
    stage >> client(INSERT) << asks("primary", query("SET \"timezone\" TO 'UTC'"))
    orders = stage.catalog.table("orders")
    stage >> answers("primary", DONE) << marked(orders) << asks("primary", INSERT)
    stage >> answers("primary", INSERTED) << told(INSERTED) << settled(True)
    stage << released("primary")
    stage.finish()


def test_a_read_whose_settings_are_refused_says_why(stage: Stage) -> None:
    runs(stage, "SET timezone TO 'UTC'", DONE)
    stage >> client(SELECT) << asks("replica", query("SET \"timezone\" TO 'UTC'"), SELECT)
    refusal = error("22023")
    stage >> answers("replica", refusal + IDLE)
    stage >> answers("replica", result("1")) << aborted("replica") << told(refusal) << told(IDLE)
    stage.finish()


def test_a_rollback_takes_settings_back(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SET timezone TO 'UTC'", complete("SET") + IN_TRANSACTION)
    assert settings(stage) == {"timezone": "'UTC'"}
    runs(stage, "ROLLBACK", complete("ROLLBACK") + IDLE)
    assert settings(stage) == {}
    (link,) = stage.pools[stage.servers["primary"]].idle
    assert link.state is UNTOUCHED


def test_a_failed_commit_takes_settings_back(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SET timezone TO 'UTC'", complete("SET") + IN_TRANSACTION)
    runs(stage, "SELECT 1/0", error() + FAILED)
    runs(stage, "COMMIT", complete("ROLLBACK") + IDLE)
    assert settings(stage) == {}


def test_a_commit_that_fails_takes_settings_back(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SET search_path TO b", complete("SET") + IN_TRANSACTION)
    runs(stage, "COMMIT", error("23505") + IDLE)
    assert settings(stage) == {}
    (link,) = stage.pools[stage.servers["primary"]].idle
    assert link.state is UNTOUCHED


def test_what_was_committed_in_a_chain_is_not_taken_back(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SET timezone TO 'UTC'", complete("SET") + IN_TRANSACTION)
    runs(stage, "COMMIT AND CHAIN", complete("COMMIT") + IN_TRANSACTION)
    runs(stage, "SET datestyle TO 'ISO'", complete("SET") + IN_TRANSACTION)
    runs(stage, "ROLLBACK AND CHAIN", complete("ROLLBACK") + IN_TRANSACTION)
    assert settings(stage) == {"timezone": "'UTC'"}
    runs(stage, "ROLLBACK", complete("ROLLBACK") + IDLE)
    assert settings(stage) == {"timezone": "'UTC'"}


def test_a_setting_before_a_transaction_survives_its_rollback_on_a_kept_connection() -> None:
    stage = Stage(pins=[PinReason.SESSION_POOL])
    runs(stage, "SET timezone TO 'UTC'", DONE)
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "ROLLBACK", complete("ROLLBACK") + IDLE)
    assert settings(stage) == {"timezone": "'UTC'"}
    assert stage.link("primary").state is stage.session.profile.state


def test_what_was_prepared_survives_a_rollback(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "PREPARE p AS SELECT 1", complete("PREPARE") + IN_TRANSACTION)
    runs(stage, "ROLLBACK", complete("ROLLBACK") + IDLE)
    assert stage.session.profile.state.statements == (("p", ("PREPARE p AS SELECT 1", ())),)
    (link,) = stage.pools[stage.servers["primary"]].idle
    assert link.state.statements == stage.session.profile.state.statements


def test_a_savepoint_that_takes_a_setting_back_makes_the_server_be_asked(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SAVEPOINT a", complete("SAVEPOINT") + IN_TRANSACTION)
    runs(stage, "SET app.tenant TO '5'", complete("SET") + IN_TRANSACTION)
    runs(stage, "ROLLBACK TO a", complete("ROLLBACK") + IN_TRANSACTION)
    stage >> client(COMMIT) << asks("primary", COMMIT)
    reply = complete("COMMIT") + IDLE
    stage >> answers("primary", reply) << told(reply) << asks("primary", question("app.tenant"))
    stage >> answers("primary", says_what_is_set(**{"app.tenant": ""})) << released("primary")
    assert settings(stage) == {"app.tenant": "''"}


@pytest.mark.parametrize(
    ("sql", "replies"),
    [
        ("BEGIN; SET timezone TO 'UTC'; ROLLBACK", [b"BEGIN", b"SET", b"ROLLBACK"]),
        ("SET timezone TO 'UTC'; COMMIT; SELECT 1/0", [b"SET", b"COMMIT", None]),
    ],
)
def test_a_text_that_sets_and_rolls_back_makes_the_server_be_asked(
    stage: Stage, sql: str, replies: list[bytes | None]
) -> None:
    stage >> client(query(sql)) << asks("primary", query(sql))
    reply = b"".join(error() if tag is None else complete(tag.decode()) for tag in replies) + IDLE
    stage >> answers("primary", reply) << told(reply)
    kind, _, asked = stage.events.popleft()
    assert kind == "asks"
    assert b"pg_settings" in asked
    stage >> answers("primary", says_what_is_set(TimeZone="UTC")) << released("primary")
    assert settings(stage) == {"timezone": "'UTC'"}


def test_settings_in_a_later_part_of_a_batch_are_kept(stage: Stage) -> None:
    first = parse("", "SELECT 1") + bind("") + execute() + FLUSH
    stage >> client(first) << asks("primary", first)
    second = parse("", "SET timezone TO 'UTC'") + bind("") + execute() + SYNC
    stage >> client(second) << asks("primary", second)
    answer = PARSED + BOUND + complete("SELECT 1") + PARSED + BOUND + complete("SET") + IDLE
    stage >> answers("primary", answer) << told(answer) << released("primary")
    assert settings(stage) == {"timezone": "'UTC'"}


def test_the_servers_word_counts_after_what_may_have_set_something(stage: Stage) -> None:
    stage >> client(query("SELECT sets()"))
    stage.events.clear()
    stage >> answers("primary", result("1")) << told(result("1"))
    stage << asks("primary", question())
    reply = says_what_is_set(search_path="b", role="boss")
    stage >> answers("primary", reply) << released("primary")
    assert settings(stage) == {"search_path": '"b"', "role": "'boss'"}
    assert stage.session.profile.scope.search_path == ("b",)
    assert stage.session.profile.scope.user == "boss"


def test_states_that_say_the_same_are_one() -> None:
    one = UNTOUCHED.with_setting("a", "1").with_setting("b", "2")
    assert one is SessionState.of({"b": "2", "a": "1"}, {})
    assert one.with_setting("b", None).with_setting("a", None) is UNTOUCHED


def test_a_client_that_cannot_be_read_counts_for_everything() -> None:
    """Where a backslash escapes a quote, other parts of a text are strings than we think."""
    stage = Stage()
    runs(stage, "SET standard_conforming_strings TO off", DONE)
    everything = marked(*stage.planner.everything("shop"))
    text = query("SELECT '\\''; DELETE FROM orders; --'")
    stage >> client(text) << everything << asks("primary", text)


def test_triggers_that_replicas_fire_are_not_known() -> None:
    stage = Stage()
    runs(stage, "SET session_replication_role TO replica", DONE)
    orders = stage.catalog.table("orders")
    stage >> client(INSERT) << marked(orders, *stage.planner.any_table("shop"))


@pytest.fixture
def berlin(stage: Stage) -> Stage:
    """The client said in its startup packet where it is."""
    startup = {"timezone": "'Europe/Berlin'"}
    stage.session, stage.shell = stage.enter("client", startup)
    return stage


TOLD = parameter("TimeZone", "Europe/Berlin")
SAID = "SET \"timezone\" TO 'Europe/Berlin'"
AGAIN = query(SAID)


def ready_for(stage: Stage, name: str) -> None:
    """A server connection has the client's startup parameters."""
    runs_with = stage.servers[name]
    link = stage.pools[runs_with].open()
    link.state = stage.session.profile.startup
    stage.pools[runs_with].idle.append(link)


@pytest.mark.parametrize(
    ("sql", "tags"),
    [
        ("ROLLBACK; RESET ALL", ["ROLLBACK", "RESET"]),
        ("BEGIN; ROLLBACK; RESET timezone", ["BEGIN", "ROLLBACK", "RESET"]),
    ],
)
def test_startup_parameters_outlive_a_reset_behind_a_rollback(
    berlin: Stage, sql: str, tags: list[str]
) -> None:
    ready_for(berlin, "primary")
    berlin >> client(query(sql)) << asks("primary", query(sql + "\n;" + SAID))
    reply = b"".join(complete(tag) for tag in tags)
    berlin >> answers("primary", reply + DONE) << told(reply + IDLE) << asks("primary", question())
    berlin >> answers("primary", says_what_is_set(TimeZone="Europe/Berlin")) << released("primary")
    assert settings(berlin) == {"timezone": "'Europe/Berlin'"}


def test_what_is_reset_unseen_is_as_the_client_said_when_it_came(berlin: Stage) -> None:
    ready_for(berlin, "primary")
    berlin >> client(query("DO LANGUAGE plperl 'x'"))
    berlin.events.clear()
    done = complete("DO") + IDLE
    berlin >> answers("primary", done) << told(done) << settled(True)
    berlin << asks("primary", question())
    berlin >> answers("primary", says_what_is_set()) << asks("primary", AGAIN)
    berlin >> answers("primary", complete("SET") + TOLD + IDLE) << told(TOLD) << released("primary")
    assert settings(berlin) == {"timezone": "'Europe/Berlin'"}


def test_the_client_hears_of_what_is_set_again_behind_a_reset(berlin: Stage) -> None:
    ready_for(berlin, "primary")
    berlin >> client(query("DISCARD ALL")) << asks("primary", query("DISCARD ALL"))
    done = complete("DISCARD ALL") + parameter("TimeZone", "UTC") + IDLE
    berlin >> answers("primary", done) << told(done) << asks("primary", AGAIN)
    berlin >> client(INSERT)
    berlin >> answers("primary", complete("SET") + TOLD + IDLE) << told(TOLD) << released("primary")
    berlin << marked(berlin.catalog.table("orders")) << asks("primary", INSERT)


def test_what_cannot_be_set_again_is_told_when_something_is_asked(berlin: Stage) -> None:
    ready_for(berlin, "primary")
    berlin >> client(query("DISCARD ALL")) << asks("primary", query("DISCARD ALL"))
    done = complete("DISCARD ALL") + IDLE
    berlin >> answers("primary", done) << told(done) << asks("primary", AGAIN)
    refusal = error("22023")
    berlin >> answers("primary", refusal + IDLE) << aborted("primary")
    berlin >> client(INSERT) << asks("primary", AGAIN)
    berlin >> answers("primary", refusal + IDLE) << aborted("primary") << told(refusal)
    berlin << told(IDLE)
    berlin.finish()


def test_a_client_that_goes_while_a_setting_is_made_again(berlin: Stage) -> None:
    ready_for(berlin, "primary")
    berlin >> client(query("DISCARD ALL")) << asks("primary", query("DISCARD ALL"))
    done = complete("DISCARD ALL") + IDLE
    berlin >> answers("primary", done) << told(done) << asks("primary", AGAIN)
    berlin >> hangs_up()
    berlin >> answers("primary", DONE) << released("primary") << GONE
    berlin.finish()


@pytest.mark.parametrize(
    ("sql", "sent", "tags"),
    [
        (
            "RESET ALL; SELECT 1",
            f"RESET ALL\n;{SAID}; SELECT 1",
            ["RESET", "", "SELECT 1"],
        ),
        (
            "/* RESET ALL */ SET TIME ZONE DEFAULT -- ;\n; SHOW timezone; RESET timezone",
            f"/* RESET ALL */ SET TIME ZONE DEFAULT\n;{SAID} -- ;\n;"
            f" SHOW timezone; RESET timezone\n;{SAID}",
            ["SET", "", "SHOW", "RESET", ""],
        ),
        (
            "SET LOCAL timezone TO DEFAULT",
            "SET LOCAL timezone TO DEFAULT\n;SET LOCAL \"timezone\" TO 'Europe/Berlin'",
            ["SET", ""],
        ),
        ("RESET timezone", f"RESET timezone\n;{SAID}", ["RESET", ""]),
    ],
)
def test_what_follows_a_reset_finds_what_the_client_said_when_it_came(
    berlin: Stage, sql: str, sent: str, tags: list[str]
) -> None:
    ready_for(berlin, "primary")
    berlin >> client(query(sql)) << asks("primary", query(sent))
    berlin >> answers("primary", *[complete(tag or "SET") for tag in tags], IDLE)
    berlin << told(*[complete(tag) for tag in tags if tag], IDLE) << released("primary")
    assert settings(berlin) == {"timezone": "'Europe/Berlin'"}
    (link,) = berlin.pools[berlin.servers["primary"]].idle
    assert link.state is berlin.session.profile.state


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("SET LOCAL timezone TO DEFAULT", "SET LOCAL \"timezone\" TO 'Europe/Berlin'"),
        ("/* set */ -- it\n set time zone default", SAID),
        ("SET timezone TO 'UTC'", "SET timezone TO 'UTC'"),
        ("SET work_mem TO DEFAULT", "SET work_mem TO DEFAULT"),
        ("RESET timezone", "RESET timezone"),
        ("SELECT 'SET timezone TO DEFAULT'", "SELECT 'SET timezone TO DEFAULT'"),
        ("SETTING", "SETTING"),
    ],
)
@pytest.mark.parametrize("name", ["", "s"])
def test_a_prepared_set_to_the_default_says_what_the_client_said(
    berlin: Stage, sql: str, sent: str, name: str
) -> None:
    engine = berlin.session.engine
    (request,) = Cutter().feed(parse(name, sql) + SYNC)
    engine.read(request)
    prepared = engine.find(name.encode())
    assert prepared is not None
    assert prepared.sql.decode() == sent
    assert request.items[0].message == parse(name, sent)
    assert (request.chunk is None) == (sql != sent)


def test_a_reset_of_what_the_client_never_said_is_sent_as_it_is(berlin: Stage) -> None:
    ready_for(berlin, "primary")
    text = query("RESET work_mem; SELECT 1")
    berlin >> client(text) << asks("primary", text)


def test_a_reset_behind_a_savepoint_that_is_taken_back(stage: Stage) -> None:
    """What the session takes for set is as it was when the transaction began, and is not true."""
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SET app.tenant TO '5'", complete("SET") + IN_TRANSACTION)
    runs(stage, "SAVEPOINT a", complete("SAVEPOINT") + IN_TRANSACTION)
    runs(stage, "RESET app.tenant", complete("RESET") + IN_TRANSACTION)
    runs(stage, "ROLLBACK TO a", complete("ROLLBACK") + IN_TRANSACTION)
    reply = complete("COMMIT") + IDLE
    stage >> client(COMMIT) << asks("primary", COMMIT)
    stage >> answers("primary", reply) << told(reply) << asks("primary", question())
    stage >> answers("primary", says_what_is_set()) << released("primary")
    (link,) = stage.pools[stage.servers["primary"]].idle
    assert link.stained_by is stage.session.belongings


def test_custom_settings_that_nobody_can_name_are_reset_for_the_next(stage: Stage) -> None:
    runs(stage, "SET timezone TO 'UTC'", DONE)
    stage >> client(query("SELECT sets()"))
    stage.events.clear()
    stage >> answers("primary", result("1")) << told(result("1"))
    stage << asks("primary", question())
    stage >> answers("primary", says_what_is_set(TimeZone="UTC")) << released("primary")
    stage >> client(BEGIN) << asks("primary", BEGIN)
    done = complete("ROLLBACK") + IDLE
    stage >> answers("primary", done) << told(done) << released("primary")
    other, _ = stage.enter("other", {"timezone": "'UTC'"})
    all_anew = query("RESET ALL\n;SET \"timezone\" TO 'UTC'")
    stage >> client(BEGIN, session=other) << asks("primary", all_anew)
    stage >> answers("primary", complete("RESET") + DONE) << asks("primary", BEGIN)


def test_custom_settings_that_have_names_stain_nothing(stage: Stage) -> None:
    stage >> client(query("SELECT set_config('app.tenant', '5', false)"))
    stage.events.clear()
    stage >> answers("primary", result("5")) << told(result("5"))
    stage << asks("primary", question("app.tenant"))
    stage >> answers("primary", says_what_is_set(**{"app.tenant": "5"})) << released("primary")
    assert settings(stage) == {"app.tenant": "'5'"}
    (link,) = stage.pools[stage.servers["primary"]].idle
    assert link.stained_by is None
