"""Simulate many histories: `make simulate SEEDS=0-1000`; and find seeds that miss a rule."""

from __future__ import annotations

import argparse
import time
from collections import Counter

from tests.simulation.member import StaleRead
from tests.simulation.mutations import MUTATIONS
from tests.simulation.scene import ALL_FAULTS, PATIENCE, Scene

SEARCHED = 400


def main() -> int:
    """Say what was found; 1 if any read was stale."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", default="0-200", help="from and to, as 0-1000")
    arguments.add_argument("--seconds", type=float, default=6.0, help="of virtual time, each")
    arguments.add_argument("--find", action="store_true", help="seeds that miss a rule, instead")
    options = arguments.parse_args()
    if options.find:
        return find(options.seconds)
    first, _, last = options.seeds.partition("-")
    return simulate(range(int(first), int(last or first) + 1), options.seconds)


def simulate(seeds: range, seconds: float) -> int:
    """Run histories of 2 to 7 members, with all that can go wrong."""
    served: Counter[str] = Counter()
    messages = rides = stale = 0
    began = time.monotonic()
    for seed in seeds:
        patience = PATIENCE if seed % 4 else 1.0
        scene = Scene(seed, 2 + seed % 6, ALL_FAULTS, patience=patience)
        try:
            scene.run(seconds)
        except StaleRead as error:
            stale += 1
            print(f"seed {seed}: a stale read, {error}")
        served.update(scene.finished)
        messages += scene.bus.messages
        rides += scene.rides
    took = time.monotonic() - began
    reads = served.total() - served["redone"]
    print(f"{len(seeds)} histories of {seconds:g} s: {stale} stale reads")
    print(", ".join(f"{count} {name}" for name, count in served.most_common()))
    print(f"{messages} messages, {rides} commits without", end="; ")
    print(f"{(reads + messages) / took:.0f} reads and messages a second")
    return 1 if stale else 0


def find(seconds: float) -> int:
    """Find for each rule the first seed that misses it."""
    for name, it in MUTATIONS.items():
        for seed in range(SEARCHED):
            try:
                it.scene(seed, it.members, it.faults, it.drift, it.patience).run(seconds)
            except StaleRead as error:
                print(f'    "{name}": {seed},  # {error}', flush=True)
                break
        else:
            print(f"    {name}: not missed by {SEARCHED} seeds", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
