"""What a session's settings mean below: which names, which results, whether at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, final

from proxy.cache.entry import Answer, Context
from proxy.cache.key import Shape
from proxy.routing.plan import Plan, Planner, Scope
from proxy.routing.rules import Candidates, Match
from proxy.routing.terms import NO_WISHES, Policy, Terms, agree
from proxy.session.grammar import Defaults, Grammar, Meaning
from proxy.session.own import Own, show
from proxy.session.state import SessionState
from proxy.sql.hints import Hint
from proxy.sql.statement import Statement
from proxy.types import Reason
from proxy.wire.prepared import Sense

NO_POLICY: Final = Policy()

_TERMS: Final = 1000
"""Kinds of terms that a session keeps; then it begins anew."""


class ContextFinder(Protocol):
    """The cache, as far as a profile needs it."""

    def context(self, shape: Shape, /) -> Context:
        """Find what is cached for sessions of this shape."""


_LEVELS: Final = frozenset(("read committed",))


@final
class Profile:
    """A session's state, and what follows from it. See the module.

    Attributes:
        startup: What it has said of settings when it came.
        state: What the client has set, its startup parameters included.
        scope: What names mean.
        context: What is cached for sessions like this; None where nothing may be.
        levels: The levels of isolation at which reads may leave the primary.
        late_levels: Those at which a transaction may be begun late.
        protocol: What of its protocol changes the bytes of a reply.
        isolation: The level of its transactions, where they name none.
        blocked: Why no read of this session may leave the primary; None when one may.
        is_readable: Whether texts mean what they look like to us.
        modes: How they are cut into tokens.
        sense: What prepared texts depend on; None where we can't tell what they mean.
        own: What it has set of the proxy itself.
        rules: Those that may speak of its statements; None: none does.
        is_ruled: Whether anything but the strong contract may count for its statements.
        fires_others: Whether changes set off other triggers than the catalog says.
        begins_itself: Whether a transaction begins by itself, where none is open.
        alone: What a connection must be like on which a statement is a transaction by itself.
    """

    __slots__ = (
        "_cache",
        "_client",
        "_defaults",
        "_grammar",
        "_group",
        "_planner",
        "_policy",
        "_terms",
        "alone",
        "begins_itself",
        "blocked",
        "context",
        "database",
        "fires_others",
        "is_readable",
        "isolation",
        "late_levels",
        "levels",
        "modes",
        "own",
        "protocol",
        "role",
        "rules",
        "scope",
        "sense",
        "startup",
        "state",
        "user",
    )

    def __init__(
        self,
        planner: Planner,
        cache: ContextFinder | None,
        grammar: Grammar,
        *,
        group: str,
        user: str,
        database: str,
        startup: SessionState,
        defaults: Defaults,
        levels: frozenset[str] = _LEVELS,
        policy: Policy = NO_POLICY,
        own: Own | None = None,
        client: str = "",
        protocol: str = "",
        late_levels: frozenset[str] | None = None,
    ) -> None:
        """Begin.

        Args:
            planner: Finds what names mean.
            cache: Finds what is cached.
            grammar: Says what settings mean.
            group: The server group's name.
            user: Who has logged in.
            database: Where.
            startup: What the client has said of settings when it came.
            defaults: What a login begins with.
            levels: The levels of isolation at which reads may leave the primary.
            protocol: What of its protocol changes the bytes of a reply.
            late_levels: Those at which a transaction may be begun late, if fewer.
        """
        self._planner = planner
        self._cache = cache
        self._grammar = grammar
        self.protocol = protocol or grammar.protocol
        self._group = group
        self.levels = levels
        self.late_levels = levels if late_levels is None else late_levels
        self.startup = startup
        self._defaults = defaults
        self.user = user
        self.database = database
        self.state = startup
        self.role = user
        self.scope: Scope
        self.context: Context | None = None
        self.isolation = ""
        self.blocked: Reason | None = None
        self.is_readable = True
        self.modes = 0
        self.sense: Sense | None = None
        self.fires_others = False
        self.begins_itself = False
        self.alone = startup
        self.own = Own() if own is None else own
        self.rules: Candidates | None = None
        self._client = client
        self._policy = policy
        self._terms: dict[tuple[object, object, object, bool], Terms] = {}
        self._renew()

    @property
    def shape(self) -> str:
        """A digest of the defaults that this session began with."""
        return self._defaults.shape

    @property
    def is_ruled(self) -> bool:
        """Whether somebody has said anything of its statements, by rule or by setting."""
        return (
            self.rules is not None
            or self.own.now is not NO_WISHES
            or not self._policy.contract.is_strong
        )

    @property
    def may_be_rewritten(self) -> bool:
        """Whether a rule may speak of its statements, now or under another name, that rewrites."""
        return self._policy.book.may_rewrite

    def rule_of(self, plan: Plan) -> Match | None:
        """Find the rule that decides on a statement."""
        rules = self.rules
        if rules is None:
            return None
        if rules.has_judged(plan):
            return rules.known(plan)
        return rules.verdict(plan, self._planner.catalog(self.database), self._named_path)

    @property
    def _named_path(self) -> tuple[str, ...]:
        """Where names without a schema are looked for."""
        return tuple([self.role if name == "$user" else name for name in self.scope.search_path])

    def terms(
        self, rule: Match | None, hint: Hint | None, *, must_be_strong: bool = False
    ) -> Terms:
        """Work out how a read is to be served that a rule and a hint speak of, or none does."""
        key = (rule, self.own.now, hint, must_be_strong)
        terms = self._terms.get(key)
        if terms is None:
            if len(self._terms) >= _TERMS:
                self._terms.clear()
            terms = agree(
                self._policy.contract, rule, self.own.now, hint, must_be_strong=must_be_strong
            )
            self._terms[key] = terms
        return terms

    def show_own(self, name: str) -> str:
        """Say what a setting of the proxy's own is.

        Raises:
            UnknownSetting: There is no such setting.
        """
        contract = self._policy.contract
        return show(self.own.now, name, contract.consistency, contract.max_staleness)

    def follow_policy(self) -> None:
        """Rules or contracts have changed: nothing that was worked out by others counts."""
        self._terms.clear()
        self._renew()

    @property
    def answers(self) -> dict[bytes, Answer] | None:
        """Whole requests that are answered from the cache; None where none can be."""
        return self.context.answers if self.context is not None else None

    def become(self, state: SessionState) -> None:
        """Take on another state."""
        if state is not self.state:
            self.state = state
            self._renew()

    def has_set(self, names: frozenset[str]) -> bool:
        """Tell if the client has said what each of these settings is."""
        return names <= {name for name, _ in self.state.settings}

    def set(self, name: str, value: str) -> None:
        """The client has SET something."""
        self.become(self.state.with_setting(name, value))

    def reset(self, name: str) -> None:
        """The client has RESET something: its startup parameter counts again, if it sent one."""
        self.become(self.state.with_setting(name, self.startup.get(name)))

    def reset_all(self) -> None:
        """RESET ALL, but for what lasts, such as a role."""
        lasting = self._grammar.lasting
        kept = {name: value for name, value in self.state.settings if lasting(name)}
        self.become(self.state.with_settings({**dict(self.startup.settings), **kept}))

    def prepared_body(self, execute: bytes) -> bytes | None:
        """Find what an EXECUTE runs; None: nothing that is known here."""
        statements = {name: text for name, (text, _) in self.state.statements}
        return self._grammar.prepared_body(statements, execute)

    @property
    def unknown_body(self) -> Statement:
        """What an EXECUTE runs where nobody knows what was prepared."""
        return self._grammar.unknown_body

    def discard_all(self) -> None:
        """DISCARD ALL: as at login."""
        self.become(self.startup)

    def adopt(self, rows: Iterable[Sequence[bytes | None]]) -> SessionState:
        """Take the server's word for what is set: something may have set it unseen.

        A startup parameter that is not set there was RESET: to the client it counts again.

        Args:
            rows: Name and value of each setting; a value of None: it is not set.

        Returns:
            What the server's session is like.
        """
        settings = self._grammar.adopted(rows, self.user)
        there = self.state.with_settings(settings)
        self.become(self.state.with_settings({**dict(self.startup.settings), **settings}))
        return there

    def _renew(self) -> None:
        meaning = self._grammar.understand(self.state.settings, self._defaults, self.user)
        self.is_readable = meaning.is_readable
        self.modes = meaning.modes
        self.sense = meaning.sense
        self.fires_others = meaning.fires_others
        self.isolation = meaning.isolation
        self.role = meaning.role
        self.blocked = meaning.blocked
        self.begins_itself = meaning.alone is not None
        self.alone = self.state
        if meaning.alone is not None:
            self.alone = self.state.with_setting(*meaning.alone)
            if self.isolation not in self.late_levels:
                self.blocked = Reason.TRANSACTION
        if meaning.path is None:
            self.blocked = Reason.SETTINGS
        elif self.blocked is None and self.isolation not in self.levels:
            self.blocked = Reason.ISOLATION
        elif not meaning.is_readable:
            self.blocked = Reason.SETTINGS
        self.scope = self._planner.scope(self.database, self.role, meaning.path or ())
        self.rules = None
        if self._policy.book.matches:
            self.rules = self._policy.book.candidates(
                self.user, self.database, meaning.application, self._client
            )
        self.context = None
        if self._cache is not None and self.blocked is None:
            self.context = self._cache.context(self._shape(meaning))

    def _shape(self, meaning: Meaning) -> Shape:
        return Shape(
            salt=int(self._defaults.shape or "0", 16),
            epoch=0,
            group=self._group,
            database=self.database,
            user=f"{self.user}/{meaning.authorization}",
            role=meaning.role,
            protocol=self.protocol,
            encoding=meaning.encoding,
            settings=meaning.shaping,
            rules=() if self.rules is None else self.rules.key,
        )
