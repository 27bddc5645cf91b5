"""Statements that tests read, one a line: how applications write them, and how to trip a reader."""

from __future__ import annotations

from pathlib import Path

_CORPUS = Path(__file__).parent / "corpus"

READS = (_CORPUS / "reads.sql").read_text().splitlines()
CHANGES = (_CORPUS / "changes.sql").read_text().splitlines()
TRICKY = (_CORPUS / "tricky.sql").read_text().splitlines()
NAMES = (_CORPUS / "names.txt").read_text().splitlines()
"""Statements with `@` wherever a name can stand."""
