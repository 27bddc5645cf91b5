"""A configuration to start from, with the reason for each line, out of what the doctor found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from proxy.doctor.findings import Cause, Findings, share
from proxy.doctor.ways import Asker
from proxy.errors import Unanswerable
from proxy.types import Reason

ENOUGH: Final = 1_000
"""Reads from which on something is concluded."""

NOT_WORTH: Final = 1.0
"""Percent of hits below which the cache is switched off."""

SHOWN: Final = 20


def text_of(asker: Asker, findings: Findings, source: str, servers: Sequence[str]) -> str:
    """Write the file.

    Args:
        asker: Of the engine.
        findings: Of the doctor.
        source: What they were found in.
        servers: As "host:port"; empty: nobody knows.
    """
    return "\n".join([*_lines(asker, findings, source, servers), ""])


def _lines(asker: Asker, findings: Findings, source: str, servers: Sequence[str]) -> Iterator[str]:
    yield f"# Made by `tidegate doctor` from {_plain(source)}: a start, to be looked through."
    yield "# `tidegate check FILE` checks it, `tidegate config example` explains every setting."
    yield ""
    yield "[server_groups.app]"
    yield f'engine = "{asker.engine}"'
    yield f'listen = "127.0.0.1:{asker.listen}"          # where the application connects'
    yield f"servers = {json.dumps(list(servers or (f'127.0.0.1:{asker.port}',)))}"
    yield "# The primary and all replicas belong here, in any order: roles are asked, not told."
    yield 'auth_user = "tidegate"             # its rights are in docs/operating.md, as SQL'
    yield '# auth_password = "${TIDEGATE_AUTH_PASSWORD}"'
    yield ""
    yield from _transactions(findings)
    yield from _cache(findings)
    yield "# Writes that do not pass through the proxy are noticed by watching counters. Say"
    yield '# "none" once everything that writes connects to it.'
    yield 'out_of_band = "watch"'
    yield from _functions(asker, findings)
    yield from _unseen(findings)
    yield ""
    yield "[admin]"
    yield 'listen = "127.0.0.1:9127"          # /metrics /healthz /readyz'


def _transactions(findings: Findings) -> Iterator[str]:
    if findings.is_ordered and findings.transactions:
        yield f"# {findings.spared:,} of {findings.transactions:,} transactions only read."
    yield 'transactions = "late"'
    yield ""


def _cache(findings: Findings) -> Iterator[str]:
    reads, hits = findings.reads.calls, findings.hits.calls
    is_known = findings.is_ordered and reads >= ENOUGH
    part = share(hits, reads)
    if is_known:
        yield f"# {part:.1f} % of reads would have been answered from the cache, by a model of it."
    is_worth = not is_known or part >= NOT_WORTH
    yield f"cache = {'true' if is_worth else 'false'}"
    yield ""


def _functions(asker: Asker, findings: Findings) -> Iterator[str]:
    causes = [c for c in findings.blocked.top() if c.reason is Reason.FUNCTION]
    if not causes:
        return
    yield ""
    if asker.has_schemas:
        yield "# Functions that keep reads at the primary: what they do is not certain."
    else:
        yield "# Functions that keep reads at the primary. One that reads nothing but its"
        yield "# arguments and writes nothing can be declared so: ALTER FUNCTION ... IMMUTABLE."
    yield from _names(causes)


def _unseen(findings: Findings) -> Iterator[str]:
    causes = [c for c in findings.unseen.top() if c.reason is not Reason.FUNCTION]
    if not causes:
        return
    yield ""
    yield "# Whenever these run, all that is cached goes, as they may have written to any table."
    yield from _names(causes)


def _names(causes: Sequence[Cause]) -> Iterator[str]:
    for cause in causes[:SHOWN]:
        yield f"#   {cause.count.calls:,} times: {_plain(cause.detail or cause.reason.value)}"


def _plain(text: str) -> str:
    """Keep a text on its comment's line."""
    return "".join(c if c.isprintable() else " " for c in text)


def write(target: Path, text: str, *, force: bool) -> None:
    """Write the file.

    Raises:
        Unanswerable: It is there already, and must not be overwritten.
    """
    refuse_existing(target, force=force)
    target.write_text(text, encoding="utf-8")


def refuse_existing(target: Path, *, force: bool) -> None:
    """Raise Unanswerable where a file must not be overwritten."""
    if target.exists() and not force:
        raise Unanswerable(f"{target}: is there already; --force overwrites it")
