"""Facts and reports on a screen: with colours on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from textwrap import wrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.doctor.findings import Findings
from proxy.doctor.report import Origin, as_data, as_lines
from proxy.routing.facts import Fact


def show_facts(facts: Sequence[Fact], *, as_json: bool) -> None:
    """Print what `explain` found."""
    if as_json:
        print(json.dumps(dict(facts), indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in facts:
            table.add_row(Text(name), Text(_harmless(value)))
        Console().print(table)
    else:
        width = max(len(fact.name) for fact in facts) + 2
        for name, value in facts:
            print(f"{name:<{width}}{_harmless(value)}")


def show_report(findings: Findings, origin: Origin, *, as_json: bool) -> None:
    """Print what `doctor` found."""
    if as_json:
        print(json.dumps(as_data(findings, origin), indent=2, ensure_ascii=True))
        return
    console = Console() if sys.stdout.isatty() else None
    for line in as_lines(findings, origin):
        text = _harmless(line.text)
        if console is None:
            print(text)
        else:
            style = "bold" if line.is_heading else ""
            console.print(Text(_wrapped(text, console.width), style=style))


def _harmless(text: str) -> str:
    """Take out what a terminal would obey: names may hold anything."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _wrapped(text: str, width: int) -> str:
    """Break a line between words, its further parts a little to the right."""
    indent = len(text) - len(text.lstrip()) + 4
    return "\n".join(wrap(text, max(width, 40), subsequent_indent=" " * indent)) or ""


class Progress:
    """How far the reading is, on a terminal: a line that goes when it is done."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def tick(self, lines: int) -> None:
        """So many lines of the present log have been read."""
        if self._is_shown:
            print(f"\r{lines:,} lines ...", end="", file=sys.stderr, flush=True)
