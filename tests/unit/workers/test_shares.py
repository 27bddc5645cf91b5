"""What each worker gets of a limit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from proxy.settings import ServerGroup, Settings, User, parse
from proxy.settings.rule import Rule
from proxy.settings.values import PoolMode
from proxy.workers.shares import divide, rounded_up, share

TEXT = """
[server_groups.app]
servers = ["10.0.0.1:5432"]
auth_user = "tidegate"
default_pool_size = 20
min_pool_size = 2
reserve_pool_size = 4
max_client_conn = 1000
cache_size_bytes = "1MiB"
max_entry_bytes = "512KiB"
audit = "1%"
audit_per_second = 2
unix_socket_dir = "/tmp"

[server_groups.app.users.batch]
default_pool_size = 2
pool_mode = "session"

[[server_groups.app.rules]]
name = "r"
regex = "report"
throttle_rate = 7
throttle_concurrency = 1
"""


def shares(settings: Settings, count: int) -> list[ServerGroup]:
    return [divide(settings, number, count).server_groups["app"] for number in range(1, count + 1)]


def example() -> Settings:
    return parse(TEXT, {}, base=Path())


@given(st.integers(0, 10_000), st.integers(1, 64))
def test_shares_are_even_and_add_up(total: int, count: int) -> None:
    parts = [share(total, number, count) for number in range(1, count + 1)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True)


def test_what_holds_for_the_host_is_divided() -> None:
    groups = shares(example(), 3)
    assert [group.default_pool_size for group in groups] == [7, 7, 6]
    assert [group.min_pool_size for group in groups] == [1, 1, 0]
    assert [group.reserve_pool_size for group in groups] == [2, 1, 1]
    assert [group.max_client_conn for group in groups] == [334, 333, 333]
    assert sum(group.cache_size_bytes for group in groups) == 2**20
    assert [group.users["batch"].default_pool_size for group in groups] == [1, 1, 1]
    assert [group.rules[0].throttle_rate for group in groups] == [3, 2, 2]
    assert [group.rules[0].throttle_concurrency for group in groups] == [1, 1, 1]


def test_what_does_not_fit_into_a_workers_memory_is_not_kept() -> None:
    for group in shares(example(), 3):
        assert group.max_entry_bytes == group.cache_size_bytes < 2**19


def test_whoever_needs_one_gets_one_and_that_is_said() -> None:
    settings = example()
    assert [group.audit_per_second for group in shares(settings, 3)] == [1, 1, 1]
    assert set(rounded_up(settings, 3)) == {
        "server_groups.app.audit_per_second = 2 is 1 for each of 3 workers, 3 in all",
        "server_groups.app.users.batch.default_pool_size = 2 is 1 for each of 3 workers, 3 in all",
        "server_groups.app.rules r.throttle_concurrency = 1 is 1 for each of 3 workers, 3 in all",
    }
    assert not list(rounded_up(settings, 1))


def test_one_worker_has_all() -> None:
    settings = example()
    assert divide(settings, 1, 1) == settings
    assert divide(settings, 1, 2) != settings
    assert settings == example(), "what was divided is as it was"


def test_pools_that_are_kept_open_are_no_larger_than_pools() -> None:
    for count in range(1, 10):
        for group in shares(example(), count):
            assert group.min_pool_size <= group.default_pool_size


def test_every_number_that_can_be_set_is_divided_or_known_not_to_be() -> None:
    """A new limit must be thought about: one for each process is N times what was set."""
    told = example()
    three = divide(told, 1, 3)
    group, divided = told.server_groups["app"], three.server_groups["app"]
    whole = {
        field.name
        for field in dataclasses.fields(group)
        if isinstance(getattr(group, field.name), int | float)
        and not isinstance(getattr(group, field.name), bool)
        and getattr(group, field.name) == getattr(divided, field.name)
    }
    of_each_connection = {"max_prepared_statements", "unix_socket_mode"}
    of_each_database = {"out_of_band_log_bytes"}  # the same log is kept for all
    of_each_result = {"l2_max_entry_bytes", "l2_compress_above"}
    of_tcp = {"tcp_keepcnt"}
    shares_of_the_whole = {"audit"}
    times = {name for name in whole if isinstance(getattr(group, name), float)}
    assert whole - times == of_each_connection | of_each_database | of_each_result | of_tcp
    assert shares_of_the_whole <= times
    assert {field.name for field in dataclasses.fields(User)} == {
        *("password", "verifier", "pool_mode", "default_pool_size", "min_pool_size")
    }
    assert {
        field.name
        for field in dataclasses.fields(Rule)
        if "Positive" in str(field.type) or "Count" in str(field.type)
    } == {"throttle_rate", "throttle_concurrency"}
    assert divided.users["batch"].pool_mode is PoolMode.SESSION
