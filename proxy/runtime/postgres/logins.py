"""Who is let in, and what a client is given at its login: proofs, a profile, a key to cancel with.

The dialogue itself is held by `client`; what is stored of passwords, and what logs in to the
servers, is known to `accounts`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol, final

from proxy.errors import ClientVisibleError, TooManyWaiting
from proxy.observe.metrics import GroupMetrics
from proxy.routing.plan import Planner
from proxy.routing.terms import Policy
from proxy.runtime.admission import late_levels, terms_of
from proxy.runtime.postgres.accounts import Accounts
from proxy.runtime.postgres.welcome import Welcomes, startup_state, startup_wishes
from proxy.runtime.security import Security
from proxy.session.grammar import Grammar
from proxy.session.own import Hand, Own
from proxy.session.ports import Terms
from proxy.session.profile import ContextFinder, Profile
from proxy.settings.model import ServerGroup
from proxy.wire.postgres.authentication import Chance, Method
from proxy.wire.postgres.credentials import Credentials
from proxy.wire.postgres.packets import CancelRequest
from proxy.wire.postgres.startup import Startup


class Cancellable(Protocol):
    """Who has a key: a client."""

    def cancel(self) -> None:
        """Stop what runs for it."""


@final
class Logins:
    """See the module.

    Attributes:
        tls: What encrypts clients' connections; None: nothing does.
        channel_binding: Of our certificate.
        requires_tls: Whether a client must use it.
        method: How a client proves who it is.
    """

    __slots__ = (
        "_accounts",
        "_cache",
        "_grammar",
        "_hand",
        "_keys",
        "_lasting",
        "_metrics",
        "_planner",
        "_policy",
        "_settings",
        "_want_catalog",
        "_welcomes",
        "channel_binding",
        "method",
        "requires_tls",
        "tls",
    )

    def __init__(
        self,
        settings: ServerGroup,
        security: Security,
        accounts: Accounts,
        welcomes: Welcomes,
        planner: Planner,
        cache: ContextFinder | None,
        grammar: Grammar,
        metrics: GroupMetrics,
        want_catalog: Callable[[str], None],
        policy: Policy,
        hand: Hand,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._welcomes = welcomes
        self._planner = planner
        self._cache = cache
        self._grammar = grammar
        self._metrics = metrics
        self._want_catalog = want_catalog
        self._policy = policy
        self._hand = hand
        self._lasting = secrets.token_bytes(32)
        self._keys: dict[int, tuple[bytes, Cancellable]] = {}
        self.tls = security.clients
        self.channel_binding = security.channel_binding
        self.requires_tls = security.requires_tls
        self.method = Method(settings.auth_type.value)

    def full(self) -> ClientVisibleError:
        """The error of a client too many."""
        limit = self._settings.max_client_conn
        return TooManyWaiting(f"sorry, too many clients already (max_client_conn = {limit})")

    def new_chance(self) -> Chance:
        """Random bytes for one authentication."""
        return Chance(fresh=secrets.token_bytes(18), lasting=self._lasting)

    async def stored_secret(self, user: str) -> bytes | None:
        """Find what is stored of a user's password."""
        if self.method in (Method.TRUST, Method.CERT) and user not in self._settings.users:
            return None
        return await self._accounts.stored(user)

    def failed(self, error: ClientVisibleError) -> None:
        """A login came to nothing."""
        self._metrics.login_failures.count(error.fault.value)

    async def welcome(
        self,
        wish: Startup,
        user: str,
        database: str,
        credentials: Credentials,
        *,
        client: str,
        policy: Policy | None = None,
    ) -> tuple[Profile, bytes]:
        """Make a new client's profile, and the messages that tell it of its session.

        Args:
            wish: What it said when it came.
            user: Who it is.
            database: Where it wants to go.
            credentials: What logs in to the servers in its name.
            client: Where it comes from.
            policy: What counts for it in place of what the server group says.
        """
        self._accounts.learn(user, credentials)
        own = Own(startup_wishes(wish, self._hand))
        state = startup_state(wish)
        greeting = await self._welcomes.greeting(user, database, state)
        profile = Profile(
            self._planner,
            self._cache,
            self._grammar,
            group=self._settings.name,
            user=user,
            database=database,
            startup=state,
            defaults=greeting.defaults,
            levels=late_levels(self._settings),
            policy=policy or self._policy,
            own=own,
            client=client,
        )
        self._want_catalog(database)
        return profile, greeting.parameters

    def terms(self, user: str) -> Terms:
        """How long a user's clients keep their server connections."""
        return terms_of(self._settings, user)

    def new_key(self, client: Cancellable, size: int) -> tuple[int, bytes]:
        """Make the key that cancels a client's statement."""
        while (pid := secrets.randbits(31)) in self._keys or pid == 0:
            pass
        secret = secrets.token_bytes(size)
        self._keys[pid] = (secret, client)
        return pid, secret

    def drop_key(self, pid: int) -> None:
        """Its client is gone."""
        self._keys.pop(pid, None)

    def cancel_by_key(self, wish: CancelRequest) -> bool:
        """Cancel what the owner of a key runs; a wrong key is met with silence.

        Returns:
            Whether a key of this process was meant.
        """
        secret, client = self._keys.get(wish.pid, (b"", None))
        if client is None or not secrets.compare_digest(secret, wish.secret):
            return False
        client.cancel()
        return True
