"""Rights that a catalog can't do without."""

from __future__ import annotations

import pytest

from proxy.sql.mysql.catalog_queries import missing_rights, queries, table_of_file

MYSQL = (
    "GRANT SELECT, PROCESS, SHOW VIEW, TRIGGER ON *.* TO `tidegate`@`%`",
    "GRANT SHOW_ROUTINE,CONNECTION_ADMIN ON *.* TO `tidegate`@`%`",
)


@pytest.mark.parametrize(
    ("grants", "is_mariadb", "expected"),
    [
        (MYSQL, False, []),
        (MYSQL[:1], True, []),
        (MYSQL[:1], False, ["SHOW_ROUTINE"]),
        (["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"], True, []),
        (
            [
                "GRANT SELECT, SHOW VIEW ON *.* TO `a`@`%`",
                "GRANT PROCESS, TRIGGER ON `x`.* TO `a`@`%`",
            ],
            True,
            ["TRIGGER"],
        ),
        ((*MYSQL, "REVOKE TRIGGER ON `x`.* FROM `a`@`%`"), False, None),
        (["GRANT USAGE ON *.* TO `a`@`%`"], True, ["SELECT", "SHOW VIEW", "TRIGGER"]),
    ],
)
def test_missing_rights_are_named(
    grants: list[str], is_mariadb: bool, expected: list[str] | None
) -> None:
    missing = missing_rights(grants, is_mariadb=is_mariadb)
    assert missing == expected if expected is not None else len(missing) == 1


def test_both_servers_give_the_same_rows() -> None:
    assert queries(is_mariadb=True).keys() == queries(is_mariadb=False).keys()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop/t", ("shop", "t")),
        ("shop/t#p#p0", ("shop", "t")),
        ("shop/t#P#p0#SP#s", ("shop", "t")),
        ("shop/a@002db@0020c", ("shop", "a-b c")),
        ("mysql", ("mysql", "")),
    ],
)
def test_a_file_is_of_a_table(name: str, expected: tuple[str, str]) -> None:
    assert table_of_file(name) == expected
