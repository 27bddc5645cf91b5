"""Bodies out of SHOW CREATE."""

from __future__ import annotations

import pytest

from proxy.sql.mysql.originals import body_of, hidden_in


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("FUNCTION", "CREATE DEFINER=`a`@`b` FUNCTION `f`(x int) RETURNS int\n    DETERMINISTIC\n"),
        (
            "FUNCTION",
            "CREATE DEFINER=`(`@`%` FUNCTION `function`(x varchar(3), y int)"
            " RETURNS varchar(20) CHARSET utf8mb4 COLLATE utf8mb4_bin\n"
            "    READS SQL DATA\n    SQL SECURITY INVOKER\n    COMMENT 'return it''s'\n",
        ),
        ("FUNCTION", "CREATE DEFINER=`a`@`b` FUNCTION `f`() RETURNS decimal(5,2) unsigned\n"),
        ("PROCEDURE", "CREATE DEFINER=`a`@`b` PROCEDURE `p`(OUT x decimal(3,2))\n    NO SQL\n"),
        ("TRIGGER", "CREATE DEFINER=`a`@`b` TRIGGER `t` BEFORE INSERT ON `x` FOR EACH ROW "),
        ("TRIGGER", "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW FOLLOWS `u` "),
    ],
)
@pytest.mark.parametrize("body", [r"return concat('\'', f(1), '\'')", "BEGIN DO 'x'; END"])
def test_the_body_is_what_follows_the_head(kind: str, head: str, body: str) -> None:
    assert body_of(kind, ("name", "", head + body)) == body


@pytest.mark.parametrize("text", [None, "", "CREATE FUNCTION f", "CREATE FUNCTION f(x int) 'a"])
def test_what_is_not_found_is_not_there(text: str | None) -> None:
    assert body_of("FUNCTION", ("name", "", text)) is None


def test_bodies_that_were_left_out_are_asked_for() -> None:
    rows: dict[str, list[tuple[object, ...]]] = {
        "routines": [
            ("s", "f", "FUNCTION", None, "", "NO"),
            ("s", "p", "PROCEDURE", "DO 1", "", ""),
        ],
        "triggers": [("s", "t", "g`", "INSERT", None, "")],
    }
    assert [hidden.question for hidden in hidden_in(rows)] == [
        "SHOW CREATE FUNCTION `s`.`f`",
        "SHOW CREATE TRIGGER `s`.`g```",
    ]
