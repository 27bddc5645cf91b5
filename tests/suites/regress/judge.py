"""What the scripts hold is classified, and judged by PostgreSQL's own grammar."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.routing.reading import UNREADABLE, Reader
from proxy.sql.statement import Kind, Statement
from tests.suites.regress.cutter import Piece, Script, spec_pieces
from tests.suites.regress.fetch import Origin
from tests.unit.sql import oracle

SHOWN = 10
"""Reasons that are shown, the most frequent first."""

LONGEST_SHOWN = 200

PLACE = re.compile(r"\. Line \d+, Col: \d+\.$")
"""Where in a text sqlglot stopped: no part of a reason."""


@dataclass(slots=True)
class Tally:
    """What was found in the scripts of one origin.

    Attributes:
        files: How many there are.
        texts: What is sent at once.
        refused: Texts that the grammar refuses, so that the server will.
        unset: Of these, texts with a variable that only a run gives a value.
        statements: What the grammar makes of the others.
        kinds: What we take them for.
        plain_reads: Statements that are, by the grammar, queries that neither write nor lock.
        missed: Of these, the ones that we take for something else, by reason and detail.
        violations: Statements that we take for less than they are.
        uncut: What could not be cut, by file and line.
    """

    files: int = 0
    texts: int = 0
    refused: int = 0
    unset: Counter[str] = field(default_factory=Counter)
    statements: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    plain_reads: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    uncut: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another's with it."""
        self.files += other.files
        self.texts += other.texts
        self.refused += other.refused
        self.unset += other.unset
        self.statements += other.statements
        self.kinds += other.kinds
        self.plain_reads += other.plain_reads
        self.missed += other.missed
        self.violations += other.violations
        self.uncut += other.uncut

    def lines(self, name: str) -> Iterator[str]:
        """Say it in lines."""
        kinds = ", ".join(f"{number} {kind.value}" for kind, number in self.kinds.most_common())
        yield f"{name}:"
        yield f"  {self.files} files, {self.texts} texts, {self.refused} of them refused"
        yield f"  {self.statements} statements: {kinds}"
        yield f"  {self.missed.total()} of {self.plain_reads} plain reads are taken for more:"
        for reason, number in self.missed.most_common(SHOWN):
            yield f"    {number:5}  {reason}"
        if self.unset:
            names = ", ".join(sorted(self.unset))
            yield f"  {self.unset.total()} refused for variables without a value: {names}"
        for place in self.uncut:
            yield f"  NOT CUT  {place}"
        for violation in self.violations:
            yield f"  VIOLATION  {violation}"


def judge(origin: Origin, reader: Reader) -> Tally:
    """Classify and judge all scripts of an origin."""
    tally = Tally()
    for file in origin.files:
        tally.files += 1
        name = str(file.relative_to(origin.root))
        for piece in _pieces(origin, file, tally.uncut):
            tally.texts += 1
            _judge_text(piece, f"{name}:{piece.line}", reader, tally)
    return tally


def _pieces(origin: Origin, file: Path, uncut: list[str]) -> Iterator[Piece]:
    text = file.read_text(errors="replace")
    if file.suffix == ".spec":
        yield from spec_pieces(text)
        return
    if origin.name == "sqlglot":
        text = _as_script(file.name, text)
    script = Script(text)
    yield from script.pieces()
    uncut += [f"{file.name}:{line}: {reason}" for line, reason in script.uncut]


def _as_script(name: str, text: str) -> str:
    """One of sqlglot's files is a statement a line; in the others `#` begins a remark."""
    lines = text.splitlines()
    if name == "identity.sql":
        return "\n".join(f"{line};" for line in lines)
    return "\n".join("" if line.startswith("#") else line for line in lines)


def _judge_text(piece: Piece, place: str, reader: Reader, tally: Tally) -> None:
    parts = oracle.split(piece.text)
    if parts is None:
        tally.refused += 1
        tally.unset.update(sorted(piece.unset)[:1])
        return
    reading = reader.read(piece.text.encode())
    statements = reading.statements
    if reading is UNREADABLE:
        statements *= len(parts)
    if len(statements) != len(parts) and parts:
        shown = _shown(piece.text)
        tally.violations.append(f"{place}: {len(parts)} are read as {len(statements)}: {shown}")
        return
    for part, statement in zip(parts, statements, strict=False):
        _judge_statement(part, statement, place, tally)


def _judge_statement(part: str, statement: Statement, place: str, tally: Tally) -> None:
    facts = oracle.facts(part)
    if facts is None:
        return
    tally.statements += 1
    tally.kinds[statement.kind] += 1
    for shortfall in oracle.shortfalls(statement, facts):
        tally.violations.append(f"{place}: {shortfall}: {_shown(part)}")
    if facts.is_plain_read:
        tally.plain_reads += 1
        if statement.kind is not Kind.READ:
            tally.missed[_why(statement)] += 1


def _why(statement: Statement) -> str:
    reason = statement.reason.value if statement.reason is not None else "no reason"
    detail = PLACE.sub("", statement.detail) or "not sure how it is cut"
    return f"{statement.kind.value}, {reason}: {detail}"


def _shown(text: str) -> str:
    return " ".join(text.split())[:LONGEST_SHOWN]
