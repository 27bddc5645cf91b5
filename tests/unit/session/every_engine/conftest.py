"""What a session does whatever its engine: one suite, in each engine's words.

What only one protocol has, as COPY or what a server must be asked, is tested beside this.
"""

from __future__ import annotations

import pytest

from proxy.types import Table
from tests.unit.session.stage import Stage
from tests.unit.session.words import MYSQL, POSTGRES, Words


@pytest.fixture(params=[POSTGRES, MYSQL], ids=["postgres", "mysql"])
def words(request: pytest.FixtureRequest) -> Words:
    found: Words = request.param
    return found


@pytest.fixture
def stage(words: Words) -> Stage:
    return Stage(words=words)


@pytest.fixture
def caching(words: Words) -> Stage:
    return Stage(words=words, cache=True)


@pytest.fixture
def late(words: Words) -> Stage:
    return Stage(words=words, late_begin=True)


@pytest.fixture
def items(stage: Stage) -> Table:
    return stage.catalog.table("items")
