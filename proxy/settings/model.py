"""What can be set, with the default and the reason for each.

The text below a field is what `tidegate config example` and docs/settings.md say
of it. Names that PgBouncer has mean what they mean there. Every field has a
default, so that a check of the whole can go on behind a mistake; what can't be
left out is said by `checks`.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr
from pydantic.dataclasses import dataclass, is_pydantic_dataclass
from pydantic.fields import FieldInfo

from proxy.settings.function import Function
from proxy.settings.rule import Rule
from proxy.settings.values import (
    CONFIG,
    Address,
    At,
    AuthType,
    Count,
    Engine,
    Fencing,
    LogFormat,
    LogLevel,
    Mode,
    OutOfBand,
    PoolMode,
    Positive,
    PrimaryReads,
    RepeatableRead,
    Seconds,
    ServerAt,
    Share,
    Size,
    SslMode,
    Switch,
    Transactions,
    parse_count,
)
from proxy.types import Consistency

AUTH_QUERY: Final = (
    "SELECT rolname, CASE WHEN rolvaliduntil <= now() THEN NULL ELSE rolpassword END"
    " FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin"
)

File = Annotated[Path, "file"]
Folder = Annotated[Path, "folder"]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class User:
    """A user with something of its own. Users need not be listed to log in."""

    password: SecretStr | None = None
    """The password, when it shall not be read from the servers with `auth_query`."""

    verifier: SecretStr | None = None
    """In place of `password`: what PostgreSQL stores of it (`SCRAM-SHA-256$...`, `md5...`)."""

    pool_mode: PoolMode | None = None
    """The group's `pool_mode`, when not set."""

    default_pool_size: Positive | None = None
    """The group's `default_pool_size`, when not set."""

    min_pool_size: Count | None = None
    """The group's `min_pool_size`, when not set."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class ServerGroup:
    """Servers that hold one data set: a primary and its replicas, behind one port."""

    name: str = ""

    engine: Engine = Engine.POSTGRES
    """What the servers are; MariaDB is `mysql` too."""

    listen: At = Address("127.0.0.1", 6432)
    """Where clients connect. `*` for the host listens on all addresses. With `engine = "mysql"` the
    default is `127.0.0.1:6033`."""

    unix_socket_dir: Folder | None = None
    """The folder of a Unix socket for clients of this machine, beside the address; its name is
    `.s.PGSQL.` and the port of `listen`, as libpq expects. Settings of TLS do not concern it."""

    unix_socket_mode: Mode = 0o777
    """The permissions of that socket: who may write to it may connect."""

    servers: tuple[ServerAt, ...] = ()
    """The servers, in any order: which one is the primary is asked, and asked again. One of this
    machine may be given by the folder of its Unix socket, as `/var/run/postgresql:5432`."""

    auth_user: str = ""
    """The control user: reads verifiers, positions and the catalog. The rights that it needs are
    in docs/operating.md, as SQL."""

    auth_password: SecretStr | None = None
    """Its password. `${NAME}` takes any text from the environment."""

    auth_database: str = "postgres"
    """The database the control user connects to."""

    auth_query: str = AUTH_QUERY
    """How a client's verifier is found: one row, the name and what is stored of the password."""

    auth_type: AuthType = AuthType.SCRAM
    """How clients log in. With `scram-sha-256` their own login is carried on to the servers, and no
    password is stored anywhere; `plain` is the password in clear, and so needs TLS."""

    users: dict[str, User] = field(default_factory=dict)
    """Users with a password or a pool of their own."""

    functions: dict[str, Function] = field(default_factory=dict)
    """Functions of which it is said here what they read and write, such as those in C or with SQL
    that is made as text. Each is named `schema.name`, which stands for all of its overloads; what
    is said is believed, and not compared with anything."""

    pool_mode: PoolMode = PoolMode.TRANSACTION
    """When a server connection goes back to the pool: at the end of the client's transaction,
    session or statement. A client that needs it for longer (LISTEN, a temporary table) keeps it."""

    default_pool_size: Positive = 20
    """Server connections for each server, user and database."""

    min_pool_size: Count = 0
    """How many of them are kept open when nobody needs them."""

    reserve_pool_size: Count = 0
    """How many more may be opened for clients that wait for too long."""

    reserve_pool_timeout: Seconds = 5.0
    """How long is too long."""

    max_client_conn: Positive = 10_000
    """Clients at a time. The open files of the process must suffice for them and for the server
    connections; `tidegate check` says when they don't."""

    max_prepared_statements: Count = 200
    """Named prepared statements kept on each server connection; the least used one makes room."""

    query_wait_timeout: Seconds = 120.0
    """How long a client waits for a server connection, or for a primary; then it gets an error."""

    client_login_timeout: Seconds = 60.0
    """How long a login may take."""

    client_idle_timeout: Seconds = 0.0
    """How long a client may be silent outside a transaction before it is closed. 0: for ever."""

    idle_transaction_timeout: Seconds = 0.0
    """How long a client may be silent inside a transaction before it is closed. 0: for ever."""

    server_connect_timeout: Seconds = 5.0
    """How long a connection to a server may take, login included."""

    server_login_retry: Seconds = 5.0
    """How long to wait after a server could not be reached, or had no room, before the next try."""

    server_idle_timeout: Seconds = 600.0
    """After how long a server connection that nobody needs is closed. 0: never."""

    server_lifetime: Seconds = 3600.0
    """At what age a server connection is closed once it is free, more or less. 0: never."""

    client_tls_sslmode: SslMode = SslMode.PREFER
    """What is asked of clients. `prefer` offers TLS once there is a certificate; `require` refuses
    clients without it; `verify-ca` and `verify-full` want a certificate from them."""

    client_tls_cert_file: File | None = None
    """The certificate shown to clients, with its chain (PEM)."""

    client_tls_key_file: File | None = None
    """Its private key (PEM)."""

    client_tls_ca_file: File | None = None
    """The authorities whose certificates clients may show (PEM)."""

    server_tls_sslmode: SslMode = SslMode.PREFER
    """What is asked of servers, as in libpq."""

    server_tls_ca_file: File | None = None
    """The authorities that vouch for the servers (PEM)."""

    server_tls_cert_file: File | None = None
    """The certificate shown to servers that want one (PEM)."""

    server_tls_key_file: File | None = None
    """Its private key (PEM)."""

    consistency: Consistency = Consistency.STRONG
    """What reads may count on, where no rule and no client says otherwise. `strong`: each equals a
    read on the primary at some instant between request and reply; `session`: a client sees what it
    wrote and never goes back in time; `bounded`: nothing older than `max_staleness`; `eventual`:
    whatever a replica has. docs/freshness.md, "Contracts"."""

    max_staleness: Seconds = 1.0
    """How old what a read sees may be, unless `consistency` is `strong`. With `eventual` it is how
    old a cached result may be."""

    transactions: Transactions = Transactions.LATE
    """What is done about BEGIN. `late`: it is kept until the first statement that writes, locks or
    is not proven to be a read, and reads in front of that are served like any others; `primary`:
    the whole transaction is served by the primary."""

    repeatable_read: RepeatableRead = RepeatableRead.PRIMARY
    """Where transactions in REPEATABLE READ are served. `primary`; `versioned`: their BEGIN is kept
    too, and reads in front of the first write are served like any others for as long as none of
    the tables that were read has been written since; else the client gets 40001, to try again."""

    primary_reads: PrimaryReads = PrimaryReads.FALLBACK
    """When the primary serves reads that a replica may serve too: `fallback`: only when no replica
    may; `share`: whenever it is the fastest."""

    out_of_band: OutOfBand = OutOfBand.WATCH
    """Writes that do not pass through the proxy. `watch`: the servers' own counters for each table
    are compared, and a change is treated as a commit; `cdc`: the primary's log is read besides,
    which tells of them within milliseconds (PostgreSQL with `wal_level = logical`; MariaDB and
    MySQL with `binlog_format = ROW`, MySQL with `gtid_mode = ON` too); `strict`: each read waits
    until the log has been read up to where it was then; `none`: the promise that there are none.
    docs/freshness.md, "Writes that do not pass through the proxy"."""

    out_of_band_interval: Seconds = 1.0
    """How often they are compared. PostgreSQL itself counts a write late: within a second on a busy
    connection, up to ten on an idle one, not at all while it stays inside its next transaction."""

    out_of_band_log_bytes: Size = 2**30
    """With `cdc` and `strict`: how much of its log PostgreSQL may keep for us, for each database.
    Beyond that, as behind a transaction that stays open for hours, reading it is given up for a
    while."""

    audit: Share = 0.0
    """The share of fast reads (cache hits and replicas' answers) that is repeated on the primary
    and compared, as a check of this very installation; `0.1%` is plenty. A difference takes the
    tables back to the primary. `0%`: none, since it has the primary do what it was spared, and
    whoever wants that should know what it means when it fires: docs/operating.md."""

    audit_per_second: Positive = 10
    """The most reads that are repeated within a second, one after the other, and only while a
    server connection is idle."""

    cache: Switch = True
    """Whether results are kept in memory."""

    cache_size_bytes: Size = 64 * 2**20
    """The memory for results."""

    max_entry_bytes: Size = 256 * 2**10
    """The largest result that is kept."""

    single_flight: Switch = True
    """Whether identical reads that miss at the same time share one trip to a server: in the whole
    fleet, where it has a second level and the server takes long."""

    cache_url: SecretStr | None = None
    """Where results are looked for that are not in memory: Redis, Valkey or ElastiCache, as
    `redis://user:password@host:6379/0`, `rediss://...` with TLS, `unix:///path/to/socket`, or
    `redis+sentinel://user:password@host:26379,host:26379/NAME/0` for the primary that Sentinels
    call so. It is believed nothing: docs/second-level.md."""

    cache_cluster: Switch = False
    """Whether that is in cluster mode, as ElastiCache Serverless always is."""

    l2_timeout: Seconds = 0.005
    """How long a statement waits for it at most. What is slower than that is not asked at all."""

    l2_ttl: Seconds = 3600.0
    """After how long it forgets a result; what is outdated until then is found to be so."""

    l2_max_entry_bytes: Size = 256 * 2**10
    """The largest result that is kept there; nothing above `max_entry_bytes` is."""

    l2_compress_above: Size = 4 * 2**10
    """From which size on results are compressed for it."""

    health_check_interval: Seconds = 1.0
    """How often each server is asked for its role and position."""

    ban_time: Seconds = 5.0
    """How long a replica that failed gets no statements. Then it must answer a check first."""

    tcp_keepalive: Switch = True
    """Whether the system checks that the other ends of idle connections are there."""

    tcp_keepidle: Seconds = 0.0
    """After how long of silence it starts to. 0: the system's default."""

    tcp_keepintvl: Seconds = 0.0
    """The time between two checks. 0: the system's default."""

    tcp_keepcnt: Count = 0
    """After how many checks without an answer the connection is lost. 0: the system's default."""

    tcp_user_timeout: Seconds = 0.0
    """How long sent data may go without acknowledgement. 0: the system's default."""

    rules: Annotated[tuple[Rule, ...], "list of tables"] = ()
    """What is done otherwise with some statements. Read again on SIGHUP."""

    @property
    def unix_socket(self) -> Path | None:
        """The file that clients of this machine connect by."""
        folder = self.unix_socket_dir
        return folder and folder / f".s.PGSQL.{self.listen.port}"

    def pool_mode_of(self, user: str) -> PoolMode:
        listed = self.users.get(user)
        return (listed and listed.pool_mode) or self.pool_mode

    def pool_size_of(self, user: str) -> int:
        listed = self.users.get(user)
        return (listed and listed.default_pool_size) or self.default_pool_size

    def min_pool_size_of(self, user: str) -> int:
        listed = self.users.get(user)
        if listed is None or listed.min_pool_size is None:
            return self.min_pool_size
        return listed.min_pool_size


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Admin:
    """What operators and their machines ask, over HTTP."""

    listen: At = Address("127.0.0.1", 9127)
    """Where /metrics, /healthz and /readyz are answered."""


