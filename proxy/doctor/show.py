"""Facts on a screen: a table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

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
            table.add_row(name, value.replace("[", "\\["))
        Console().print(table)
    else:
        width = max(len(fact.name) for fact in facts) + 2
        for name, value in facts:
            print(f"{name:<{width}}{value}")
