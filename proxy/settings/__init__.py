"""The TOML file, as one validated model."""

from proxy.settings.load import load, parse, secrets
from proxy.settings.model import Admin, Fleet, Log, ServerGroup, Settings, User
from proxy.settings.values import (
    Address,
    AuthType,
    Engine,
    LogFormat,
    LogLevel,
    OutOfBand,
    PoolMode,
    PrimaryReads,
    SslMode,
)
from proxy.types import Consistency

__all__ = [
    "Address",
    "Admin",
    "AuthType",
    "Consistency",
    "Engine",
    "Fleet",
    "Log",
    "LogFormat",
    "LogLevel",
    "OutOfBand",
    "PoolMode",
    "PrimaryReads",
    "ServerGroup",
    "Settings",
    "SslMode",
    "User",
    "load",
    "parse",
    "secrets",
]