MOST_WORKERS: Final = 64
"""Workers of one host: each has its own connections to the servers, and a part of every limit."""

STREAMS: Final = ("stderr", "stdout")
"""Destinations of the log that are no files."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Log:
    """What is written down."""

    level: LogLevel = LogLevel.INFO
    """From which severity on. `info` has one line for each connection, at its end."""

    format: LogFormat = LogFormat.TEXT
    """`text`: key=value pairs; `json`: one object a line."""

    destination: str = "stderr"
    """`stderr`, `stdout`, or a file that is appended to."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Fleet:
    """Several proxies in front of the same servers, as one: docs/fleet.md."""

    name: str = "tidegate"
    """What its members have in common, besides the names of their server groups. Fleets that share
    a bus need a name each."""

    bus_url: SecretStr | None = None
    """What carries their words. `redis://user:password@host:6379` for Redis, Valkey or ElastiCache,
    in cluster mode or not, `rediss://...` with TLS,
    `redis+sentinel://user:password@host:26379,host:26379/NAME` for the primary that Sentinels call
    so; `unix:///path/to/folder` for proxies on one host, with nothing to install: the folder is
    made, and must be their user's alone."""

    fencing: Fencing = Fencing.PRIMARY
    """How it is made sure that a member that is given up writes nothing any more. `primary`: its
    server connections are ended, and seen gone, which takes a right. `lease`: it sends no commit
    unless the primary has said within the last two seconds that it is a member; where its
    connections can't be ended, the others wait that out, and then until `fencing_margin` has passed
    in which each of them was at rest. What that assumes is in docs/operating-fleets.md."""

    fencing_margin: Seconds = 10.0
    """With `fencing = "lease"`, the time within which what a member has sent is at the primary, or
    never gets there. The system keeps to it: a server that takes nothing of what is sent for so
    long has its connection broken."""


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Settings:
    """The whole file. What is in no table comes before the first one."""

    workers: Annotated[
        int, BeforeValidator(parse_count), Field(ge=1, le=MOST_WORKERS), "number"
    ] = 1
    """How many processes serve the clients of this host, each on a core of its own. They listen on
    the same addresses, and what is limited here is divided among them: docs/workers.md."""

    server_groups: dict[str, ServerGroup] = field(default_factory=dict)

    fleet: Fleet = field(default_factory=Fleet)

    admin: Admin = field(default_factory=Admin)

    log: Log = field(default_factory=Log)


SECTIONS: Final = {
    "engine": "What is served",
    "auth_user": "Logging in",
    "pool_mode": "Pools",
    "query_wait_timeout": "Time limits",
    "client_tls_sslmode": "TLS",
    "consistency": "Freshness",
    "audit": "Audit",
    "cache": "Cache",
    "health_check_interval": "Watching the servers",
    "tcp_keepalive": "TCP",
}
"""The headings of a server group's settings, by the first setting below each."""


def fields_of(table: type[object]) -> dict[str, FieldInfo]:
    """Return the settings of one of the classes above, with what is said of each."""
    assert is_pydantic_dataclass(table)
    return {
        name: field
        for name, field in table.__pydantic_fields__.items()
        if name != "name" or field.description
    }
