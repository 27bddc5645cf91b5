"""Who is let in, and what a client is given at its login: a greeting, proofs, a profile.

The dialogue itself is held by `client`; what is stored of passwords, and what logs in to the
servers, is known to `accounts`.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final, Protocol, final

from cryptography.hazmat.primitives.asymmetric import rsa

from proxy.engines.mysql.settings import NOWHERE, SCHEMA, quote, quote_name
from proxy.errors import ClientVisibleError, NoPrimary, ServerLost, TooManyWaiting
from proxy.routing.terms import Policy
from proxy.runtime.admission import late_levels, terms_of
from proxy.runtime.borrowing import Borrower, StateRefused
from proxy.runtime.mysql.accounts import FAILURES, Accounts
from proxy.runtime.mysql.opening import OURS, THEIRS, reach
from proxy.runtime.security import Security
from proxy.runtime.server import ServerConnection
from proxy.runtime.service import GroupService
from proxy.session.grammar import Defaults
from proxy.session.ports import Terms
from proxy.session.profile import Profile
from proxy.session.state import SessionState
from proxy.settings.model import ServerGroup
from proxy.wire.mysql.authentication import Means
from proxy.wire.mysql.credentials import Credentials, Stored
from proxy.wire.mysql.errors import LoginRefused
from proxy.wire.mysql.handshake import NONCE_SIZE, Greeting
from proxy.wire.mysql.killing import Kill, Killed
from proxy.wire.mysql.login import Welcome, Wish
from proxy.wire.mysql.ok import read_error
from proxy.wire.mysql.scramble import NATIVE, SHA2, PasswordKey
from proxy.wire.mysql.startup import offer

CATALOG: Final = "def"
"""The one catalog of a server, by MySQL's own name for it: statements reach across its schemas."""

KNOWN: Final = 10_000
"""Kinds of clients that are remembered; then it begins anew."""

RETRY: Final = 0.2
"""Seconds until servers that did not answer are asked again."""

_KEY_BITS: Final = 2048

_LARGEST_ID: Final = 0xFFFF_FFFF

_COLLATIONS: Final = """
SELECT id, character_set_name AS charset, collation_name AS collation
FROM information_schema.collations WHERE id IS NOT NULL AND character_set_name IS NOT NULL
"""

_FALLBACK: Final = ("utf8mb4", "utf8mb4_general_ci")

_AUTOCOMMIT: Final = 0x0002


class Killable(Protocol):
    """Who has a connection id: a client."""

    user: str

    def cancel(self) -> None:
        """Stop what runs for it."""

    def kill(self) -> None:
        """End it."""


