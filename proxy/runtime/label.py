"""What a member says of itself in the view: who it is, for people, and over what it is heard."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxy.freshness.codec import FORMAT

LONGEST: Final = 120
"""Characters of a bus's address that are told: a label has 255 in MySQL."""

_SHAPE: Final = re.compile(r"(.*) fleet=(\S+) bus=(\S+) format=([0-9]+)")


class Label(NamedTuple):
    """See the module. Nothing in it is a secret: whoever may read the view may know it.

    Attributes:
        process: The host and the process.
        fleet: The name of its fleet.
        bus: The address of what carries its words, without users and passwords.
        format: Of its messages.
    """

    process: str
    fleet: str
    bus: str
    format: int = FORMAT

    def __str__(self) -> str:
        bus = self.bus[:LONGEST].replace(" ", "%20")
        return f"{self.process} fleet={self.fleet} bus={bus} format={self.format}"


def read_label(text: str) -> Label | None:
    """Read a label; None: it is of an older version, that says of itself where it runs only."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    process, fleet, bus, number = found.groups()
    return Label(process, fleet, bus, int(number))


def why_apart(own: Label, other: Label | None, *, is_bus_up: bool) -> str:
    """Say why two members who are well may not hear each other, and what to do about it."""
    if other is None:
        return "it is of an older version: restart it with this one"
    if other.fleet != own.fleet:
        return (
            f"it is of fleet {other.fleet}, this one of fleet {own.fleet}:"
            " set the same [fleet] name for both, or an auth_database for each fleet"
        )
    if other.format != own.format:
        return (
            f"it speaks format {other.format}, this one format {own.format}:"
            " two versions do not hear each other, stop the older one"
        )
    if other.bus != own.bus:
        return (
            f"its bus is {other.bus}, that of this one is {own.bus}:"
            " set the same [fleet] bus_url for both"
        )
    if not is_bus_up:
        return f"the bus {own.bus} can't be reached from here: see why in this log"
    if own.bus.startswith("unix:"):
        return f"both have the bus {own.bus}, which is heard on one host only: set a redis:// one"
    return (
        f"both have the bus {own.bus}: is there a firewall, an ACL,"
        " or are there two servers behind that name? see tidegate_bus_up of both"
    )
