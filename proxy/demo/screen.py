"""What the demo looks like: pretty on a terminal, plain lines when it is piped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PIPED_WIDTH: Final = 100
"""Characters of a line where nobody tells how many there are."""

Advance = Callable[[int], None]


@final
class Screen:
    """Prints what happens, with a progress line below it on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = PIPED_WIDTH

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line; square brackets in it mean nothing."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def heading(self, text: str) -> None:
        self.say()
        self.say(text, "bold cyan")

    def statement(self, sql: str) -> None:
        """Show a statement that is about to be run."""
        self.say(f"      {sql}", "italic")

    def note(self, text: str) -> None:
        """Print something that is good to know."""
        self.say(f"      {text}", "dim")

    def command(self, text: str, purpose: str) -> None:
        """Show what to type to see more, on a line that can be copied."""
        self.say(f"  # {purpose}", "dim")
        self.say(f"  {text}", "bold")

    def verdict(self, text: str, *, held: bool) -> None:
        """Print a claim, and whether it was found true."""
        mark = Text("  ok  " if held else "  FAILED  ", "bold green" if held else "bold red")
        self.console.print(mark + Text(text, "" if held else "red"), soft_wrap=True)

    @contextmanager
    def doing(self, text: str, total: int | None = None) -> Iterator[Advance]:
        """Show that something is under way; when it is done, what it was and how long it took.

        Args:
            text: What is done.
            total: How many parts it has, when there are parts: tell how many are done.
        """
        started = time.monotonic()
        progress = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}"),
            BarColumn(24),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        with progress:
            task = progress.add_task(text, total=total)
            yield lambda done: progress.update(task, completed=done)
        self.verdict(f"{text} ({time.monotonic() - started:.1f} s)", held=True)

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """Print a table: words in its first column, numbers in the others."""
        table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
        for number, column in enumerate(columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=number > 0)
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self.say()
        self.console.print(table)
