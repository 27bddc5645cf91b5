"""Whatever a session does in a test, it goes from phase to phase as `proxy.session.phase` says."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from proxy.session.conversation import Conversation
from proxy.session.phase import NEXT, Phase
from proxy.types import Table
from tests.unit.session.stage import Stage

STORED = inspect.getattr_static(Conversation, "phase")


@pytest.fixture(autouse=True)
def _legal_phases(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look at every change of a phase; where sessions are compiled, nobody can look."""
    if not inspect.ismemberdescriptor(STORED):
        yield
        return
    illegal: list[tuple[Phase, Phase]] = []

    def change(session: Conversation, phase: Phase) -> None:
        try:
            before = STORED.__get__(session)
        except AttributeError:  # it begins
            before = phase
        if before is not phase and phase not in NEXT[before]:
            illegal.append((before, phase))
        STORED.__set__(session, phase)

    monkeypatch.setattr(Conversation, "phase", property(STORED.__get__, change))
    yield
    assert not illegal


@pytest.fixture
def orders(stage: Stage) -> Table:
    """A table of the stage that a file has set."""
    return stage.catalog.table("orders")
