"""MySQL's and MariaDB's digests of statements are statements again."""

from __future__ import annotations

import pytest

from proxy.doctor.model import Model
from proxy.doctor.mysql.asker import MySQLAsker
from proxy.doctor.mysql.totals import text_of
from proxy.doctor.visits import Terms
from proxy.doctor.ways import FiledCatalogs
from proxy.errors import Unanswerable
from proxy.routing.reading import Reader
from proxy.sql.mysql.catalog import Catalog
from proxy.sql.mysql.interpreter import ServerInterpreter
from proxy.sql.statement import Kind
from tests.unit.sql.mysql.test_catalog import Server

ASKER = MySQLAsker()


@pytest.mark.parametrize(
    ("digest", "text"),
    [
        ("SELECT `a` FROM `t` WHERE `b` IN (...)", "SELECT `a` FROM `t` WHERE `b` IN (?)"),
        ("SELECT `a` FROM `t` LIMIT ?, ...", "SELECT `a` FROM `t` LIMIT ?, ?"),
        ("SELECT IF ( `a` , ?, ... ) FROM `t`", "SELECT IF ( `a` , ?, ? ) FROM `t`"),
        ("SELECT COUNT ( * ) , NOW ( ) FROM `t`", "SELECT COUNT ( * ) , NOW ( ) FROM `t`"),
    ],
)
def test_what_stands_for_values_is_values(digest: str, text: str) -> None:
    assert text_of(digest) == text
    (statement,) = Reader(language=ASKER.language).read(text.encode()).statements
    assert statement.kind is Kind.READ


def test_rows_of_values_are_one() -> None:
    text = text_of("INSERT INTO `t` VALUES (...) /* , ... */")
    (statement,) = Reader(language=ASKER.language).read(text.encode()).statements
    assert statement.kind is Kind.WRITE
    assert [name.name for name in statement.writes] == ["t"]


def test_a_database_is_a_schema_of_the_one_catalog() -> None:
    server = Server()
    server.table("orders")
    server.table("orders", schema="other")
    catalogs = FiledCatalogs([Catalog.build(ServerInterpreter(), **server.rows)], is_one=True)
    model = Model(
        catalogs,
        user="",
        search_path=(),
        terms=Terms(),
        language=ASKER.language,
        has_schemas=ASKER.has_schemas,
    )
    for schema, calls in (("shop", 3), ("other", 2), ("", 1)):
        model.take_total("SELECT `a` FROM `orders`", "", schema, calls=calls, seconds=0.5)
    found = model.findings
    assert found.shortest is None
    assert {table.name: table.reads for table in found.tables.values()} == {
        "shop.orders": 3,
        "other.orders": 2,
    }
    assert (found.reads.calls, found.away.calls) == (6, 5)
    assert not found.elsewhere


def test_a_server_is_asked_in_the_open_only() -> None:
    way = ASKER.way_to("mysql://ann:s%20e@db")
    assert (way.servers[0].name, way.control.user) == ("db:3306", "ann")
    assert (way.control.password, way.control.database) == ("s e", "")
    with pytest.raises(Unanswerable, match="TLS"):
        ASKER.way_to("mysql://ann@db/shop?ssl-mode=required")
    with pytest.raises(Unanswerable, match=r"mysql://user@host:3306"):
        ASKER.way_to("mysql://ann@db:port")
