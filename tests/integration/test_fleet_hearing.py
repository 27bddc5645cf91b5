"""Members that are set up apart from the others, and a view that somebody has changed by hand."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxy.demo.processes import freeze, wait_until
from tests.integration.grounds import ERRORS, Client, Ground, standing_on
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.test_fleet import BOOK, members_of, until_fast, until_members

IS_SOAK = "TIDEGATE_SOAK_SECONDS" in os.environ

standing = standing_on("postgres", "mariadb")


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    with standing.lent(book=0):
        yield standing


def said(member: ProxyUnderTest) -> str:
    """What /readyz says is in the way."""
    try:
        status, body = member.get("/readyz")
    except OSError:
        return ""
    return "" if status == 200 else " ".join(json.loads(body)["groups"].get("app", ()))


def test_who_can_not_be_heard_stays_out_and_says_why(ground: Ground, tmp_path: Path) -> None:
    """Those who hear each other go on as before; and it is let in when nobody is apart."""
    if ground.engine != "postgres" and not IS_SOAK:
        pytest.skip("the rule is the same for all: in the soak")
    url = f"unix://{tmp_path}/bus"
    member = ground.start(bus_url=url, out_of_band="none")
    until_members(member, 1)
    elsewhere = ground.launch({"bus_url": f"unix://{tmp_path}/elsewhere"}, out_of_band="none")
    renamed = ground.launch({"bus_url": url, "name": "renamed"}, out_of_band="none")
    workers = ground.launch(None, workers=2, out_of_band="none")
    with ground.connect(member) as client:
        until_fast(client)
        wait_until(lambda: "set the same [fleet] bus_url" in said(elsewhere), "what is wrong")
        wait_until(lambda: "set the same [fleet] name" in said(renamed), "what is wrong")
        wait_until(lambda: "set the same [fleet] bus_url" in said(workers), "what is wrong")
        assert f":{member.process.pid})" in said(elsewhere)
        for apart in (elsewhere, renamed, workers):
            assert apart.metric("tidegate_fleet_unheard") == 1
            assert members_of(apart) == 0
        assert members_of(member) == 1
        assert member.metric("tidegate_fleet_unheard") == 0
        assert client.explain(BOOK)["cache"] == "hit now"
    renamed.stop()
    workers.stop()
    member.stop()
    wait_until(lambda: elsewhere.get("/readyz")[0] == 200, "the one who is left to be let in")
    assert elsewhere.metric("tidegate_fleet_unheard") == 0
    elsewhere.stop()


def empty(ground: Ground, *tables: str) -> None:
    for table in tables:
        ground.cluster.primary.execute(f"TRUNCATE tidegate.{table}")


def bring_back(ground: Ground) -> None:
    """Have rows be what they were at some time before, as a dump would."""
    primary = ground.cluster.primary
    for sql in (
        "DELETE FROM tidegate.member WHERE standing = 'in'",
        "INSERT INTO tidegate.member (name, label, standing, step, number, token)"
        " VALUES ('0123456789abcdef', 'gone:1', 'in', '0', 0, '0')",
        "UPDATE tidegate.epoch SET number = 0, token = '0'",
    ):
        primary.execute(sql)


HANDS = {
    "dropped": Ground.drop_view,
    "members": lambda ground: empty(ground, "member"),
    "epoch": lambda ground: empty(ground, "epoch"),
    "sessions": lambda ground: empty(ground, "session"),
    "restored": bring_back,
}
ORDINARY = ("dropped",)


@pytest.mark.parametrize("how", [how for how in HANDS if IS_SOAK or how in ORDINARY])
def test_a_view_that_is_changed_by_hand_is_made_anew(
    ground: Ground, tmp_path: Path, how: str
) -> None:
    """No read is stale meanwhile, and all are members again, without anybody's help."""
    url = f"unix://{tmp_path}/bus"
    members = [ground.start(bus_url=url, out_of_band="none") for _ in range(2)]
    until_members(members[0], 2)
    clients = [ground.connect(member) for member in members]
    for client in clients:
        until_fast(client)
    HANDS[how](ground)
    clients = write_and_read(ground, members, clients)
    for member in members:
        wait_until(lambda it=member: members_of(it) == 2, "both to be members again")  # type: ignore[misc]
        assert member.log.read_text().count("is not what the members made it") == 1
    for client in clients:
        until_fast(client)
        client.__exit__(None, None, None)
    for member in members:
        member.stop()


def write_and_read(
    ground: Ground, members: Sequence[ProxyUnderTest], clients: Sequence[Client]
) -> list[Client]:
    """Write through each and read through the other, until all have begun anew and serve.

    Returns:
        A connection to each.
    """
    open_now = list(clients)
    number = 0
    until = time.monotonic() + 30.0
    while True:
        assert time.monotonic() < until, "they do not serve"
        has_begun = all("is not what the members" in it.log.read_text() for it in members)
        number += 1
        writer = number % 2
        try:
            open_now[writer].ask(f"UPDATE book SET a = {number}")
            assert open_now[1 - writer].value(BOOK) == number
            assert open_now[writer].value(BOOK) == number
        except ERRORS:
            for at, member in enumerate(members):
                open_now[at].__exit__(None, None, None)
                wait_until(lambda it=member: not said(it), "a member to serve")  # type: ignore[misc]
                open_now[at] = ground.connect(member)
            continue
        if has_begun:
            return open_now


def test_who_has_not_noticed_is_waited_for(ground: Ground, tmp_path: Path) -> None:
    """It may write on the connections that it has, and nobody knows of those any more."""
    if not IS_SOAK:
        pytest.skip("unit tests have the rule: in the soak")
    url = f"unix://{tmp_path}/bus"
    goes_on, stands = (ground.start(bus_url=url, out_of_band="none") for _ in range(2))
    until_members(goes_on, 2)
    freeze(stands.process.pid)
    try:
        ground.drop_view()
        goes_on.wait_logged("is not what the members made it")
        until = time.monotonic() + 3.0  # longer than a lease
        while time.monotonic() < until:
            assert said(goes_on)
    finally:
        stands.process.send_signal(signal.SIGCONT)
    until_members(goes_on, 2)
    until_members(stands, 2)
    goes_on.stop()
    stands.stop()
