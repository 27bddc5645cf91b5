"""A member has one connection to the view, whoever wants it."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from proxy.runtime.view_line import ViewLine
from proxy.topology.group import Server
from proxy.topology.views import ViewStore
from proxy.topology.witness import Control

CONTROL = Control("", "", "", "", False, 1.0, 1.0)
SERVER = cast(Server, None)


class Store:
    """Takes a turn of the loop to open."""

    def __init__(self) -> None:
        self.is_closed = False
        self.seen_as: list[str] = []

    async def open(self) -> None:
        await asyncio.sleep(0)

    async def be_seen(self, name: str) -> None:
        await asyncio.sleep(0)
        self.seen_as.append(name)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def made() -> list[Store]:
    return []


@pytest.fixture
def line(made: list[Store]) -> ViewLine:
    async def open_views(control: Control, server: Server) -> ViewStore:
        made.append(Store())
        return cast(ViewStore, made[-1])

    return ViewLine(CONTROL, open_views)


async def test_of_two_wanted_at_once_one_is_left(line: ViewLine, made: list[Store]) -> None:
    """A witness agrees on a primary, and the view is looked at, when a primary has come back."""
    await asyncio.gather(line.keep(SERVER, "me"), line.open(SERVER, "me"), line.keep(SERVER, "me"))
    assert [it.is_closed for it in made] == [True, False]
    assert line.store is cast(ViewStore, made[-1])
    assert made[-1].seen_as == ["me"]


async def test_the_one_that_there_is_is_kept(line: ViewLine, made: list[Store]) -> None:
    store = await line.open(SERVER, None)
    assert await line.keep(SERVER, "me") is store
    line.close()
    assert await line.keep(SERVER, "me") is not store
    assert [it.is_closed for it in made] == [True, False]


async def test_one_that_was_not_finished_is_closed(line: ViewLine, made: list[Store]) -> None:
    opening = asyncio.create_task(line.open(SERVER, "me"))
    await asyncio.sleep(0)
    assert made
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert [it.is_closed for it in made] == [True]
    assert line.store is None
