"""What a member writes that has not heard of the definitions which another has made."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from proxy.demo.processes import wait_until
from tests.integration.grounds import Client, Ground, standing_on
from tests.integration.redis_under_test import Redis
from tests.integration.test_fleet import until_members

pytestmark = pytest.mark.skipif("TIDEGATE_SOAK_SECONDS" not in os.environ, reason="in make soak")

standing = standing_on("postgres")

TRIGGER = """
CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN UPDATE other SET a = NEW.a; RETURN NEW; END $$;
CREATE TRIGGER also AFTER UPDATE ON book FOR EACH ROW EXECUTE FUNCTION also();
"""


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    with standing.lent(book=0, other=0):
        yield standing
        standing.heal()
    with standing.connect() as client:
        client.ask("DROP FUNCTION IF EXISTS also")


def needs_nothing_more(client: Client) -> bool:
    """Whether the reads of a member would be good at replicas, were it heard."""
    need = client.explain("SELECT a FROM other").get("replicas need", "")
    return "/" in need


def test_a_trigger_that_was_made_while_nobody_heard(ground: Ground, redis: Redis) -> None:
    """Its member waits for the others for a lease; one of them sets it off, and hears later."""
    rare = {"out_of_band": "none", "out_of_band_interval": 600}
    makes, writes = (ground.start(bus_url=redis.url, **rare) for _ in range(2))
    until_members(makes, 2)
    with ground.connect(makes) as here, ground.connect(writes) as there:
        there.ask("UPDATE book SET a = 1")  # its definitions are known
        ground.wait_for_replicas(makes, "SELECT a FROM other")
        redis.pause()
        try:
            for member in (makes, writes):
                wait_until(lambda it=member: not it.metric("tidegate_fleet_fast"), "silence")  # type: ignore[misc]
            here.ask(TRIGGER)
            wait_until(lambda: needs_nothing_more(here), "the trigger's position to be known")
            ground.cluster.wait_replayed()
            ground.stand_still()
            there.ask("UPDATE book SET a = 2")
        finally:
            redis.resume()
        for member in (makes, writes):
            wait_until(lambda it=member: it.metric("tidegate_fleet_fast") == 1, "fast reads")  # type: ignore[misc]
        for client in (here, there):
            assert client.value("SELECT a FROM other") == 2
    makes.stop()
    writes.stop()
