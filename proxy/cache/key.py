"""Same bytes only if everything that shapes them is the same: what a result is kept under.

A result has two kinds of name. The *canonical* key says what was asked, whatever the
protocol's form, so that what a simple query filled serves an extended one. The *request*,
byte for byte as it came, finds a ready answer in one dict look-up. Both live in a
`Context` (`entry`), one per distinct way of being asked, so that neither repeats it.
"""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """All that shapes a result besides the statement, its parameters and the tables.

    Attributes:
        salt: Of this run, or of the fleet's.
        epoch: The ledger's; results of an ended one are not even looked at.
        group: The server group.
        database: The database, in which names are resolved.
        user: The session's authorization.
        role: What it has been SET to; row security and privileges follow it.
        protocol: Protocol and capability flags that change the bytes of a reply.
        encoding: The client's.
        settings: Every other setting the session has changed, sorted by name; among them
            what a name without a schema means.
        rules: Which rules may speak of its statements: ready answers were judged by them.
    """

    salt: int
    epoch: int
    group: str
    database: str
    user: str
    role: str
    protocol: str
    encoding: str
    settings: tuple[tuple[str, str], ...]
    rules: tuple[int, ...] = ()


class Key(NamedTuple):
    """What was asked, in no protocol's form.

    Attributes:
        statement: The exact text.
        types: Of the parameters, as declared.
        parameters: Their formats and values, and the formats of the result's columns.
        limit: How many rows; 0 for all of them.
    """

    statement: bytes
    types: bytes = b""
    parameters: bytes = b""
    limit: int = 0
