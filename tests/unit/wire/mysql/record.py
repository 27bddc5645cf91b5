"""Record what real servers answer. Run by hand: `python record.py PORT NAME`.

The server must let `root` in without a password. A reply is taken for whole when nothing more
has come for a while: what is recorded must not depend on what is tested with it. The recordings
in `conversations` were made of MariaDB 10.11.19 and MySQL 9.7.4, with binary logs, GTIDs and
local_infile on.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from proxy.wire.mysql import capabilities as c
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import packet

QUIET = 0.25

BASE = (
    c.LONG_PASSWORD
    | c.LONG_FLAG
    | c.LOCAL_FILES
    | c.PROTOCOL_41
    | c.TRANSACTIONS
    | c.SECURE_CONNECTION
    | c.MULTI_STATEMENTS
    | c.MULTI_RESULTS
    | c.PS_MULTI_RESULTS
    | c.PLUGIN_AUTH
)
NEW = BASE | c.SESSION_TRACK | c.DEPRECATE_EOF

Step = tuple[int, bytes] | bytes


def query(text: str) -> Step:
    return commands.QUERY, text.encode()


def prepare(text: str) -> Step:
    return commands.STMT_PREPARE, text.encode()


def execute(number: int, flags: int = 0, rest: bytes = b"") -> Step:
    body = number.to_bytes(4, "little") + bytes((flags,)) + b"\1\0\0\0" + rest
    return commands.STMT_EXECUTE, body


def fetch(number: int, rows: int) -> Step:
    return commands.STMT_FETCH, number.to_bytes(4, "little") + rows.to_bytes(4, "little")


def numbered(code: int, number: int = 1) -> Step:
    return code, number.to_bytes(4, "little")


SETUP = [
    "drop database if exists recorded",
    "create database recorded",
    "use recorded",
    "create table t (a int primary key auto_increment, b varchar(20)) engine=innodb",
    "insert into t values (1, 'one'), (2, ''), (3, null)",
    "create procedure two() begin select 1 as x; select a, b from t; end",
    "create procedure outs(in i int, out o int) begin set o = i + 1; select i; end",
]

NUMBERED = (
    commands.STMT_EXECUTE,
    commands.STMT_BULK_EXECUTE,
    commands.STMT_FETCH,
    commands.STMT_RESET,
    commands.STMT_CLOSE,
)
"""Their first argument is which of the statements prepared is meant, counted from 1."""

ONE_LONG = b"\0\1\x03\0\x05\0\0\0"
"""Nothing is NULL, types follow: one int, 5."""

USUAL: dict[str, list[Step]] = {
    "rows": [
        query("select a, b from t order by a"),
        query("select a from t where a > 5"),
        query("select '' as e, 1"),
        query("select null, 1"),
    ],
    "wide": [query("select " + ",".join("1" for _ in range(300)))],
    "changes": [
        query("insert into t (b) values ('four')"),
        query("update t set b = 'x' where a > 3"),
        query("delete from t where a > 3"),
    ],
    "errors": [
        query("select nothing from nowhere"),
        query("select 1; select nothing from nowhere; select 2"),
        query("select (select a from t)"),
        prepare("select nothing from nowhere"),
        execute(77),
    ],
    "several": [
        query("select 1; do 2; select a, b from t; set @x = 1"),
        query("call two()"),
        query(""),
    ],
    "transactions": [
        query("begin"),
        query("insert into t (b) values ('y')"),
        query("commit"),
        query("start transaction read only"),
        query("select a from t limit 1"),
        query("rollback"),
        query("set autocommit = 0"),
        query("set autocommit = 1"),
        query("delete from t where a > 3"),
    ],
    "tracked": [
        query("use mysql"),
        (commands.INIT_DB, b"recorded"),
        (commands.INIT_DB, b"nowhere"),
        query("set names latin1"),
        query("set time_zone = '+01:00', sql_mode = ''"),
        query("set @a = 1"),
        query("create temporary table tt (a int)"),
    ],
    "prepared": [
        prepare("select a, b from t where a >= ?"),
        execute(1, rest=ONE_LONG[:4] + b"\2\0\0\0"),
        execute(1, rest=b"\0\0\1\0\0\0"),
        numbered(commands.STMT_RESET),
        numbered(commands.STMT_CLOSE),
        prepare("insert into t (b) values ('z')"),
        prepare("delete from t where a > ?"),
        prepare("call outs(?, ?)"),
    ],
    "cursors": [
        prepare("select a, b from t"),
        execute(1, 1),
        fetch(1, 2),
        fetch(1, 2),
        fetch(1, 2),
        execute(1, 1),
        numbered(commands.STMT_RESET),
    ],
    "out parameters": [
        prepare("call outs(?, ?)"),
        execute(1, rest=b"\0\1\x03\0\x03\0\x05\0\0\0\x06\0\0\0"),
    ],
    "file": [
        query("load data local infile 'x' into table t (b)"),
        packet(2, b"five\nsix\n") + packet(3, b""),
        query("do 1; load data local infile 'x' into table t (b)"),
        packet(3, b"seven\n") + packet(4, b""),
        query("delete from t where a > 3"),
    ],
    "others": [
        (commands.PING, b""),
        (commands.STATISTICS, b""),
        (commands.FIELD_LIST, b"t\0%"),
        (commands.FIELD_LIST, b"nowhere\0"),
        (commands.PROCESS_INFO, b""),
        (commands.SET_OPTION, b"\0\0"),
        (commands.DEBUG, b""),
        (commands.RESET_CONNECTION, b""),
        (commands.CHANGE_USER, b"root\0\0recorded\0\x21\0mysql_native_password\0"),
        packet(2, b""),
        (commands.DAEMON, b""),
        (commands.BINLOG_DUMP, b"\4\0\0\0\1\0\x63\0\0\0nowhere"),
    ],
}

OPTIONAL: dict[str, list[Step]] = {
    "optional metadata": [
        query("select a, b from t"),
        prepare("select a, b from t where a >= ?"),
        query("set resultset_metadata = none"),
        query("select a, b from t"),
        prepare("select a, b from t where a >= ?"),
        execute(2, rest=ONE_LONG[:4] + b"\1\0\0\0"),
    ]
}

ATTRIBUTES: dict[str, list[Step]] = {
    "attributes": [
        (commands.QUERY, b"\1\1\0\1\xfd\0\4name\5valueselect 1"),
        (commands.QUERY, b"\0\1select 2"),
        prepare("select ?"),
        execute(1, 8, b"\2\0\1\x03\0\0\xfd\0\4name\7\0\0\0\5value"),
        execute(1, 8, b"\1\0\1\x03\0\0\7\0\0\0"),
        execute(1, 0, b"\0\1\x03\0\0\7\0\0\0"),
        execute(1, 0, b"\1\0\1\x03\0\0\7\0\0\0"),
        execute(1, 8, b"\1\0\0\7\0\0\0"),
    ]
}

CACHED: dict[str, list[Step]] = {
    "cached metadata": [
        query("select a, b from t"),
        prepare("select a, b from t where a >= ?"),
        execute(1, rest=ONE_LONG[:4] + b"\2\0\0\0"),
        execute(1, rest=b"\0\0\1\0\0\0"),
    ]
}

BULK: dict[str, list[Step]] = {
    "bulk": [
        prepare("insert into t (b) values (?)"),
        (commands.STMT_BULK_EXECUTE, b"\1\0\0\0\x80\0\xfd\0\0\3one\0\3two\1"),
        query("delete from t where a > 3"),
    ],
    "prepared file": [
        prepare("load data local infile 'x' into table t (b)"),
        execute(1),
        packet(2, b"five\nsix\n") + packet(3, b""),
        query("delete from t where a > 3"),
    ],
    "progress": [
        query("alter table t engine = aria, algorithm = copy"),
        query("alter table t engine = innodb, algorithm = copy"),
    ],
}


class Connection:
    def __init__(self, port: int, agreed: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(QUIET)
        greeting = self.heard()
        version_end = greeting.index(b"\0", 5)
        low = int.from_bytes(greeting[version_end + 14 : version_end + 16], "little")
        high = int.from_bytes(greeting[version_end + 19 : version_end + 21], "little")
        offered = low | high << 16
        if not offered & c.LONG_PASSWORD:
            own = int.from_bytes(greeting[version_end + 28 : version_end + 32], "little")
            offered |= own << 32
            agreed &= ~c.LONG_PASSWORD
        assert agreed & ~offered == 0, hex(agreed & ~offered)
        self.agreed = agreed
        self.statements: dict[int, bytes] = {}  # the server's ids, by the order of preparing
        answer = (agreed & 0xFFFF_FFFF).to_bytes(4, "little") + (1 << 30).to_bytes(4, "little")
        answer += b"\x2d" + bytes(19) + (agreed >> 32).to_bytes(4, "little")
        self.socket.sendall(packet(1, answer + b"root\0\0mysql_native_password\0"))
        welcome = self.heard()
        if welcome[4] == 0xFE:
            self.socket.sendall(packet(welcome[3] + 1, b""))
            welcome = self.heard()
        assert b"\0\0\0\2\0\0\0" in welcome, welcome

    def heard(self) -> bytes:
        pieces = []
        while True:
            try:
                pieces.append(self.socket.recv(1 << 20))
            except TimeoutError:
                return b"".join(pieces)
            if not pieces[-1]:
                return b"".join(pieces)

    def ask(self, step: Step) -> tuple[bytes, bytes]:
        if isinstance(step, bytes):
            said = step
        else:
            code, body = step
            if code in NUMBERED:
                number = body[:4]
                body = self.statements.get(number[0], number) + body[4:]
            said = packet(0, bytes((code,)) + body)
        self.socket.sendall(said)
        heard = self.heard()
        if not isinstance(step, bytes) and step[0] == commands.STMT_PREPARE and not heard[4]:
            self.statements[len(self.statements) + 1] = heard[5:9]
        return said, heard


def main() -> None:
    port, name = int(sys.argv[1]), sys.argv[2]
    setup = Connection(port, NEW)
    for text in SETUP:
        _, reply = setup.ask(query(text))
        assert reply[4] == 0, reply
    groups = [("new", NEW, USUAL), ("old", BASE, USUAL)]
    groups.append(("untracked", NEW & ~c.SESSION_TRACK, {"changes": USUAL["changes"]}))
    if name == "mysql":
        groups += [
            ("new", NEW | c.OPTIONAL_RESULTSET_METADATA, OPTIONAL),
            ("old", BASE | c.OPTIONAL_RESULTSET_METADATA, OPTIONAL),
            ("new", NEW | c.QUERY_ATTRIBUTES, ATTRIBUTES),
        ]
    else:
        own = c.MARIADB_BULK | c.MARIADB_PROGRESS
        groups += [
            ("new", NEW | c.MARIADB_CACHE_METADATA, CACHED),
            ("old", BASE | c.MARIADB_CACHE_METADATA, CACHED),
            ("new", NEW | own, BULK),
            ("extended", NEW | c.MARIADB_EXTENDED_METADATA, {"rows": USUAL["rows"][:1]}),
        ]
    lines = []
    for kind, agreed, conversations in groups:
        for title, steps in conversations.items():
            connection = Connection(port, agreed)
            connection.ask(query("use recorded"))
            if agreed & c.SESSION_TRACK:
                tracked = "autocommit,character_set_client,time_zone,sql_mode"
                if name == "mariadb":
                    tracked += ",last_gtid"
                connection.ask(
                    query(
                        f"set session_track_system_variables = '{tracked}',"
                        " session_track_state_change = 1,"
                        " session_track_transaction_info = 'CHARACTERISTICS'"
                    )
                )
            if "progress" in title:
                connection.ask(query("set progress_report_time = 0.01"))
            lines.append(f"= {kind} {title} {connection.agreed:#x}")
            for step in steps:
                said, heard = connection.ask(step)
                lines += [f"> {said.hex()}", f"< {heard.hex()}"]
    folder = Path(__file__).parent / "conversations"
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
