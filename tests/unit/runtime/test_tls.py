"""What is told of TLS besides its bytes."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from proxy.demo.certificates import Authority
from proxy.runtime.tls import Tls, client_context, server_context


@pytest.fixture
def peers(tmp_path: Path) -> tuple[Tls, Tls]:
    """A client and a server that have shaken hands."""
    pair = Authority(tmp_path).issue_server()
    ours = server_context(
        str(pair.certificate), str(pair.key), ca=None, require_client_certificate=False
    )
    theirs = client_context("require", ca=None, certificate=None, key=None)
    assert theirs is not None
    client, server = Tls(theirs, server_side=False), Tls(ours, server_side=True)
    data = b""
    while not (client.established and server.established and not data):
        _, data = server.receive(client.receive(data)[1])
    return client, server


def test_a_goodbye_is_the_end_of_what_came_with_it(peers: tuple[Tls, Tls]) -> None:
    client, server = peers
    sent = client.send(b"the last word")
    assert server.receive(sent) == (b"the last word", b"")
    assert not server.is_over
    assert server.receive(client.send(b"and one more") + client.goodbye())[0] == b"and one more"
    assert server.is_over


def test_a_goodbye_is_answered_by_ours(peers: tuple[Tls, Tls]) -> None:
    client, server = peers
    server.receive(client.goodbye())
    assert client.receive(server.goodbye()) == (b"", b"")


def test_what_is_not_tls_is_refused(peers: tuple[Tls, Tls]) -> None:
    _, server = peers
    with pytest.raises(ssl.SSLError):
        server.receive(b"\x00" * 40)
    assert server.pending()
