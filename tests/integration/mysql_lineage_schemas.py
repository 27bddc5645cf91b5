"""Random schemas and statements for MySQL and MariaDB, in which everything sets off everything."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

SCHEMAS: Final = ("lineage_s", "lineage_r")
TABLES: Final = 6
_RULES: Final = ("CASCADE", "SET NULL", "RESTRICT", "NO ACTION")
_EVENTS: Final = ("INSERT", "UPDATE", "DELETE")


class Maker:
    """Makes a schema, and statements that use it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tables: list[str] = []
        self.views: list[str] = []
        self.functions: list[str] = []
        self.procedures: list[str] = []
        self.ddl: list[str] = []

    def make(self) -> list[str]:
        """Make the definitions, in an order that mostly works."""
        random = self.random
        for number in range(TABLES):
            self._table(f"{random.choice(SCHEMAS)}.t{number}")
        for number in range(3):
            self._view(f"{random.choice(SCHEMAS)}.v{number}")
        for number in range(4):
            self._function(f"{random.choice(SCHEMAS)}.f{number}")
        self._view(f"{random.choice(SCHEMAS)}.v3")
        for number in range(3):
            self._procedure(f"{random.choice(SCHEMAS)}.p{number}")
        for number in range(5):
            self._trigger(number)
        return self.ddl

    def statement(self) -> str:
        """Make a statement that a client sends."""
        makers: list[Callable[[], str]] = [self._select, self._write, self._write, self._call]
        return self.random.choice(makers)()

    def _table(self, name: str) -> None:
        columns = "id int primary key, a int, p int"
        if self.tables and self.random.random() < 0.7:
            parent = self.random.choice(self.tables)
            rules = [self.random.choice(_RULES) for _ in range(2)]
            columns += (
                f", FOREIGN KEY (p) REFERENCES {parent} (id)"
                f" ON UPDATE {rules[0]} ON DELETE {rules[1]}"
            )
        self.tables.append(name)
        self.ddl.append(f"CREATE TABLE {name} ({columns}) ENGINE = InnoDB")
        self.ddl.append(f"INSERT INTO {name} VALUES (1, 1, NULL), (2, 2, NULL)")

    def _view(self, name: str) -> None:
        query = f"SELECT x.id, x.a, x.p FROM {self._source()} x"
        if self.random.random() < 0.3:
            query += f" JOIN {self._source()} y ON x.id = y.id"
        if self.random.random() < 0.3:
            query += f" WHERE x.a > {self._value()}"
        self.ddl.append(f"CREATE VIEW {name} AS {query}")
        self.views.append(name)

    def _function(self, name: str) -> None:
        self.ddl.append(
            f"CREATE FUNCTION {name}(x int) RETURNS int"
            f" BEGIN DECLARE y int DEFAULT {self._value()}; {self._body()}"
            f" RETURN {self._value()}; END"
        )
        self.functions.append(name)

    def _procedure(self, name: str) -> None:
        self.ddl.append(f"CREATE PROCEDURE {name}(x int) BEGIN DECLARE y int; {self._body()} END")
        self.procedures.append(name)

    def _trigger(self, number: int) -> None:
        table = self.random.choice(self.tables)
        schema, _, _ = table.partition(".")
        event = self.random.choice(_EVENTS)
        body = f"BEGIN DECLARE x, y int; {self._body()} END"
        self.ddl.append(
            f"CREATE TRIGGER {schema}.g{number} AFTER {event} ON {table} FOR EACH ROW {body}"
        )

    def _body(self) -> str:
        return " ".join(self._part() for _ in range(self.random.randint(1, 2)))

    def _part(self) -> str:
        random = self.random
        kind = random.randrange(9)
        if kind < 3:
            return f"{self._write()};"
        if kind == 3:
            return f"SELECT max(a) INTO y FROM {self._source()} LIMIT 1;"
        if kind == 4:
            return f"SET y = {self._value()};"
        if kind == 5:
            return f"IF {self._value()} > 0 THEN {self._write()}; ELSE SET y = 1; END IF;"
        if kind == 6:
            return (
                f"WHILE y < {self._value()} AND y < 2 DO SET y = y + 1; {self._write()}; END WHILE;"
            )
        if kind == 7:
            return (
                f"BEGIN DECLARE c CURSOR FOR SELECT id FROM {self._source()};"
                " DECLARE CONTINUE HANDLER FOR NOT FOUND SET y = 9; OPEN c; FETCH c INTO y;"
                " CLOSE c; END;"
            )
        return f"{self._call()};" if self.procedures else "SET y = 2;"

    def _source(self) -> str:
        return self._named(self.random.choice(self.tables + self.views))

    def _target(self) -> str:
        return self._named(self.random.choice(self.tables * 3 + self.views))

    def _named(self, name: str) -> str:
        """Leave the schema away, now and then, whether that means something or not."""
        return name if self.random.random() < 0.85 else name.partition(".")[2]

    def _value(self) -> str:
        random = self.random
        kind = random.randrange(8)
        if kind == 0:
            return f"(SELECT count(*) FROM {self._source()})"
        if kind == 1 and self.functions:
            return f"{self._named(random.choice(self.functions))}({random.randint(1, 3)})"
        if kind == 3 and self.functions:
            called = self._named(random.choice(self.functions))
            return f"length(concat('\\\\\\'', {called}(1), '\\\\\\''))"
        if kind == 2:
            return f"CASE WHEN EXISTS (SELECT 1 FROM {self._source()}) THEN 1 ELSE 2 END"
        return str(random.randint(1, 4))

    def _select(self) -> str:
        query = f"SELECT x.a, {self._value()} FROM {self._source()} x"
        if self.random.random() < 0.4:
            query += f" WHERE x.id IN (SELECT p FROM {self._source()})"
        return query

    def _write(self) -> str:
        random = self.random
        target = self._target()
        row = f"({random.randint(1, 9)}, {self._value()}, NULL)"
        return random.choice(
            [
                f"INSERT INTO {target} (id, a, p) VALUES {row}",
                f"INSERT IGNORE INTO {target} (id, a) SELECT id + 10, a FROM {self._source()}",
                f"INSERT INTO {target} (id, a, p) VALUES {row} ON DUPLICATE KEY UPDATE a = 5",
                f"REPLACE INTO {target} (id, a, p) VALUES {row}",
                f"UPDATE {target} SET a = {self._value()} WHERE id = {random.randint(1, 3)}",
                f"UPDATE {target} SET id = id + 20 WHERE id = {random.randint(1, 3)}",
                f"DELETE FROM {target} WHERE id = {random.randint(1, 3)}",
            ]
        )

    def _call(self) -> str:
        name = self.random.choice(self.procedures or ["lineage_s.nobody"])
        return f"CALL {self._named(name)}({self._value()})"
