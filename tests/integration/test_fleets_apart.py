"""Two fleets before the same primary: each with a control database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.grounds import Ground, standing_on
from tests.integration.test_fleet import BOOK, until_fast, until_members

standing = standing_on("postgres")


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    with standing.lent(book=0):
        standing.cluster.primary.execute("CREATE DATABASE elsewhere")
        yield standing
    standing.cluster.primary.execute("DROP DATABASE elsewhere WITH (FORCE)")


def test_two_fleets_before_one_primary(ground: Ground, tmp_path: Path) -> None:
    """Neither waits for the other."""
    here = ground.start(bus_url=f"unix://{tmp_path}/here")
    there = ground.start(bus_url=f"unix://{tmp_path}/there", auth_database="elsewhere")
    for member in (here, there):
        until_members(member, 1)
        with ground.connect(member) as client:
            client.ask("UPDATE book SET a = a + 1")
            ground.wait_for_replicas(member, BOOK)
            until_fast(client)
        assert member.metric("tidegate_fleet_fast") == 1
    here.stop()
    there.stop()
