"""Our login meets our authentication: every kind of credentials, of account, of connection."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.errors import ClientVisibleError
from proxy.wire.mysql.authentication import Authenticated, Claim, Means, authenticate
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.credentials import ELSEWHERE, Credentials, Stored
from proxy.wire.mysql.errors import LoginRefused
from proxy.wire.mysql.events import Encryption, PasswordGiven, TlsBegins
from proxy.wire.mysql.handshake import Greeting
from proxy.wire.mysql.login import Channel, Welcome, Wish, log_in
from proxy.wire.mysql.ok import Ok, ok_packet
from proxy.wire.mysql.scramble import NATIVE, SHA2, PasswordKey, native_key, sha2_key
from proxy.wire.mysql.sha_crypt import ShaVerifier
from proxy.wire.mysql.startup import Startup, client_startup, offer
from proxy.wire.mysql.turns import Turns, packet_size
from proxy.wire.mysql.verified import Verified

KEY = PasswordKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))
ACCOUNTS = {
    "native": Stored(NATIVE, b"*7614BE58636C810A9D8970A50B3B2A78450413E4"),
    "sha2": Stored(SHA2, bytes(ShaVerifier.make(b"pencil", b"s" * 20, 1000))),
    "ed25519": Stored(b"ed25519", b"x1YAMCvR7TI3XkfIDrsGUiePkxOybYVG94ctSSWCDSc"),
    "listed": Stored.listed(b"pencil"),
    "elsewhere": ELSEWHERE,
    "nobody": None,
}
SERVERS = {
    "mysql": Greeting(
        server_version=b"9.7.4",
        connection_id=1,
        nonce=b"abcdefghijklmnopqrst",
        capabilities=offer(0xDFFF_FFFF),
        charset=255,
        status=2,
        plugin=SHA2,
    ),
    "mariadb": Greeting(
        server_version=b"5.5.5-10.11.19-MariaDB",
        connection_id=1,
        nonce=b"abcdefghijklmnopqrst",
        capabilities=offer(0x1D_81FF_FFFE),
        charset=45,
        status=2,
        plugin=NATIVE,
    ),
}


@dataclass
class Ends:
    """How it ended at both ends."""

    server: Authenticated | ClientVisibleError | None = None
    client: Welcome | LoginRefused | None = None
    asked: int = 0


class Wire:
    """What a shell does, without a socket: passes on what one end says to the other."""

    def __init__(self, credentials: Credentials, channel: Channel) -> None:
        self.login = log_in(Wish(user=b"ann", database=b"shop"), credentials, channel)
        self.ends = Ends()
        next(self.login)

    def to_client(self, data: bytes) -> bytes:
        """Pass on whole packets; what the client says to the last of them."""
        said = b""
        while data:
            size = packet_size(data)
            try:
                heard = self.login.send(data[:size])
                if isinstance(heard, TlsBegins):
                    said += heard.answer
                    heard = self.login.send(b"")
                assert isinstance(heard, bytes)
                said += heard
            except StopIteration as stop:
                self.ends.client = stop.value
            except LoginRefused as refused:
                self.ends.client = refused
            data = data[size:]
        return said

    def start(self, greeting: Greeting, encryption: Encryption, turns: Turns) -> Startup:
        dialogue = client_startup(greeting, turns, encryption=encryption)
        heard = next(dialogue)
        try:
            while True:
                # Behind a request for TLS the rest follows as if it had been decrypted.
                said = heard.received if isinstance(heard, TlsBegins) else self.to_client(heard)
                heard = dialogue.send(said)
        except StopIteration as stop:
            startup: Startup = stop.value
            return startup

    def prove(self, claim: Claim, means: Means, turns: Turns) -> Authenticated:
        dialogue = authenticate(claim, means, turns, now=0.0)
        try:
            heard = next(dialogue)
            while True:
                if isinstance(heard, PasswordGiven):
                    self.ends.asked += 1
                    heard.accepted = heard.password == b"pencil"
                    heard = dialogue.send(b"")
                else:
                    said = self.to_client(heard)
                    if self.ends.client is not None:
                        raise ConnectionError
                    heard = dialogue.send(said)
        except StopIteration as stop:
            authenticated: Authenticated = stop.value
            return authenticated


def meet(
    stored: Stored | None,
    credentials: Credentials,
    *,
    server: str,
    encryption: Encryption = Encryption.NEVER,
    means: Means,
) -> Ends:
    """Have a client log in."""
    greeting, turns = SERVERS[server], Turns()
    wire = Wire(credentials, Channel(encryption=encryption, fetches_key=True))
    ends = wire.ends
    try:
        startup = wire.start(greeting, encryption, turns)
        claim = Claim(
            user=startup.response.user,
            host="10.0.0.1",
            stored=stored,
            nonce=greeting.nonce,
            first=startup.first,
            can_switch=startup.can_switch,
            is_private=startup.is_encrypted,
        )
        ends.server = wire.prove(claim, means, turns)
        wire.to_client(ends.server.answer)
        wire.to_client(ok_packet(turns.next_id, Ok(), 0))
    except ConnectionError:
        pass
    except ClientVisibleError as error:
        ends.server = error
        wire.to_client(turns.refusal(error))
    return ends


def new_means(server: str) -> Means:
    plugins = (SHA2,) if server == "mysql" else (NATIVE, SHA2)
    return Means(verified=Verified(60.0), lasting=b"x", plugins=plugins, key=KEY)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("account", ACCOUNTS)
def test_the_password_gets_in_and_gets_on(
    account: str, encryption: Encryption, server: str
) -> None:
    stored, means = ACCOUNTS[account], new_means(server)
    first = meet(stored, Credentials(b"pencil"), server=server, encryption=encryption, means=means)
    if account == "nobody":
        assert isinstance(first.client, LoginRefused)
        assert first.client.errno == 1045
        return
    assert isinstance(first.client, Welcome)
    assert first.client.is_encrypted == (encryption is not Encryption.NEVER)
    assert first.asked == (account == "elsewhere")
    assert isinstance(first.server, Authenticated)
    # What was learnt gets in where an account of the same kind is.
    second = meet(stored, first.server.credentials, server=server, means=means)
    assert isinstance(second.client, Welcome)
    assert second.asked == 0


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("encryption", Encryption)
@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_wrong_password_gets_nowhere(account: str, encryption: Encryption, server: str) -> None:
    means = new_means(server)
    wrong = Credentials(b"pencils")
    for _ in range(2):
        ends = meet(ACCOUNTS[account], wrong, server=server, encryption=encryption, means=means)
        assert isinstance(ends.client, LoginRefused)
        assert ends.client.message == (
            "Access denied for user 'ann'@'10.0.0.1' (using password: YES)"
        )
        # Between the two, somebody gets in who knows it.
        meet(ACCOUNTS[account], Credentials(b"pencil"), server=server, means=means)


@pytest.mark.parametrize("server", SERVERS)
def test_a_key_gets_in_without_the_password(server: str) -> None:
    means = new_means(server)
    key = Credentials(native_key=native_key(b"pencil"))
    assert isinstance(meet(ACCOUNTS["native"], key, server=server, means=means).client, Welcome)
    key = Credentials(sha2_key=sha2_key(b"pencil"))
    cold = meet(ACCOUNTS["sha2"], key, server=server, means=means).client
    assert isinstance(cold, LoginRefused)
    assert (cold.ours, cold.wants_password) == (True, True)
    meet(ACCOUNTS["sha2"], Credentials(b"pencil"), server=server, means=means)
    assert isinstance(meet(ACCOUNTS["sha2"], key, server=server, means=means).client, Welcome)


def test_a_garbled_answer_is_refused_in_the_midst_of_it() -> None:
    turns = Turns()
    dialogue = client_startup(SERVERS["mysql"], turns, encryption=Encryption.NEVER)
    next(dialogue)
    with pytest.raises(ClientVisibleError):
        dialogue.send(packet(1, b"\xff" * 40))
