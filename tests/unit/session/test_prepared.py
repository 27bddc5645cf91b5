"""What a client prepared means what its settings made of it then, on whatever connection."""

from __future__ import annotations

import pytest

from tests.unit.session.stage import (
    BOUND,
    CLOSED,
    IDLE,
    IN_TRANSACTION,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    bind,
    client,
    complete,
    error,
    execute,
    parse,
    query,
    released,
    rows,
    told,
)

TEXT = "SELECT a FROM orders FOR SHARE"  # it can't leave the primary
UTC, CET = query("SET timezone TO 'UTC'"), query("SET timezone TO 'CET'")
UTC_AGAIN = query("SET \"timezone\" TO 'UTC'")
DONE = complete("SET") + IDLE
TAKEN = BOUND + rows("1") + IDLE


@pytest.fixture
def stage() -> Stage:
    return Stage(room=2)


def happens(stage: Stage, data: bytes, reply: bytes) -> None:
    stage >> client(data)
    stage.events.clear()
    stage >> answers("primary", reply)
    stage.events.clear()


def prepares(stage: Stage, name: str, sql: str = TEXT) -> bytes:
    """Prepare something; returns the name that it has on a server."""
    happens(stage, parse(name, sql) + SYNC, PARSED + IDLE)
    return stage.session.engine.statements[name.encode()].server_name


def uses(name: str) -> bytes:
    return bind(name) + execute() + SYNC


def other_connection(stage: Stage) -> None:
    """From now on the primary has a new one."""
    stage.pools[stage.servers["primary"]].idle.clear()


def test_what_is_missing_is_prepared_under_the_settings_of_then(stage: Stage) -> None:
    happens(stage, UTC, DONE)
    name = prepares(stage, "s").decode()
    happens(stage, CET, DONE)
    other_connection(stage)
    cet = query("SET \"timezone\" TO 'CET'")
    stage >> client(uses("s")) << asks("primary", UTC_AGAIN, parse(name, TEXT), SYNC)
    stage >> answers("primary", DONE + PARSED + IDLE) << asks("primary", cet)
    stage >> answers("primary", DONE) << asks("primary", uses(name))
    stage >> answers("primary", TAKEN) << told(TAKEN) << released("primary")
    stage >> client(uses("s")) << asks("primary", uses(name))
    stage >> answers("primary", TAKEN) << told(TAKEN) << released("primary")


def test_what_cannot_be_prepared_any_more_is_told(stage: Stage) -> None:
    name = prepares(stage, "s").decode()
    happens(stage, UTC, DONE)
    other_connection(stage)
    stage >> client(uses("s")) << asks("primary", parse(name, TEXT), SYNC)
    refusal = error("42P01")
    stage >> answers("primary", refusal + IDLE) << asks("primary", UTC_AGAIN)
    stage >> answers("primary", DONE) << asks("primary", parse(name, TEXT), uses(name))
    stage >> answers("primary", refusal + IDLE) << told(refusal + IDLE) << released("primary")


def test_each_sense_is_prepared_once_even_without_room() -> None:
    stage = Stage(room=1)
    one = prepares(stage, "s").decode()
    happens(stage, UTC, DONE)
    two = prepares(stage, "t").decode()
    happens(stage, CET, DONE)
    other_connection(stage)
    stage >> client(bind("s") + execute() + bind("t") + execute() + bind("s") + execute() + SYNC)
    stage << asks("primary", parse(one, TEXT), SYNC)
    stage >> answers("primary", PARSED + IDLE)
    assert f"Parse {one}" not in str(stage.events)
    for _ in range(4):
        kind, _, sent = stage.events.popleft()
        assert kind == "asks"
        if execute() in sent:
            break
        parsed = PARSED * (sent.count(TEXT.encode()))
        closed = CLOSED * sent.count(b"C\0\0\0")
        ready = IDLE * (sent.count(b"Q\0\0\0") + sent.count(SYNC))
        stage >> answers("primary", complete("SET") * sent.count(b"SET") + closed + parsed + ready)
    else:
        pytest.fail("it was never sent")
    assert two.encode() in sent


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL timezone TO 'CET'",
        "SELECT set_config('TimeZone', 'CET', true)",
        "SELECT set_config($$TimeZone$$, 'CET', true)",
        "SELECT f()",
        "DO LANGUAGE plperl 'x'",
    ],
)
def test_what_is_prepared_under_settings_that_nobody_knows_is_closed(
    stage: Stage, sql: str
) -> None:
    known = prepares(stage, "s")
    happens(stage, query("BEGIN"), complete("BEGIN") + IN_TRANSACTION)
    happens(stage, query(sql), complete("SET") + IN_TRANSACTION)
    happens(stage, parse("t", TEXT) + SYNC, PARSED + IN_TRANSACTION)
    own = stage.session.engine.statements[b"t"].server_name
    assert own != known
    (link,) = stage.links
    assert {prepared.server_name for prepared in link.exchange.editor.prepared} == {known, own}
    stage >> client(query("ROLLBACK"))
    stage.events.clear()
    stage >> answers("primary", complete("ROLLBACK") + IDLE)
    assert {prepared.server_name for prepared in link.exchange.editor.prepared} == {known}


@pytest.mark.parametrize(
    "sql",
    [
        "SET LOCAL statement_timeout TO 7",
        "SET LOCAL app.tenant TO '7'",
        "SET LOCAL ROLE reader",
        "SELECT set_config('app.tenant', $1, true)",
        "SELECT set_config('search_path', 'b', true), set_config('role', 'b', true)",
        "SAVEPOINT a",
    ],
)
def test_what_literals_do_not_depend_on_parts_nothing(stage: Stage, sql: str) -> None:
    known = prepares(stage, "s")
    happens(stage, query("BEGIN"), complete("BEGIN") + IN_TRANSACTION)
    batch = parse("", sql) + bind("") + execute() + SYNC
    happens(stage, batch, PARSED + BOUND + complete("SET") + IN_TRANSACTION)
    stage >> client(parse("t", TEXT) + SYNC) << asks("primary", SYNC)
    assert stage.session.engine.statements[b"t"].server_name == known


def test_a_custom_setting_parts_nothing(stage: Stage) -> None:
    happens(stage, query("SET app.tenant TO '1'"), DONE)
    known = prepares(stage, "s")
    happens(stage, query("SET app.tenant TO '2'"), DONE)
    assert prepares(stage, "t") == known
