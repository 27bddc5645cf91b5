"""Real drivers do through the proxy what they do directly."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import json
import uuid
from typing import Any

import asyncpg
import psycopg
import pytest
import sqlalchemy as sa
from psycopg.types.json import Jsonb
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from tests.integration.application import Application

VALUES: list[Any] = [
    True,
    -7,
    2**40,
    1.5,
    decimal.Decimal("12345.678900"),
    "naïve ☃ 'quoted' \\ text",
    b"\x00\x01\xff",
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=datetime.UTC),
    datetime.timedelta(days=1, seconds=2),
    uuid.UUID("12345678-1234-5678-1234-567812345678"),
    [1, 2, None],
    ["a", None, 'b "c"'],
    None,
]


@pytest.fixture(scope="module", autouse=True)
def _tables(direct: Application) -> None:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS item")
        connection.execute("CREATE TABLE item (id int PRIMARY KEY, word text)")


@pytest.fixture(autouse=True)
def _rows(app: Application) -> None:
    with app.connect() as connection:
        connection.execute("TRUNCATE item")
        connection.execute("INSERT INTO item SELECT i, 'w' || i FROM generate_series(1, 300) i")


# ---- psycopg -------------------------------------------------------------------------------


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("prepare", [False, True], ids=["once", "prepared"])
def test_psycopg_values_come_back_as_they_went(
    app: Application, binary: bool, prepare: bool
) -> None:
    with app.connect() as connection, connection.cursor(binary=binary) as cursor:
        for value in [*VALUES, *VALUES]:
            got = cursor.execute("SELECT %b" if binary else "SELECT %t", [value], prepare=prepare)
            (found,) = got.fetchone() or ()
            assert found == value or type(found) is not type(value)


def test_psycopg_prepares_after_a_few_runs(app: Application) -> None:
    with app.connect() as connection:
        for i in range(20):
            found = connection.execute("SELECT word FROM item WHERE id = %s", [i + 1]).fetchone()
            assert found == (f"w{i + 1}",)
        assert connection.execute("SELECT count(*) FROM item").fetchone() == (300,)


def test_psycopg_transactions_and_savepoints(app: Application) -> None:
    with app.connect(autocommit=False) as connection:
        with connection.transaction():
            connection.execute("INSERT INTO item VALUES (1001, 'kept')")
            with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
                connection.execute("INSERT INTO item VALUES (1001, 'twice')")
            with connection.transaction(force_rollback=True):
                connection.execute("INSERT INTO item VALUES (1002, 'lost')")
        found = connection.execute("SELECT id FROM item WHERE id > 1000").fetchall()
        assert found == [(1001,)]


def test_psycopg_server_side_cursors(app: Application) -> None:
    with app.connect(autocommit=False) as connection:
        with connection.cursor("named", scrollable=True) as cursor:
            cursor.itersize = 7
            cursor.execute("SELECT id FROM item ORDER BY id")
            assert [row[0] for row in cursor] == list(range(1, 301))
            cursor.scroll(0, mode="absolute")
            assert cursor.fetchmany(2) == [(1,), (2,)]
        connection.commit()


def test_psycopg_rows_one_at_a_time(app: Application) -> None:
    with app.connect() as connection:
        rows = connection.cursor().stream("SELECT id FROM item ORDER BY id")
        assert [row[0] for row in rows] == list(range(1, 301))
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_psycopg_many_statements_at_once(app: Application) -> None:
    with app.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO item VALUES (%s, %s) RETURNING id",
            [(i, "many") for i in range(2000, 2500)],
            returning=True,
        )
        found = [cursor.fetchone()]
        while cursor.nextset():
            found.append(cursor.fetchone())
        assert found == [(i,) for i in range(2000, 2500)]
        cursor.execute("SELECT count(*) FROM item WHERE word = 'many'")
        assert cursor.fetchone() == (500,)


def test_psycopg_pipeline(app: Application) -> None:
    with app.connect() as connection:
        with connection.pipeline():
            read = [
                connection.execute("SELECT word FROM item WHERE id = %s", [i])
                for i in range(1, 100)
            ]
            connection.execute("INSERT INTO item VALUES (3000, 'new')")
            seen = connection.execute("SELECT word FROM item WHERE id = 3000")
        assert [cursor.fetchone() for cursor in read] == [(f"w{i}",) for i in range(1, 100)]
        assert seen.fetchone() == ("new",)


def test_psycopg_error_in_a_pipeline_aborts_it_up_to_the_sync(app: Application) -> None:
    with app.connect() as connection:
        with connection.pipeline() as pipeline:
            connection.execute("INSERT INTO item VALUES (3000, 'lost')")
            connection.execute("INSERT INTO item VALUES (1, 'twice')")
            connection.execute("INSERT INTO item VALUES (3001, 'skipped')")
            with pytest.raises(psycopg.errors.UniqueViolation):
                pipeline.sync()
        assert connection.execute("SELECT count(*) FROM item WHERE id >= 3000").fetchone() == (0,)
        with connection.pipeline() as pipeline:
            good = connection.execute("SELECT 1")
            pipeline.sync()
            bad = connection.execute("SELECT 1 / 0")
            with pytest.raises(psycopg.errors.DivisionByZero):
                pipeline.sync()
            after = connection.execute("SELECT 3")
        assert good.fetchone() == (1,)
        assert after.fetchone() == (3,)
        assert bad.statusmessage is None


def test_psycopg_pipeline_with_transactions_inside(app: Application) -> None:
    with app.connect() as connection:
        with connection.pipeline(), connection.transaction():
            for i in range(50):
                connection.execute("INSERT INTO item VALUES (%s, 'x')", [4000 + i])
        assert connection.execute("SELECT count(*) FROM item WHERE id >= 4000").fetchone() == (50,)


def test_psycopg_notices_are_heard(app: Application) -> None:
    heard: list[str | None] = []
    with app.connect() as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary))
        connection.execute("DO $$BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END$$")
        connection.execute("DO $$BEGIN RAISE NOTICE 'three'; END$$", prepare=True)
    assert heard == ["one", "two", "three"]


def test_psycopg_types_are_looked_up(app: Application) -> None:
    with app.connect() as connection:
        connection.execute("DROP TYPE IF EXISTS pair")
        connection.execute("CREATE TYPE pair AS (a int, b text)")
        info = psycopg.types.composite.CompositeInfo.fetch(connection, "pair")
        assert info is not None
        psycopg.types.composite.register_composite(info, connection)
        found = connection.execute("SELECT (1, 'x')::pair").fetchone()
        assert found is not None
        assert (found[0].a, found[0].b) == (1, "x")


def test_psycopg_json(app: Application) -> None:
    document = {"a": [1, None, {"b": "☃"}]}
    with app.connect() as connection:
        assert connection.execute("SELECT %s::jsonb", [Jsonb(document)]).fetchone() == (document,)


async def test_psycopg_async_many_at_once(app: Application) -> None:
    async def work(number: int) -> int:
        connection = await app.connect_async()
        async with connection:
            total = 0
            for i in range(20):
                cursor = await connection.execute(
                    "SELECT %s::int + count(*) FROM item WHERE id <= %s", [i, number]
                )
                row = await cursor.fetchone()
                assert row == (i + number,)
                total += row[0]
            return total

    got = await asyncio.gather(*(work(number) for number in range(40)))
    assert got == [sum(range(20)) + 20 * number for number in range(40)]


# ---- asyncpg -------------------------------------------------------------------------------


async def test_asyncpg_values_come_back_as_they_went(app: Application) -> None:
    async with app.asyncpg() as connection:
        for value, kind in zip(
            VALUES,
            (
                *(
                    "bool",
                    "int4",
                    "int8",
                    "float8",
                    "numeric",
                    "text",
                    "bytea",
                    "date",
                    "timestamptz",
                ),
                *("interval", "uuid", "int4[]", "text[]", "text"),
            ),
            strict=True,
        ):
            assert await connection.fetchval(f"SELECT $1::{kind}", value) == value


async def test_asyncpg_transactions_and_cursors(app: Application) -> None:
    async with app.asyncpg() as connection:
        async with connection.transaction():
            sql = "SELECT id FROM item ORDER BY id"
            found = [row[0] async for row in connection.cursor(sql, prefetch=7)]
            assert found == list(range(1, 301))
            cursor = await connection.cursor(sql)
            assert [row[0] for row in await cursor.fetch(3)] == [1, 2, 3]
            assert await cursor.forward(5) == 5
            assert (await cursor.fetchrow())[0] == 9
            with pytest.raises(asyncpg.UniqueViolationError):
                async with connection.transaction():
                    await connection.execute("INSERT INTO item VALUES (1, 'twice')")
            await connection.execute("INSERT INTO item VALUES (1001, 'kept')")
        assert await connection.fetchval("SELECT word FROM item WHERE id = 1001") == "kept"


async def test_asyncpg_prepared_statements(app: Application) -> None:
    async with app.asyncpg(statement_cache_size=3) as connection:
        statement = await connection.prepare("SELECT word FROM item WHERE id = $1")
        assert [p.name for p in statement.get_parameters()] == ["int4"]
        assert [a.name for a in statement.get_attributes()] == ["word"]
        for i in range(1, 30):
            assert await statement.fetchval(i) == f"w{i}"
            assert await connection.fetchval(f"SELECT {i} + $1::int", 1) == i + 1
        assert await statement.explain(1)


async def test_asyncpg_executemany_and_copy(app: Application) -> None:
    async with app.asyncpg() as connection:
        await connection.executemany(
            "INSERT INTO item VALUES ($1, $2)", [(i, "many") for i in range(2000, 5000)]
        )
        assert await connection.fetchval("SELECT count(*) FROM item WHERE word = 'many'") == 3000
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.executemany(
                "INSERT INTO item VALUES ($1, $2)", [(i, "lost") for i in (6000, 6001, 2000)]
            )
        assert await connection.fetchval("SELECT count(*) FROM item WHERE word = 'lost'") == 0
        await connection.copy_records_to_table(
            "item", records=[(i, "copy") for i in range(7000, 9000)]
        )
        got = bytearray()

        async def take(data: bytes) -> None:
            got.extend(data)

        await connection.copy_from_query("SELECT id FROM item WHERE word = 'copy'", output=take)
        assert len(got.split()) == 2000


async def test_asyncpg_notices_and_errors_keep_their_fields(app: Application) -> None:
    async with app.asyncpg() as connection:
        with pytest.raises(asyncpg.UniqueViolationError) as failed:
            await connection.execute("INSERT INTO item VALUES ($1, 'x')", 1)
        assert failed.value.constraint_name == "item_pkey"
        assert failed.value.detail == "Key (id)=(1) already exists."
        heard: list[str] = []
        connection.add_log_listener(lambda _, message: heard.append(message.message))
        await connection.execute("DO $$BEGIN RAISE NOTICE 'one'; END$$")
        assert heard == ["one"]


async def test_asyncpg_pool_resets_its_connections(app: Application) -> None:
    async with asyncpg.create_pool(app.dsn(), min_size=1, max_size=4) as pool:

        async def work(number: int) -> None:
            async with pool.acquire() as connection:
                await connection.execute(f"SET application_name = 'worker {number}'")
                name = await connection.fetchval("SHOW application_name")
                assert name == f"worker {number}"
                async with connection.transaction():
                    assert await connection.fetchval("SELECT $1::int", number) == number

        await asyncio.gather(*(work(number) for number in range(60)))
        assert not (await pool.fetchval("SHOW application_name")).startswith("worker")


async def test_asyncpg_codecs_are_looked_up(app: Application) -> None:
    async with app.asyncpg() as connection:
        await connection.set_type_codec(
            "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
        )
        assert await connection.fetchval("SELECT $1::jsonb", {"a": [1]}) == {"a": [1]}


async def test_asyncpg_timeout_cancels_the_statement(app: Application) -> None:
    async with app.asyncpg() as connection:
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT pg_sleep(30)", timeout=0.1)
        assert await connection.fetchval("SELECT 1") == 1


# ---- SQLAlchemy ----------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    born: Mapped[datetime.date | None]
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[decimal.Decimal]
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def make_authors() -> list[Author]:
    return [
        Author(
            name=f"author {i}",
            born=datetime.date(1900 + i, 1, 1),
            books=[Book(title=f"book {i}.{j}", price=decimal.Decimal(j)) for j in range(3)],
        )
        for i in range(40)
    ]


EXPENSIVE = (
    sa.select(Author.name, sa.func.sum(Book.price))
    .join(Book)
    .group_by(Author.name)
    .having(sa.func.sum(Book.price) > 2)
    .order_by(Author.name)
)


def test_sqlalchemy_over_psycopg(app: Application) -> None:
    engine = sa.create_engine(app.dsn().replace("postgresql:", "postgresql+psycopg:"))
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    assert set(sa.inspect(engine).get_table_names()) >= {"author", "book"}
    with Session(engine) as session:
        session.add_all(make_authors())
        session.commit()
        first = session.scalars(sa.select(Author).order_by(Author.id)).first()
        assert first is not None
        assert [book.title for book in first.books] == ["book 0.0", "book 0.1", "book 0.2"]
        first.books.pop()
        first.name = "renamed"
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 119
        session.delete(first)
        session.rollback()
        assert session.get(Author, first.id) is first
        assert len(session.execute(EXPENSIVE).all()) == 39
    engine.dispose()


async def test_sqlalchemy_over_asyncpg(app: Application) -> None:
    engine = create_async_engine(app.dsn().replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all(make_authors())
        await session.commit()
        assert len((await session.execute(EXPENSIVE)).all()) == 40
        await session.execute(sa.update(Book).where(Book.price > 1).values(price=0))
        assert (await session.execute(EXPENSIVE)).all() == []
        await session.rollback()
        assert len((await session.execute(EXPENSIVE)).all()) == 40

    async def work(number: int) -> None:
        async with AsyncSession(engine) as session:
            author = (
                await session.scalars(sa.select(Author).where(Author.name == f"author {number}"))
            ).one()
            key = author.id
            author.name = f"renamed {number}"
            await session.commit()
            found = await session.scalar(sa.select(Author.name).where(Author.id == key))
            assert found == f"renamed {number}"

    await asyncio.gather(*(work(number) for number in range(20)))
    await engine.dispose()
