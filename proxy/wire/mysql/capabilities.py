"""What a client and a server agree on at login, and what a server says of its state.

Source: "Capabilities Flags" and "Status Flags" in the MySQL source documentation (internals); what
MariaDB adds is in "Connection Phase" of its documentation.
"""

from __future__ import annotations

from typing import Final

LONG_PASSWORD: Final = 1 << 0  # MariaDB: cleared by a server that has capabilities of its own
FOUND_ROWS: Final = 1 << 1
LONG_FLAG: Final = 1 << 2
CONNECT_WITH_DB: Final = 1 << 3
NO_SCHEMA: Final = 1 << 4
COMPRESS: Final = 1 << 5
ODBC: Final = 1 << 6
LOCAL_FILES: Final = 1 << 7
IGNORE_SPACE: Final = 1 << 8
PROTOCOL_41: Final = 1 << 9
INTERACTIVE: Final = 1 << 10
SSL: Final = 1 << 11
IGNORE_SIGPIPE: Final = 1 << 12
TRANSACTIONS: Final = 1 << 13
RESERVED: Final = 1 << 14
SECURE_CONNECTION: Final = 1 << 15
MULTI_STATEMENTS: Final = 1 << 16
MULTI_RESULTS: Final = 1 << 17
PS_MULTI_RESULTS: Final = 1 << 18
PLUGIN_AUTH: Final = 1 << 19
CONNECT_ATTRS: Final = 1 << 20
PLUGIN_AUTH_LENENC_CLIENT_DATA: Final = 1 << 21
CAN_HANDLE_EXPIRED_PASSWORDS: Final = 1 << 22
SESSION_TRACK: Final = 1 << 23
DEPRECATE_EOF: Final = 1 << 24
OPTIONAL_RESULTSET_METADATA: Final = 1 << 25
ZSTD_COMPRESSION: Final = 1 << 26
QUERY_ATTRIBUTES: Final = 1 << 27
MULTI_FACTOR_AUTHENTICATION: Final = 1 << 28

# MariaDB's own, in a second word of 32 bits.
MARIADB_PROGRESS: Final = 1 << 32
MARIADB_COM_MULTI: Final = 1 << 33
MARIADB_BULK: Final = 1 << 34
MARIADB_EXTENDED_METADATA: Final = 1 << 35
MARIADB_CACHE_METADATA: Final = 1 << 36
MARIADB_BULK_UNIT_RESULTS: Final = 1 << 37

# What a server says of its state, in OK and EOF packets.
STATUS_IN_TRANS: Final = 0x0001
STATUS_AUTOCOMMIT: Final = 0x0002
STATUS_MORE_RESULTS: Final = 0x0008
STATUS_NO_GOOD_INDEX: Final = 0x0010
STATUS_NO_INDEX: Final = 0x0020
STATUS_CURSOR_EXISTS: Final = 0x0040
STATUS_LAST_ROW_SENT: Final = 0x0080
STATUS_DB_DROPPED: Final = 0x0100
STATUS_NO_BACKSLASH_ESCAPES: Final = 0x0200
STATUS_METADATA_CHANGED: Final = 0x0400
STATUS_QUERY_WAS_SLOW: Final = 0x0800
STATUS_PS_OUT_PARAMS: Final = 0x1000
STATUS_IN_TRANS_READONLY: Final = 0x2000
STATUS_SESSION_STATE_CHANGED: Final = 0x4000
STATUS_ANSI_QUOTES: Final = 0x8000  # MariaDB
