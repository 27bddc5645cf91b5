"""What a setting's text can mean: durations, sizes, addresses, permissions, names from a list.

Each kind is a type for the model's fields, a parser, and where the example needs
one, the way back to text. A parser raises ValueError with what is allowed; what
was given is added where the problem is reported, so no parser repeats it.
"""

from __future__ import annotations

import ipaddress
import math
import re
from enum import Enum, unique
from typing import Annotated, Final, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field

CONFIG: Final = ConfigDict(extra="forbid", use_attribute_docstrings=True)
"""Of every table of the file: no other settings, and what is said below one is its description."""

DURATION_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
SIZE_UNITS: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOCAL: Final = "local"
"""What clients of this machine are called that come by a Unix socket."""

LONGEST_REGEX: Final = 1000

SMALLEST_SHARE: Final = 1e-6
"""Where a share is not none at all."""

_LOCAL = re.compile(r"(/[^:\0]*):(\d+)")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


@unique
class PoolMode(Enum):
    """When a server connection goes back to its pool. PgBouncer's names."""

    TRANSACTION = "transaction"
    SESSION = "session"
    STATEMENT = "statement"


@unique
class AuthType(Enum):
    """How clients prove who they are. PgBouncer's names."""

    SCRAM = "scram-sha-256"
    MD5 = "md5"
    PLAIN = "plain"
    CERT = "cert"
    TRUST = "trust"


@unique
class SslMode(Enum):
    """What is asked of TLS. libpq's names."""

    DISABLE = "disable"
    ALLOW = "allow"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"

    @property
    def verifies(self) -> bool:
        """Whether the other side must show a certificate that an authority vouches for."""
        return self in (SslMode.VERIFY_CA, SslMode.VERIFY_FULL)


@unique
class Fencing(Enum):
    """What a member that is gone is kept from writing by."""

    PRIMARY = "primary"
    LEASE = "lease"


@unique
class Transactions(Enum):
    """What is done about BEGIN."""

    LATE = "late"
    PRIMARY = "primary"


@unique
class RepeatableRead(Enum):
    """What is done about transactions in REPEATABLE READ."""

    PRIMARY = "primary"
    VERSIONED = "versioned"


@unique
class PrimaryReads(Enum):
    """When the primary serves reads that a replica may serve too."""

    FALLBACK = "fallback"
    SHARE = "share"


@unique
class OutOfBand(Enum):
    """How writes that do not pass through the proxy are noticed."""

    WATCH = "watch"
    CDC = "cdc"
    STRICT = "strict"
    NONE = "none"


@unique
class RouteTo(Enum):
    """Where a rule sends reads, when it names no server."""

    PRIMARY = "primary"
    REPLICA = "replica"


@unique
class CacheUse(Enum):
    """What a rule says of the cache."""

    NEVER = "never"


@unique
class Engine(Enum):
    """What the servers of a group are."""

    POSTGRES = "postgres"
    MYSQL = "mysql"


@unique
class LogLevel(Enum):
    """From which severity on a line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@unique
class LogFormat(Enum):
    """How a line looks."""

    TEXT = "text"
    JSON = "json"


class Address(NamedTuple):
    """Where to listen or connect.

    The host `*` means all of this machine's addresses; one that begins with / is the folder of a
    Unix socket, as in libpq.
    """

    host: str
    port: int

    @property
    def unix_socket(self) -> str | None:
        """The path of the Unix socket that is meant."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_duration(value: object) -> float:
    """Read "5s", "500ms", "1h30m" or a plain number of seconds."""
    allowed = 'a duration like "500ms", "5s", "2m", "1h30m", or a number of seconds'
    return _parse_amount(value, DURATION_UNITS, allowed)


def parse_size(value: object) -> int:
    """Read "64MiB", "1MB" or a plain number of bytes."""
    allowed = 'a size like "64MiB", "1MB", "512KiB", or a whole number of bytes'
    size = _parse_amount(value, SIZE_UNITS, allowed)
    if size != int(size):
        raise ValueError(allowed)
    return int(size)


def _parse_amount(value: object, units: dict[str, float] | dict[str, int], allowed: str) -> float:
    """Add up "1h30m". A number without a unit stands alone, and counts in the basic one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(allowed)
    if isinstance(value, str):
        value = value.strip()
        parts = _AMOUNT.findall(value)
        if not re.fullmatch(rf"(?:{_AMOUNT.pattern}\s*)+", value):
            raise ValueError(allowed)
        if len(parts) == 1 and not parts[0][1]:
            value = float(parts[0][0])
        elif all(unit in units for _, unit in parts):
            value = math.fsum(float(number) * units[unit] for number, unit in parts)
        else:
            raise ValueError(allowed)
    if not math.isfinite(value) or value < 0:
        raise ValueError(allowed)
    return float(value)


def parse_address(value: object) -> Address:
    """Read "host:port", "[::1]:6432" or "*:6432"."""
    allowed = 'an address like "10.0.0.1:5432", "db.internal:5432", "[::1]:5432" or "*:6432"'
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise ValueError(allowed)
    host, _, port = value.strip().rpartition(":")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65535):
        raise ValueError(allowed)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        ipaddress.IPv6Address(host)
    elif host != "*" and not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise ValueError(allowed)
    return Address(host, int(port))


def parse_server(value: object) -> Address:
    """Read an address to connect to, which may be a Unix socket's: "/var/run/postgresql:5432"."""
    if isinstance(value, str) and (found := _LOCAL.fullmatch(value.strip())) is not None:
        return parse_address(f"*:{found[2]}")._replace(host=found[1])
    return parse_address(value)


