"""The figures, as tables on the screen and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from typing import Final, Literal

from rich.box import MARKDOWN, SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table

from benchmarks.capacity import Capacity
from benchmarks.cases import Case
from benchmarks.contenders import DIRECT
from benchmarks.rounds import Measured, Spread, ratios

PIPED_WIDTH: Final = 120
COLUMNS: Final = (
    *("protocol", "clients", "", "per s", "of direct", "of {rival}"),
    *("p50 us", "p99 us", "CPU us"),
)


@dataclass(slots=True)
class Report:
    """Everything that was measured, with where and how.

    Attributes:
        machine: Where and how.
        suites: Names and titles of the families of cases.
        rival: What ratios are taken of, besides direct.
    """

    machine: dict[str, object]
    suites: Mapping[str, str]
    rival: str
    cases: list[tuple[Case, list[Measured]]] = field(default_factory=list)
    capacities: list[Capacity] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        """Return all of it, with every round's number."""
        return {
            "machine": self.machine,
            "cases": [
                {**asdict(case), "measured": [asdict(one) for one in measured]}
                for case, measured in self.cases
            ],
            "capacity": [asdict(capacity) for capacity in self.capacities],
        }

    def show(self, console: Console) -> None:
        """Print all of it."""
        if not console.is_terminal:
            console.width = PIPED_WIDTH
        console.print(self._where)
        for title, table in self._tables(SIMPLE_HEAD):
            console.print(f"\n{title}", style="bold")
            console.print(table)

    def as_markdown(self) -> str:
        """Return all of it for docs/benchmarks.md."""
        text = StringIO()
        console = Console(file=text, width=PIPED_WIDTH)
        console.print(self._where)
        for title, table in self._tables(MARKDOWN):
            console.print(f"\n### {title}")
            console.print(table)
        return "".join(f"{line.strip()}\n" for line in text.getvalue().splitlines())

    @property
    def _where(self) -> str:
        return " · ".join(f"{key} {value}" for key, value in self.machine.items())

    def _tables(self, box: Box) -> Iterator[tuple[str, Table]]:
        for suite, title in self.suites.items():
            rows = [(case, measured) for case, measured in self.cases if case.suite == suite]
            if rows:
                yield f"{suite}: {title}", self._suite_table(Table(box=box), rows)
        for capacity in self.capacities:
            yield capacity.title, _capacity_table(Table(box=box), capacity)

    def _suite_table(self, table: Table, rows: list[tuple[Case, list[Measured]]]) -> Table:
        for number, column in enumerate(COLUMNS):
            side: Literal["left", "right"] = "left" if number in (0, 2) else "right"
            table.add_column(column.format(rival=self.rival), justify=side, no_wrap=True)
        for case, measured in rows:
            load = case.load
            for position, one in enumerate(measured):
                head = ("", "") if position else (load.protocol, str(load.clients))
                table.add_row(*head, *_cells(one, measured, self.rival))
        return table


def _cells(one: Measured, all_measured: list[Measured], rival: str) -> list[str]:
    return [
        one.contender,
        f"{Spread.of(one.per_second).median:,.0f}",
        _ratio(one, all_measured, DIRECT),
        _ratio(one, all_measured, rival),
        f"{Spread.of(one.p50).median:,.0f}",
        f"{Spread.of(one.p99).median:,.0f}",
        f"{Spread.of(one.cpu).median:,.1f}" if one.cpu else "",
    ]


def _ratio(one: Measured, all_measured: list[Measured], base_name: str) -> str:
    """Write a ratio as its median, and from where to where it went."""
    base = next((other for other in all_measured if other.contender == base_name), None)
    if base is None or one is base:
        return ""
    ratio = ratios(one.per_second, base.per_second)
    return f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"


def _capacity_table(table: Table, capacity: Capacity) -> Table:
    table.add_column("")
    for name in capacity.found:
        table.add_column(name, justify="right")
    names = next(iter(capacity.found.values()))
    for name in names:
        table.add_row(name, *(_number(found[name]) for found in capacity.found.values()))
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
