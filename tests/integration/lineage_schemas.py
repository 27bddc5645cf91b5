"""Random schemas in which one thing sets off another, and statements for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

MAIN: Final = "s"
USER: Final = "lineage_user"
SCHEMAS: Final = (MAIN, "o", USER)
PATHS: Final = (("s",), ("s",), ("o", "s"), ("$user", "s"), ("s", "o"))

TABLES: Final = 7
"""Tables of the main schema: `t0` to `t6`. The others have some of the same names."""


@dataclass(slots=True)
class Schema:
    """A schema, and what can be said in it.

    Attributes:
        ddl: What makes it, in order.
        tables: Names of tables that can be written to.
        relations: Names of whatever can be read.
        writable: Names of whatever can be written to.
        functions: Names of functions of one integer.
        procedures: Names of such procedures.
        matviews: Names of materialized views.
    """

    ddl: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    writable: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    procedures: list[str] = field(default_factory=list)
    matviews: list[str] = field(default_factory=list)


class Maker:
    """Makes one schema."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.schema = Schema()

    def make(self) -> Schema:
        """Make it."""
        self._tables()
        for number in range(self._random.randint(2, 5)):
            self._function(number)
        for number in range(self._random.randint(1, 4)):
            self._view(number)
        for number in range(self._random.randint(1, 4)):
            self._function(10 + number)
        if self._random.random() < 0.5:
            self._matview()
        for number in range(self._random.randint(1, 5)):
            self._trigger(number)
        for number in range(self._random.randint(0, 2)):
            self._rule(number)
        self._defaults()
        if self._random.random() < 0.3:
            self._policy()
        for number in range(self._random.randint(0, 2)):
            self._procedure(number)
        return self.schema

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _add(self, sql: str) -> None:
        self.schema.ddl.append(sql)

    # Tables

    def _tables(self) -> None:
        random, schema = self._random, self.schema
        for number in range(TABLES):
            name = f"t{number}"
            key = ""
            if number and self._chance(0.5):
                delete = random.choice(("CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION"))
                update = random.choice(("CASCADE", "SET NULL", "NO ACTION"))
                deferred = random.choice(("", "", "DEFERRABLE INITIALLY DEFERRED"))
                key = (
                    f" REFERENCES s.t{random.randrange(number)}"
                    f" ON DELETE {delete} ON UPDATE {update} {deferred}"
                )
            columns = f"(id int PRIMARY KEY, a int, ref int{key})"
            if self._chance(0.2):
                self._add(f"CREATE TABLE s.{name} {columns} PARTITION BY HASH (id)")
                for part in range(2):
                    self._add(
                        f"CREATE TABLE s.{name}_{part} PARTITION OF s.{name}"
                        f" FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
                    )
            elif number and self._chance(0.15):
                parents = random.sample(range(number), min(number, random.choice((1, 2))))
                above = ", ".join(f"s.t{parent}" for parent in parents)
                self._add(
                    f"DO $$ BEGIN CREATE TABLE s.{name} (PRIMARY KEY (id)) INHERITS ({above});"
                    f" EXCEPTION WHEN OTHERS THEN CREATE TABLE s.{name} {columns}; END $$"
                )
            else:
                self._add(f"CREATE TABLE s.{name} {columns}")
            schema.tables.append(name)
            self._add(f"INSERT INTO s.{name} SELECT i, i FROM generate_series(1, 3) i")
        for other in SCHEMAS[1:]:
            for number in random.sample(range(TABLES), 3):
                self._add(f"CREATE TABLE {other}.t{number} (id int PRIMARY KEY, a int, ref int)")
                self._add(f"INSERT INTO {other}.t{number} VALUES (1, 1), (2, 2)")
        schema.relations += schema.tables
        schema.writable += schema.tables

    def _relation(self) -> str:
        name = self._random.choice(self.schema.relations)
        return f"s.{name}" if self._chance(0.4) else name

    def _target(self, *, tables: bool = False) -> str:
        name = self._random.choice(self.schema.tables if tables else self.schema.writable)
        return f"s.{name}" if self._chance(0.4) else name

    # What bodies are made of

    def query(self) -> str:
        """Make a query of one integer."""
        random = self._random
        choice = random.randrange(8)
        relation = self._relation()
        if choice == 0:
            return f"SELECT max(a) FROM {relation}"
        if choice == 1:
            return f"SELECT count(*)::int FROM {relation} x JOIN {self._relation()} y ON x.id = y.a"
        if choice == 2:
            return (
                f"WITH w AS (SELECT id FROM {relation}) SELECT sum(id)::int FROM w"
                f" WHERE EXISTS (SELECT 1 FROM {self._relation()} z WHERE z.id = w.id)"
            )
        if choice == 3 and self.schema.functions:
            return f"SELECT {self._call('count(*)::int')} FROM {relation}"
        if choice == 4:
            return (
                f"SELECT a FROM {relation} WHERE id IN (SELECT id FROM {self._relation()}) LIMIT 1"
            )
        if choice == 5 and self.schema.functions:
            return f"SELECT sum({self._call('a')})::int FROM {relation}"
        if choice == 6 and self.schema.functions:
            return f"SELECT x.n FROM LATERAL (SELECT {self._call('1')} AS n) x"
        return f"SELECT count(*)::int FROM {relation} WHERE a > 0"

    def _call(self, argument: str) -> str:
        name = self._random.choice(self.schema.functions)
        return f"{'s.' if self._chance(0.5) else ''}{name}(({argument})::int)"

    def change(self, *, tables: bool = False, returning: bool = False) -> str:
        """Make a change."""
        random = self._random
        target = self._target(tables=tables)
        number = random.randint(1, 9)
        tail = " RETURNING id" if returning else ""
        choice = random.randrange(8)
        if choice <= 1:
            key = "(SELECT coalesce(max(id), 0) + 1 FROM " + target + " q)"
            return f"INSERT INTO {target} (id, a) VALUES ({key}, {number}){tail}"
        if choice == 2 and "t" in target:
            source = f"SELECT id + 100, a FROM {self._relation()} LIMIT 1"
            return f"INSERT INTO {target} (id, a) {source}{tail}"
        if choice <= 4:
            return f"UPDATE {target} SET a = a + {number} WHERE id <= {number}{tail}"
        if choice == 5:
            return f"UPDATE {target} SET a = ({self.query()}) WHERE id = 1{tail}"
        if choice == 6:
            return f"DELETE FROM {target} WHERE id = {random.randint(1, 3)}{tail}"
        return (
            f"WITH d AS (DELETE FROM {self._target(tables=True)} WHERE id = 2 RETURNING id)"
            f" UPDATE {target} SET a = 5 WHERE id IN (SELECT id FROM d){tail}"
        )

    def _statement(self, depth: int, *, writes: bool) -> str:
        """Make a statement of PL/pgSQL; `n` and `m` are integers, `r` a record."""
        random = self._random
        choice = random.randrange(18)
        nested = depth < 2
        change = self.change() if writes else f"PERFORM ({self.query()})"
        if choice == 0:
            return f"n := ({self.query()}) + coalesce(n, 0);"
        if choice == 1:
            return f"IF EXISTS ({self.query()}) THEN {self._block(depth, writes=writes)} END IF;"
        if choice == 2 and nested:
            return (
                f"IF n > 1 THEN {self._block(depth, writes=writes)}"
                f" ELSIF ({self.query()}) > 0 THEN NULL;"
                f" ELSE {self._block(depth, writes=writes)} END IF;"
            )
        if choice == 3 and nested:
            return f"FOR i IN 1..2 LOOP {self._block(depth, writes=writes)} END LOOP;"
        if choice == 4 and nested:
            body = self._block(depth, writes=writes)
            return f"FOR r IN SELECT id FROM {self._relation()} LIMIT 2 LOOP {body} END LOOP;"
        if choice == 5:
            return f"PERFORM 1 FROM {self._relation()};"
        if choice == 6:
            return f"SELECT id, a INTO n, m FROM {self._relation()} LIMIT 1;"
        if choice == 7:
            return f"SELECT INTO r id FROM {self._relation()} LIMIT 1;"
        if choice == 8 and writes:
            target = self._target(tables=True)
            return f"UPDATE {target} SET a = 3 WHERE id = 1 RETURNING id INTO n;"
        if choice == 9 and nested:
            body = self._block(depth, writes=writes)
            return (
                f"BEGIN {body} EXCEPTION WHEN OTHERS THEN {self._block(depth, writes=writes)} END;"
            )
        if choice == 10:
            return f"CASE n WHEN 1, ({self.query()}) THEN {change}; ELSE NULL; END CASE;"
        if choice == 11 and nested:
            body = self._block(depth, writes=writes)
            return f"FOREACH n IN ARRAY ARRAY[1, ({self.query()})] LOOP {body} END LOOP;"
        if choice == 12:
            return f"list[({self.query()})] := 1;"
        if choice == 13 and nested:
            body = self._block(depth, writes=writes)
            return f"<<inner>> WHILE n < 2 LOOP n := n + 1; {body} END LOOP;"
        if choice == 14:
            return f"OPEN c FOR {self.query()}; FETCH c INTO n; CLOSE c;"
        if choice == 15:
            return "FOR q IN known(1) LOOP n := q.id; END LOOP;"
        if choice == 16 and writes and self._chance(0.4):
            table = self._random.choice(self.schema.tables)
            if self._chance(0.5):
                return f"EXECUTE 'UPDATE s.{table} SET a = 7 WHERE id = 1';"
            return f"EXECUTE 'UPDATE ' || quote_ident('s') || '.{table} SET a = 7 WHERE id = 1';"
        if choice == 17:
            return "GET DIAGNOSTICS n = ROW_COUNT; RAISE DEBUG '% %', n, m;"
        return f"{change};"

    def _block(self, depth: int, *, writes: bool) -> str:
        statements = self._random.randint(1, 2)
        return " ".join(self._statement(depth + 1, writes=writes) for _ in range(statements))

    def _plpgsql(self, end: str, *, writes: bool, guard: bool = False) -> str:
        body = self._block(0, writes=writes)
        if guard:
            body = f"IF pg_trigger_depth() < 3 THEN {body} END IF;"
        return (
            "DECLARE n int := 1; m int; r record; q record; list int[]; c refcursor;"
            f" known CURSOR (k int) FOR SELECT id FROM {self._relation()} WHERE id > k;"
            f" BEGIN {body} {end} END"
        )

    # Functions

    def _options(self, volatility: str) -> str:
        random = self._random
        path = random.choice(("", "", "SET search_path = s", "SET search_path = o, s"))
        definer = "SECURITY DEFINER" if self._chance(0.2) else ""
        return f"{volatility} {definer} {path}"

    def _function(self, number: int) -> None:
        random = self._random
        name = f"f{number}"
        writes = self._chance(0.4)
        volatility = "VOLATILE" if writes else random.choice(("STABLE", "STABLE", "VOLATILE"))
        if not writes and self._chance(0.1):
            volatility = "IMMUTABLE"
        head = f"CREATE FUNCTION s.{name}(x int) RETURNS int {self._options(volatility)}"
        kind = random.randrange(4)
        if kind == 0:
            first = f"{self.change()}; " if writes else ""
            body = f"{head} LANGUAGE sql AS $f$ {first}{self.query()} $f$"
        elif kind == 1 and not writes:
            body = f"{head} LANGUAGE sql RETURN ({self.query()}) + x"
        elif kind == 2:
            first = f"{self.change(tables=True)}; " if writes else ""
            body = f"{head} LANGUAGE sql BEGIN ATOMIC {first}{self.query()}; END"
        else:
            text = self._plpgsql(f"RETURN ({self.query()});", writes=writes)
            body = f"{head} LANGUAGE plpgsql AS $f$ {text} $f$"
        self._add(body)
        self.schema.functions.append(name)

    def _procedure(self, number: int) -> None:
        text = self._plpgsql("", writes=True)
        self._add(f"CREATE PROCEDURE s.p{number}(x int) LANGUAGE plpgsql AS $f$ {text} $f$")
        self.schema.procedures.append(f"p{number}")

    # What hangs on relations

    def _view(self, number: int) -> None:
        name = f"v{number}"
        schema = self.schema
        base = self._random.choice(schema.relations)
        choice = self._random.randrange(4)
        if choice == 0 and schema.functions:
            self._add(
                f"CREATE VIEW s.{name} AS SELECT id, {self._call('a')} AS a, ref FROM s.{base}"
            )
        elif choice == 1:
            other = self._random.choice(schema.relations)
            self._add(
                f"CREATE VIEW s.{name} AS SELECT x.id, y.a, x.ref FROM s.{base} x"
                f" JOIN s.{other} y ON x.id = y.id"
            )
            self._instead(name)
        else:
            self._add(f"CREATE VIEW s.{name} AS SELECT id, a, ref FROM s.{base} WHERE id < 50")
            if base in schema.writable:
                schema.writable.append(name)
            if self._chance(0.3):
                self._instead(name)
        schema.relations.append(name)

    def _instead(self, view: str) -> None:
        text = self._plpgsql("RETURN NEW;", writes=True, guard=True)
        self._add(
            f"CREATE FUNCTION s.i_{view}() RETURNS trigger LANGUAGE plpgsql AS $f$ {text} $f$;"
            f"CREATE TRIGGER i INSTEAD OF INSERT OR UPDATE ON s.{view}"
            f" FOR EACH ROW EXECUTE FUNCTION s.i_{view}()"
        )
        if view not in self.schema.writable:
            self.schema.writable.append(view)

    def _matview(self) -> None:
        self._add(
            f"CREATE MATERIALIZED VIEW s.mv AS SELECT 1 AS id, ({self.query()}) AS a, 1 AS ref"
        )
        self.schema.matviews.append("mv")
        self.schema.relations.append("mv")

    def _trigger(self, number: int) -> None:
        random = self._random
        table = random.choice(self.schema.tables)
        if self._chance(0.2):
            table = random.choice((f"{table}_0", table))
        text = self._plpgsql("RETURN COALESCE(NEW, OLD);", writes=True, guard=True)
        options = self._options("")
        events = " OR ".join(random.sample(("INSERT", "UPDATE", "DELETE"), random.randint(1, 3)))
        kind = random.randrange(5)
        when = ""
        if kind == 0:
            head = f"CREATE TRIGGER g{number} AFTER {events} ON s.{table} FOR EACH STATEMENT"
        elif kind == 1:
            late = random.choice(("", "DEFERRABLE INITIALLY DEFERRED"))
            head = f"CREATE CONSTRAINT TRIGGER g{number} AFTER {events} ON s.{table} {late}"
            head += " FOR EACH ROW"
        elif kind == 2 and self.schema.functions:
            when = f" WHEN ({self._call('NEW.a')} IS NOT NULL)"
            head = (
                f"CREATE TRIGGER g{number} AFTER INSERT OR UPDATE ON s.{table} FOR EACH ROW{when}"
            )
        elif kind == 3:
            head = f"CREATE TRIGGER g{number} BEFORE {events} ON s.{table} FOR EACH ROW"
        else:
            column = events.replace("UPDATE", "UPDATE OF a")
            head = f"CREATE TRIGGER g{number} AFTER {column} ON s.{table} FOR EACH ROW"
        self._add(
            f"CREATE FUNCTION s.g{number}() RETURNS trigger LANGUAGE plpgsql {options}"
            f" AS $f$ {text} $f$; {head} EXECUTE FUNCTION s.g{number}()"
        )

    def _rule(self, number: int) -> None:
        random = self._random
        table = random.choice(self.schema.tables)
        event = random.choice(("INSERT", "UPDATE", "DELETE"))
        other = random.choice(self.schema.tables)
        row = "OLD" if event == "DELETE" else "NEW"
        action = random.choice(
            (
                f"UPDATE s.{other} SET a = {row}.a WHERE id = 2",
                f"(UPDATE s.{other} SET a = 8 WHERE id = 1;"
                f" DELETE FROM s.{other} WHERE id = {row}.a)",
                "NOTHING",
                f"SELECT max(a) FROM s.{other}",
            )
        )
        where = f"WHERE {row}.id > 1 " if self._chance(0.3) else ""
        how = random.choice(("ALSO", "ALSO", "INSTEAD"))
        self._add(f"CREATE RULE r{number} AS ON {event} TO s.{table} {where}DO {how} {action}")

    def _defaults(self) -> None:
        if self.schema.functions and self._chance(0.4):
            table = self._random.choice(self.schema.tables)
            self._add(
                f"ALTER TABLE s.{table} ALTER ref SET DEFAULT NULLIF({self._call('1')}, NULL)"
            )

    def _policy(self) -> None:
        table = self._random.choice(self.schema.tables)
        self._add(
            f"ALTER TABLE s.{table} ENABLE ROW LEVEL SECURITY;"
            f"CREATE POLICY p ON s.{table} USING (a > 0 OR EXISTS ({self.query()}))"
        )

    # Statements

    def statement(self) -> str:
        """Make a statement."""
        random, schema = self._random, self.schema
        choice = random.randrange(13)
        if choice == 12:
            return f"DO $do$BEGIN {self.change()}; {self.change()}; END$do$"
        if choice <= 3:
            return self.query()
        if choice == 4 and schema.functions:
            return f"SELECT {self._call('1')}"
        if choice == 5:
            cascade = " CASCADE" if self._chance(0.7) else ""
            return f"TRUNCATE s.{random.choice(schema.tables)}{cascade}"
        if choice == 6 and schema.matviews:
            return "REFRESH MATERIALIZED VIEW s.mv"
        if choice == 7 and schema.procedures:
            return f"CALL s.{random.choice(schema.procedures)}(1)"
        if choice == 8:
            table = self._target(tables=True)
            return (
                f"MERGE INTO {table} t USING {self._relation()} u ON t.id = u.id"
                " WHEN MATCHED THEN UPDATE SET a = 1"
                " WHEN NOT MATCHED THEN INSERT (id, a) VALUES (u.id, 1)"
            )
        return self.change()
