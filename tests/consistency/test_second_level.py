"""The promise holds for what Redis keeps, while Redis is paused, killed and emptied: `make soak`.

Reads are made slow, since what is quick is not asked for there, and memory so small that it has
next to nothing.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.consistency.faults import plan
from tests.consistency.proxied import Place
from tests.consistency.test_runs import LENGTH, RUNS, SEED, SOAK
from tests.consistency.warm_up import warm_up
from tests.integration.redis_under_test import Redis

pytestmark = pytest.mark.skipif(SOAK not in os.environ, reason="takes long: make soak")

SETTINGS: Final = {
    "cache_size_bytes": 12 * 2**10,
    "max_entry_bytes": 1200,
    "l2_timeout": 0.05,
    "repeatable_read": "versioned",
}

LOAD: Final = {"topics": ("warm", "cold", "transfer"), "slowness": 30.0}


@contextmanager
def disturbed(redis: Redis, seed: int) -> Iterator[None]:
    """Pause, kill or empty it every few seconds."""
    over = threading.Event()
    dice = random.Random(seed)

    def disturb() -> None:
        while not over.wait(dice.uniform(3.0, 8.0)):
            kind = dice.choice(("pause", "kill", "empty"))
            if kind == "kill":
                redis.kill()
                redis.start()
            elif kind == "pause":
                redis.pause()
                over.wait(dice.uniform(0.05, 1.0))
                redis.resume()
            else:
                with redis.client() as client:
                    client.flushall()

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_nothing_is_stale_while_redis_comes_and_goes(place: Place, redis: Redis) -> None:
    names = [replica.name for replica in place.cluster.replicas]
    with (
        place.proxy(cache_url=redis.url, **SETTINGS) as (ground, proxy),
        disturbed(redis, SEED),
    ):
        warm_up(ground.write_dsn, proxy, [it.address for it in place.cluster.replicas])
        for seed in range(SEED, SEED + RUNS):
            verdict = ground.run(LENGTH, plan(seed, LENGTH, names), seed=seed, **LOAD)
            assert verdict, f"seed {seed}\n{verdict.report()}"
            assert not verdict.history.errors, verdict.report()
        assert proxy.metric("tidegate_cache_l2_reads_total", outcome="hit") > LENGTH
        assert proxy.metric("tidegate_cache_l2_reads_total", outcome="stale") > LENGTH
