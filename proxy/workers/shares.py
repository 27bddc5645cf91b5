"""What each worker may have of what the settings allow the host. Pure.

A limit is divided, so that all workers together stay within it: 20 connections among 3 workers are
7, 7 and 6. Where each of them needs one at least, the sum may be above what was set; who starts
them says so (`rounded_up`).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Final, TypeVar

from proxy.settings.model import ServerGroup, Settings, User
from proxy.settings.rule import Rule, label

T = TypeVar("T")

NEEDED: Final = ("default_pool_size", "max_client_conn", "audit_per_second", "cache_size_bytes")
"""Of a group: without any, a worker could do nothing, or not what is asked for."""

SPARED: Final = ("min_pool_size", "reserve_pool_size")
"""Of a group: a worker may do without."""

THROTTLES: Final = ("throttle_rate", "throttle_concurrency")
"""Of a rule: each worker lets one through at least."""


def share(total: int, number: int, count: int) -> int:
    """Divide a limit.

    Args:
        total: Of all.
        number: Whose share it is, from 1.
        count: Of workers. Who comes first has what does not divide.
    """
    return total // count + (number <= total % count)


def divide(settings: Settings, number: int, count: int) -> Settings:
    """Return the settings of one worker.

    Args:
        settings: Of the host.
        number: Of the worker, from 1.
        count: Of workers.
    """
    groups = {
        name: _divide_group(group, number, count) for name, group in settings.server_groups.items()
    }
    return _changed(settings, {"server_groups": groups})


def rounded_up(settings: Settings, count: int) -> Iterator[str]:
    """Say which limits the workers together are above, as each has one at least."""
    for name, group in settings.server_groups.items():
        where = f"server_groups.{name}"
        for setting in NEEDED:
            yield from _rounded_up(f"{where}.{setting}", getattr(group, setting), count)
        for user, own in group.users.items():
            size = own.default_pool_size
            yield from _rounded_up(f"{where}.users.{user}.default_pool_size", size, count)
        for place, rule in enumerate(group.rules):
            for setting in THROTTLES:
                limit = getattr(rule, setting)
                yield from _rounded_up(
                    f"{where}.rules {label(rule, place)}.{setting}", limit, count
                )


def _rounded_up(where: str, limit: int | None, count: int) -> Iterator[str]:
    if limit is not None and limit < count:
        yield f"{where} = {limit} is 1 for each of {count} workers, {count} in all"


def _divide_group(group: ServerGroup, number: int, count: int) -> ServerGroup:
    changes: dict[str, object] = {
        **{name: max(1, share(getattr(group, name), number, count)) for name in NEEDED},
        **{name: share(getattr(group, name), number, count) for name in SPARED},
        "users": {name: _divide_user(user, number, count) for name, user in group.users.items()},
        "rules": tuple(_divide_rule(rule, number, count) for rule in group.rules),
    }
    divided = _changed(group, changes)
    # What no worker's memory can hold isn't kept.
    largest = min(group.max_entry_bytes, divided.cache_size_bytes)
    return _changed(divided, {"max_entry_bytes": largest})


def _divide_user(user: User, number: int, count: int) -> User:
    changes: dict[str, object] = {}
    if user.default_pool_size is not None:
        changes["default_pool_size"] = max(1, share(user.default_pool_size, number, count))
    if user.min_pool_size is not None:
        changes["min_pool_size"] = share(user.min_pool_size, number, count)
    return _changed(user, changes)


def _divide_rule(rule: Rule, number: int, count: int) -> Rule:
    return _changed(
        rule,
        {
            name: max(1, share(limit, number, count))
            for name in THROTTLES
            if (limit := getattr(rule, name)) is not None
        },
    )


def _changed(table: T, changes: dict[str, object]) -> T:
    """Copy a table of settings with some of them otherwise.

    Not by `replace`, which would have values read as if they were a file's texts.
    """
    changed = copy(table)
    for name, value in changes.items():
        object.__setattr__(changed, name, value)
    return changed
