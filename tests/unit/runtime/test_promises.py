"""What a member waits for before it enters a view that another was in the place of."""

from __future__ import annotations

from typing import cast

from proxy.runtime.evictions import LEASE_OVER, SILENT_AFTER
from proxy.runtime.promises import Promises
from proxy.topology.views import ViewStore


class Store:
    """Members that are there until some time."""

    def __init__(self, **until: float) -> None:
        self.until = until
        self.now = 0.0

    def clock(self) -> float:
        """Each look is a tenth of a second later."""
        self.now += 0.1
        return self.now

    async def silent_for(self, name: str) -> float | None:
        return 0.0 if self.now < self.until[name] else None


async def kept(store: Store) -> float:
    """Keep promises to all of them; returns for how long."""
    promises = Promises(store.clock)
    promises.given(store.until)
    since = store.now
    await promises.keep(cast(ViewStore, store))
    return store.now - since


async def test_promises_to_who_has_let_go_run_out() -> None:
    assert LEASE_OVER <= await kept(Store(b=0.0, c=1.0)) < LEASE_OVER + 0.3


async def test_who_has_not_noticed_is_waited_for() -> None:
    assert 4.9 <= await kept(Store(b=0.0, c=5.0)) < 5.5


async def test_nobody_is_waited_for_for_ever() -> None:
    assert SILENT_AFTER <= await kept(Store(b=1e9)) < SILENT_AFTER + 0.3


async def test_who_promised_nobody_anything_waits_for_nothing() -> None:
    assert await kept(Store()) == 0.0
