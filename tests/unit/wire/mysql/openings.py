"""Logins that were recorded with real servers and real clients."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "recorded"

Login = list[tuple[str, bytes]]
"""Who says what: `<` the server's side, `>` the client's."""


def read(name: str) -> dict[str, Login]:
    """The logins in a file, by their titles."""
    logins: dict[str, Login] = {}
    title = ""
    for line in (FOLDER / name).read_text().splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "=":
            title = rest
            logins[title] = []
        elif mark in ("<", ">"):
            logins[title].append((mark, bytes.fromhex(rest)))
    return logins