def parse_texts(value: object) -> tuple[str, ...]:
    """Read one text, or a list of them."""
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts:
        raise ValueError("a text, or a list of texts that is not empty")
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("a text, or a list of texts, none of them empty")
    return tuple(texts)


def parse_networks(value: object) -> tuple[Network | None, ...]:
    """Read addresses and networks; "local", for Unix sockets, is None."""
    allowed = 'an address or a network like "10.0.0.7", "10.0.0.0/8" or "local", or a list of them'
    if isinstance(value, tuple):
        return value
    try:
        texts = parse_texts(value)
        return tuple(None if text == LOCAL else ipaddress.ip_network(text) for text in texts)
    except ValueError:
        raise ValueError(allowed) from None


def parse_fingerprints(value: object) -> tuple[str, ...]:
    """Read what EXPLAIN ROUTE shows of statements."""
    texts = parse_texts(value)
    if not all(re.fullmatch(r"[0-9a-f]{16}", text) for text in texts):
        raise ValueError("what EXPLAIN ROUTE shows as fingerprint, 16 of 0-9 and a-f, or a list")
    return texts


def parse_tables(value: object) -> tuple[str, ...]:
    """Read names of tables, with their schemas."""
    texts = parse_texts(value)
    if not all(re.fullmatch(r"[^.]+\.[^.]+", text) for text in texts):
        raise ValueError('a table with its schema, like "public.orders", or a list of them')
    return texts


def parse_regex(value: object) -> str:
    """Read a regular expression."""
    if not isinstance(value, str) or not value or len(value) > LONGEST_REGEX:
        raise ValueError(f"a regular expression of up to {LONGEST_REGEX} characters")
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"a regular expression, and this does not compile: {error}") from None
    return value


def parse_route(value: object) -> RouteTo | tuple[Address, ...]:
    """Read "primary", "replica", or the addresses of some servers."""
    allowed = '"primary", "replica", or a list of servers like ["10.0.0.2:5432"]'
    if isinstance(value, RouteTo | tuple):
        return value
    if isinstance(value, str):
        try:
            return RouteTo(value)
        except ValueError:
            raise ValueError(allowed) from None
    if not isinstance(value, list) or not value:
        raise ValueError(allowed)
    try:
        return tuple(map(parse_server, value))
    except ValueError:
        raise ValueError(allowed) from None


def parse_mode(value: object) -> int:
    """Read the permissions of a file, as "0770"."""
    if not isinstance(value, str) or not re.fullmatch(r"0?[0-7]{3}", value.strip()):
        raise ValueError('permissions in quotes, as octal digits, like "0770"')
    return int(value, 8)


def parse_share(value: object) -> float:
    """Read a part of the whole: "0.1%". A number without the sign could be meant either way."""
    text = value.strip() if isinstance(value, str) else "0%" if value == 0 else ""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", text)
    share = float(found[1]) / 100 if found is not None else -1.0
    if isinstance(value, bool) or not (share == 0 or SMALLEST_SHARE <= share <= 1):
        raise ValueError('a share like "0.1%", from "0.0001%" to "100%", or "0%"')
    return share


def parse_switch(value: object) -> bool:
    """Read true, false, "on" or "off"."""
    switches: dict[object, bool] = {"on": True, "off": False, "true": True, "false": False}
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or value not in switches:
        raise ValueError("true or false")
    return switches[value]


def parse_count(value: object) -> int:
    """Read a whole number, also one that came as text from the environment."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def format_mode(mode: int) -> str:
    """Write permissions as `chmod` takes them."""
    return f"{mode:04o}"


def format_share(share: float) -> str:
    """Write a share in percent."""
    return f"{share * 100:g}%"


def format_duration(seconds: float) -> str:
    """Write a duration as it would be written by hand: 90 s stay "90s", 120 are "2m"."""
    for unit in ("d", "h", "m"):
        count, rest = divmod(seconds, DURATION_UNITS[unit])
        if count and not rest:
            return f"{count:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def format_size(size: int) -> str:
    """Write a size in the largest unit that needs no fraction."""
    for unit in ("GiB", "MiB", "KiB"):
        count, rest = divmod(size, SIZE_UNITS[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size}B"


Seconds = Annotated[float, BeforeValidator(parse_duration), "duration"]
Size = Annotated[int, BeforeValidator(parse_size), "size"]
Share = Annotated[float, BeforeValidator(parse_share), "share"]
Switch = Annotated[bool, BeforeValidator(parse_switch), "true or false"]
Texts = Annotated[tuple[str, ...], BeforeValidator(parse_texts), "text or list of texts"]
Networks = Annotated[
    tuple[Network | None, ...], BeforeValidator(parse_networks), "address, network or list of them"
]
Fingerprints = Annotated[
    tuple[str, ...], BeforeValidator(parse_fingerprints), "fingerprint or list of them"
]
Tables = Annotated[tuple[str, ...], BeforeValidator(parse_tables), "table or list of tables"]
Regex = Annotated[str, BeforeValidator(parse_regex), "regular expression"]
Route = Annotated[
    RouteTo | tuple[Address, ...],
    BeforeValidator(parse_route),
    "`primary`, `replica` or list of servers",
]
Mode = Annotated[int, BeforeValidator(parse_mode), "permissions"]
Count = Annotated[int, BeforeValidator(parse_count), Field(ge=0), "number"]
Positive = Annotated[int, BeforeValidator(parse_count), Field(ge=1), "number"]
At = Annotated[Address, BeforeValidator(parse_address), "address"]
ServerAt = Annotated[Address, BeforeValidator(parse_server), "address"]
