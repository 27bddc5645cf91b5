"""What MySQL and MariaDB write to their slow query logs, as they did when they were asked."""

from __future__ import annotations

from proxy.doctor.events import Unread
from proxy.doctor.mysql.slow_log import LONGEST, read_slow_log
from proxy.doctor.ways import Total

MYSQL = """\
/usr/sbin/mysqld, Version: 9.7.4 (Source distribution). started with:
Tcp port: 3306  Unix socket: /run/mysqld.sock
Time                 Id Command    Argument
# Time: 2026-11-27T15:48:52.341843Z
# User@Host: app[app] @  [127.0.0.1]  Id:    18
# Query_time: 0.000130  Lock_time: 0.000000 Rows_sent: 0  Rows_examined: 0
use shop;
SET timestamp=1795794532;
SET NAMES utf8mb4;
# Time: 2026-11-27T15:48:52.345479Z
# User@Host: app[app] @  [127.0.0.1]  Id:    18
# Query_time: 0.002810  Lock_time: 0.000010 Rows_sent: 0  Rows_examined: 0
SET timestamp=1795794532;
SELECT a
FROM orders
# Time: x
WHERE id = 1;
# Time: 2026-11-27T15:48:52.493593Z
# User@Host: app[app] @  [127.0.0.1]  Id:    19
# Query_time: 0.000490  Lock_time: 0.000000 Rows_sent: 0  Rows_examined: 0
SET timestamp=1795794532;
# administrator command: Prepare;
# Time: 2026-11-27T15:48:52.350663Z
# User@Host: ann[ann] @ db [127.0.0.1]  Id:    18
# Query_time: 0.5  Lock_time: 0.000004 Rows_sent: 0  Rows_examined: 0
use other;
SET last_insert_id=3,timestamp=1795794532;
INSERT INTO orders VALUES (1,'a;
b');
"""

MARIADB = """\
# Time: 261127 15:48:41
# User@Host: app[app] @  [127.0.0.1]
# Thread_id: 17  Schema: shop  QC_hit: No
# Query_time: 0.000301  Lock_time: 0.000094  Rows_sent: 0  Rows_examined: 0
# Rows_affected: 1  Bytes_sent: 11
use `shop`;
SET timestamp=1795794521;
SELECT 1;
# User@Host: root[root] @ localhost []
# Thread_id: 19  Schema:   QC_hit: No
# Query_time: 0.000114  Lock_time: 0.000000  Rows_sent: 1  Rows_examined: 0
# Rows_affected: 0  Bytes_sent: 56
SET timestamp=1795794522;
SELECT 2;
"""


def read(text: str) -> tuple[list[Total], Unread]:
    unread = Unread()
    return list(read_slow_log(text.splitlines(keepends=True), "slow.log", unread)), unread


def test_mysqls_statements_are_where_the_last_use_was() -> None:
    totals, unread = read(MYSQL)
    assert totals == [
        Total("SET NAMES utf8mb4", "app", "shop", 1, 0.00013),
        Total("SELECT a\nFROM orders\n# Time: x\nWHERE id = 1", "app", "shop", 1, 0.00281),
        Total("INSERT INTO orders VALUES (1,'a;\nb')", "ann", "other", 1, 0.5),
    ]
    assert not unread.count


def test_mariadbs_say_where_they_are() -> None:
    totals, unread = read(MARIADB)
    assert totals == [
        Total("SELECT 1", "app", "shop", 1, 0.000301),
        Total("SELECT 2", "root", "", 1, 0.000114),
    ]
    assert not unread.count


def test_what_is_no_entry_is_counted_and_passed_over() -> None:
    assert read("") == ([], Unread())
    assert read("2026-11-27 a plain log\nof another kind\n") == ([], Unread())
    totals, unread = read("# Time: 261127 15:48:41\nSELECT 3;\n" + MARIADB)
    assert len(totals) == 2
    assert (unread.count, unread.first) == (1, "slow.log, line 2")


def test_what_is_too_long_is_not_kept() -> None:
    big = MARIADB.replace("SELECT 1", "SELECT '" + "x\n" * (LONGEST // 2 + 1) + "'")
    totals, unread = read(big)
    assert [total.text for total in totals] == ["SELECT 2"]
    assert unread.count == 1
