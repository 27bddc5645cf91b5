"""What another configuration has otherwise, and which of it counts without a restart."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from proxy.settings.model import Settings

FOLLOWED: Final = frozenset(("rules", "consistency", "max_staleness", "audit", "audit_per_second"))
"""Settings of a server group that count as soon as they are read again."""

WHOLE: Final = ("workers", "fleet", "admin", "log")
"""Settings that are no server group's; none of them counts without a restart."""


def differences(running: Settings, wanted: Settings) -> list[str]:
    """Name the settings that another configuration has otherwise, to no effect."""
    found = [name for name in WHOLE if getattr(running, name) != getattr(wanted, name)]
    groups, others = running.server_groups, wanted.server_groups
    for name in sorted({*groups, *others}):
        if name not in groups or name not in others:
            found.append(f"server_groups.{name}")
            continue
        found += [
            f"server_groups.{name}.{each.name}"
            for each in fields(groups[name])
            if each.name not in FOLLOWED
            and getattr(groups[name], each.name) != getattr(others[name], each.name)
        ]
    return found
