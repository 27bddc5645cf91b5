"""Steps that conversations of every engine have in common."""

from __future__ import annotations

from tests.unit.session.stage import Stage, answers, asks, client, released, told

SELECT = "SELECT a FROM orders"
INSERT = "INSERT INTO orders VALUES (1)"


def reads(stage: Stage, name: str, value: str, *, sql: str = SELECT, block: bool = False) -> None:
    """A read is served by this server, and its connection given back."""
    query, result = stage.words.query(sql), stage.words.result(value)
    stage >> client(query) << asks(name, query)
    said = stage.words.result(value, block=block)
    stage >> answers(name, result) << told(said) << released(name)


def is_read_anew(stage: Stage, value: str = "2") -> None:
    """What was asked of a replica is asked of the primary instead."""
    result = stage.words.result(value)
    stage << asks("primary", stage.words.query(SELECT))
    stage >> answers("primary", result) << told(result) << released("primary")


def runs(stage: Stage, sql: str, tag: str, *, block: bool = True) -> None:
    """A statement in a transaction, of which nothing follows yet."""
    query, done = stage.words.query(sql), stage.words.done(tag, block=block)
    stage >> client(query) << asks("primary", query)
    stage >> answers("primary", done) << told(done)


def hears_error(stage: Stage, code: bytes) -> None:
    """The client is told of an error, in whatever pieces."""
    said = b""
    while stage.events and stage.events[0][0] == "told":
        said += stage.events.popleft()[2]
    assert code in said