@final
class Logins:
    """See the module."""

    def __init__(
        self,
        settings: ServerGroup,
        security: Security,
        accounts: Accounts,
        service: GroupService,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._service = service
        self._lasting = secrets.token_bytes(32)
        self._welcome: Welcome | None = None  # what the servers say of themselves
        self._asking = asyncio.Lock()
        self._collations: dict[int, tuple[str, str]] = {}
        self._known: dict[tuple[str, str, SessionState], Defaults] = {}
        self._key: PasswordKey | None = None
        self._clients: dict[int, Killable] = {}
        self._last_id = 0
        self._seat = self._step = 1
        self.tls = security.clients
        self.requires_tls = security.requires_tls

    def sit_down(self, number: int, count: int) -> None:
        """Give every `count`th connection id only: the others are other processes'."""
        self._seat, self._step = number, count
        self._last_id = number - count

    def forget(self) -> None:
        """There is a new primary: it may be another version, with other defaults."""
        self._welcome = None
        self._known.clear()

    def full(self) -> ClientVisibleError:
        """The error of a client too many."""
        limit = self._settings.max_client_conn
        return TooManyWaiting(f"Too many connections (max_client_conn = {limit})")

    # Greeting

    async def greeting(self, number: int) -> Greeting:
        """Say what a server would: what it is, and what it can do.

        Raises:
            NoPrimary: None answers.
        """
        welcome = await self.servers()
        plugin = NATIVE if welcome.is_mariadb else SHA2
        prefix = b"5.5.5-" if welcome.is_mariadb else b""
        return Greeting(
            server_version=prefix + welcome.server_version,
            connection_id=number,
            nonce=bytes(secrets.choice(range(1, 128)) for _ in range(NONCE_SIZE)),
            capabilities=offer(welcome.capabilities),
            charset=welcome.charset,
            # MySQL always says so at first; drivers that believe MariaDB's word say no SET.
            status=_AUTOCOMMIT & (welcome.ok.status if welcome.is_mariadb else _AUTOCOMMIT),
            plugin=plugin,
        )

    async def servers(self) -> Welcome:
        """Find out what the servers are.

        Raises:
            NoPrimary: None answers for as long as a client waits.
        """
        async with self._asking:
            deadline = self._service.clock() + self._settings.query_wait_timeout
            while self._welcome is None:
                try:
                    self._welcome = await self._ask_servers()
                    rows = await self._accounts.fetch(_COLLATIONS)
                except (ClientVisibleError, *FAILURES) as error:
                    self._welcome = None
                    if self._service.clock() >= deadline:
                        name = self._settings.name
                        raise NoPrimary(f'no server of group "{name}" answers: {error}') from None
                    await asyncio.sleep(RETRY)
                else:
                    self._collations = {
                        int(row["id"]): (row["charset"], row["collation"]) for row in rows
                    }
            return self._welcome

    async def _ask_servers(self) -> Welcome:
        group = self._service.group
        server = group.primary or group.servers[0]
        password = self._settings.auth_password
        secret = b"" if password is None else password.get_secret_value().encode()
        wish = Wish(user=self._settings.auth_user.encode(), capabilities=OURS | THEIRS)
        address = self._service.maker.address(server)
        async with asyncio.timeout(address.timeout):
            connection, welcome = await reach(address, wish, Credentials(secret))
        connection.close()
        return welcome

    # Proofs

    def means(self, greeting: Greeting, *, is_private: bool) -> Means:
        """What a client proves itself by.

        Args:
            greeting: As it was greeted.
            is_private: Whether nobody else hears it; otherwise it encrypts its password itself.
        """
        if self._key is None and not is_private:
            self._key = PasswordKey(rsa.generate_private_key(65537, _KEY_BITS))
        return Means(
            verified=self._accounts.verified,
            lasting=self._lasting,
            plugins=(greeting.plugin,),
            key=self._key,
        )

    async def stored(self, user: str) -> Stored | None:
        """Find what is stored of a user's password; None: there is no such user."""
        return await self._accounts.stored(user)

    async def is_password(self, user: bytes, password: bytes) -> bool:
        """Have a server say whether this is a user's password."""
        primary = self._service.group.primary
        if primary is None:
            raise self._service.line.no_primary()
        address = self._service.maker.address(primary)
        wish = Wish(user=user, capabilities=OURS)
        try:
            async with asyncio.timeout(address.timeout):
                connection, _ = await reach(address, wish, Credentials(password))
        except LoginRefused:
            return False
        except (OSError, TimeoutError) as error:
            raise NoPrimary(f"server {primary.name} can't be reached: {error}") from None
        connection.close()
        return True

    # Profiles

    async def profile(
        self,
        user: str,
        schema: str,
        charset: int,
        agreed: int,
        credentials: Credentials,
        client: str,
        policy: Policy | None = None,
    ) -> Profile:
        """Make a new client's profile.

        Args:
            user: Who it is.
            schema: Where it begins; empty: nowhere yet.
            charset: The number of its collation.
            agreed: The capabilities of its connection.
            credentials: What logs in to the servers in its name.
            client: Where it comes from.
            policy: What counts for it in place of what the server group says.

        Raises:
            LoginRefused: The server would not let it in, or has no such schema.
        """
        service = self._service
        self._accounts.learn(user, credentials)
        state = self._startup(schema, charset)
        flavour = f"{agreed & THEIRS:x}"
        defaults = await self._defaults(user, flavour, state)
        profile = Profile(
            service.planner,
            service.results,
            service.grammar,
            group=self._settings.name,
            user=user,
            database=CATALOG,
            startup=state,
            defaults=defaults,
            levels=frozenset(("read committed", "repeatable read")),
            late_levels=late_levels(self._settings),
            policy=policy or service.policy,
            client=client,
            protocol=f"mysql/{agreed:x}/{flavour}",
        )
        service.catalogs.want(CATALOG)
        return profile

    def _startup(self, schema: str, charset: int) -> SessionState:
        """The state of a session that has only said hello."""
        name, collation = self._collations.get(charset, _FALLBACK)
        settings = {
            "character_set_client": quote(name),
            "character_set_results": quote(name),
            "character_set_connection": quote(name),
            "collation_connection": quote(collation),
        }
        if schema:
            settings[SCHEMA] = quote_name(schema)
        return SessionState.of(settings, {})

    async def _defaults(self, user: str, flavour: str, state: SessionState) -> Defaults:
        key = (user, flavour, state)
        known = self._known.get(key)
        if known is not None:
            return known
        borrower = Borrower()
        try:
            pool = flavour if state.get(SCHEMA) else flavour + NOWHERE
            connection = await borrower.borrow(self._service, user, pool, state)
        except StateRefused as refusal:
            raise LoginRefused(read_error(refusal.message)) from None
        facts = connection.facts
        borrower.give_back(connection)
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[key] = defaults = Defaults(facts.defaults, facts.shape)
        return defaults

    def terms(self, user: str) -> Terms:
        """How long a user's clients keep their server connections."""
        return terms_of(self._settings, user)

    async def reach_primary(self, user: str, agreed: int) -> ServerConnection:
        """Connect to the primary for one client only.

        Args:
            user: Whose client it is, which has proven that.
            agreed: What the client can do.

        Raises:
            NoPrimary, ServerLost: There is none, or it can't be reached.
            LoginRefused: It said no.
        """
        service = self._service
        primary = service.group.primary
        if primary is None:
            raise service.line.no_primary()
        wish = Wish(user=user.encode("utf-8", "surrogateescape"), capabilities=agreed)
        address = service.maker.address(primary)
        try:
            async with asyncio.timeout(address.timeout):
                connection, _ = await reach(address, wish, self._accounts.credentials(user))
        except (OSError, TimeoutError) as error:
            raise ServerLost(f"server {primary.name} can't be reached: {error}") from None
        return connection

    # Connection ids

    def enter(self, client: Killable) -> int:
        """Number a client."""
        while True:
            self._last_id += self._step
            if self._last_id > _LARGEST_ID:
                self._last_id = self._seat
            if self._last_id not in self._clients:
                self._clients[self._last_id] = client
                return self._last_id

    def leave(self, number: int) -> None:
        """A client is gone."""
        self._clients.pop(number, None)

    def is_elsewhere(self, number: int) -> bool:
        """Tell if a connection id is of another process on this host, if it is anybody's."""
        return 0 < number <= _LARGEST_ID and number % self._step != self._seat % self._step

    def kill(self, wanted: Kill, user: str) -> Killed:
        """End a client's connection, or what it runs, for another client of the same user."""
        other = self._clients.get(wanted.number)
        if other is None:
            return Killed.UNKNOWN
        if other.user != user:
            return Killed.NOT_OURS
        if wanted.is_query:
            other.cancel()
        else:
            other.kill()
        return Killed.DONE
