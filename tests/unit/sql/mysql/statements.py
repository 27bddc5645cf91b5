"""Statements that tests read, one a line."""

from __future__ import annotations

from pathlib import Path

_CORPUS = Path(__file__).parent / "corpus"

READS = (_CORPUS / "reads.sql").read_text().splitlines()
CHANGES = (_CORPUS / "changes.sql").read_text().splitlines()
