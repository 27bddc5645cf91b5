"""What a session's settings mean below: which names, which results, whether at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

from proxy.cache.entry import Answer, Context
from proxy.cache.key import Shape
from proxy.routing.plan import Plan, Planner, Scope
from proxy.routing.rules import Candidates, Match
from proxy.routing.terms import NO_WISHES, Policy, Terms, agree
from proxy.session.own import Own, show
from proxy.session.shaping import SHAPELESS, constants_depend_on, names_depend_on
from proxy.session.state import SessionState, Settings
from proxy.sql.hints import Hint
from proxy.sql.session_commands import Execute, Prepare, read_command, read_name_list
from proxy.types import Reason
from proxy.wire.postgres.prepared import Sense

_UNREADABLE_ENCODINGS: Final = frozenset(
    (
        "sjis",
        "big5",
        "gbk",
        "uhc",
        "gb18030",
        "johab",
        "shift_jis",
        "shift_jis_2004",
        "shiftjis",
        "mskanji",
        "win932",
        "windows932",
        "win936",
        "windows936",
        "win949",
        "windows949",
        "win950",
        "windows950",
    )
)
"""Client encodings in which a byte below 128 may be the second half of a character."""

LISTS: Final = frozenset(
    (
        "search_path",
        "temp_tablespaces",
        "session_preload_libraries",
        "local_preload_libraries",
        "unix_socket_directories",
    )
)
"""Settings whose value is a list of names, which the server shows the way it is written."""

_OWN_TRIGGERS: Final = ("origin", "local")

NO_POLICY: Final = Policy()

_TERMS: Final = 1000
"""Kinds of terms that a session keeps; then it begins anew."""

ROLE: Final = "role"
AUTHORIZATION: Final = "session_authorization"


class ContextFinder(Protocol):
    """The cache, as far as a profile needs it."""

    def context(self, shape: Shape, /) -> Context:
        """Find what is cached for sessions of this shape."""


_LEVELS: Final = frozenset(("read committed",))


@dataclass(slots=True, frozen=True)
class Defaults:
    """What a login of this user to this database begins with, as the server said.

    Attributes:
        shape: A digest of every default that shapes results.
    """

    search_path: str
    isolation: str
    encoding: str
    shape: str


@final
class Profile:
    """A session's state, and what follows from it. See the module.

    Attributes:
        startup: What it has said of settings when it came.
        state: What the client has set, its startup parameters included.
        scope: What names mean.
        context: What is cached for sessions like this; None where nothing may be.
        levels: The levels of isolation at which reads may leave the primary.
        isolation: The level of its transactions, where they name none.
        blocked: Why no read of this session may leave the primary; None when one may.
        is_readable: Whether texts mean what they look like to us.
        sense: What prepared texts depend on; None where we can't tell what they mean.
        own: What it has set of the proxy itself.
        rules: Those that may speak of its statements; None: none does.
        is_ruled: Whether anything but the strong contract may count for its statements.
        fires_others: Whether changes set off other triggers than the catalog says.
    """

    __slots__ = (
        "_cache",
        "_client",
        "_defaults",
        "_group",
        "_planner",
        "_policy",
        "_terms",
        "blocked",
        "context",
        "database",
        "fires_others",
        "is_readable",
        "isolation",
        "levels",
        "own",
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
    ) -> None:
        """Begin.

        Args:
            planner: Finds what names mean.
            cache: Finds what is cached.
            group: The server group's name.
            user: Who has logged in.
            database: Where.
            startup: What the client has said of settings when it came.
            defaults: What a login begins with.
            levels: The levels of isolation at which reads may leave the primary.
        """
        self._planner = planner
        self._cache = cache
        self._group = group
        self.levels = levels
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
        self.sense: Sense | None = None
        self.fires_others = False
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
        """RESET ALL leaves the role as it is, as the server does."""
        kept = {name: value for name, value in self.state.settings if name in (ROLE, AUTHORIZATION)}
        self.become(self.state.with_settings({**dict(self.startup.settings), **kept}))

    def prepared_body(self, execute: bytes) -> bytes | None:
        """Find what an EXECUTE runs; None: nothing that is known here."""
        command = read_command(execute)
        text = None
        if isinstance(command, Execute):
            text, _ = dict(self.state.statements).get(command.name, (None, ()))
        prepared = read_command(text.encode()) if text is not None else None
        return prepared.body.encode() if isinstance(prepared, Prepare) else None

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
        unset = ((ROLE, "none"), (AUTHORIZATION, self.user))
        settings: dict[str, str] = {}
        for row in rows:
            name, value = (
                None if field is None else field.decode("utf-8", "surrogateescape") for field in row
            )
            if name is None or value is None or (name, value) in unset:
                continue
            settings[name.lower()] = written(name.lower(), value)
        there = self.state.with_settings(settings)
        self.become(self.state.with_settings({**dict(self.startup.settings), **settings}))
        return there

    def _renew(self) -> None:
        settings = dict(self.state.settings)
        path = read_name_list(settings.get("search_path", self._defaults.search_path))
        role = settings.get(ROLE, "")
        authorization = settings.get(AUTHORIZATION, "")
        self.is_readable = self._is_readable(settings)
        self.sense = _sense(self.state.settings) if self.is_readable else None
        self.fires_others = (
            _value(settings.get("session_replication_role"), "origin") not in _OWN_TRIGGERS
        )
        self.isolation = _value(
            settings.get("default_transaction_isolation"), self._defaults.isolation
        )
        self.blocked = self._why_blocked()
        if path is None:
            self.blocked = Reason.SETTINGS
            path = ()
        self.role = _plain_name(role) or _plain_name(authorization) or self.user
        self.scope = self._planner.scope(self.database, self.role, path)
        self.rules = None
        if self._policy.book.matches:
            name = plain_value(settings.get("application_name", ""))
            self.rules = self._policy.book.candidates(self.user, self.database, name, self._client)
        self.context = None
        if self._cache is not None and self.blocked is None:
            self.context = self._cache.context(self._shape(settings, role, authorization))

    def _why_blocked(self) -> Reason | None:
        if self.isolation not in self.levels:
            return Reason.ISOLATION
        return None if self.is_readable else Reason.SETTINGS

    def _is_readable(self, settings: Mapping[str, str]) -> bool:
        encoding = _value(settings.get("client_encoding"), self._defaults.encoding)
        if encoding.replace("-", "_") in _UNREADABLE_ENCODINGS:
            return False
        conforming = _value(settings.get("standard_conforming_strings"), "on")
        return conforming in ("on", "true", "1")

    def _shape(self, settings: Mapping[str, str], role: str, authorization: str) -> Shape:
        shaping = tuple(
            (name, value) for name, value in sorted(settings.items()) if name not in SHAPELESS
        )
        return Shape(
            salt=int(self._defaults.shape or "0", 16),
            epoch=0,
            group=self._group,
            database=self.database,
            user=f"{self.user}/{authorization}",
            role=role,
            protocol="postgres",
            encoding=self._defaults.encoding,
            settings=shaping,
            rules=() if self.rules is None else self.rules.key,
        )


def _sense(settings: Settings) -> Sense:
    return Sense(
        tuple([item for item in settings if names_depend_on(item[0])]),
        tuple([item for item in settings if constants_depend_on(item[0])]),
    )


def written(name: str, value: str) -> str:
    """Write a setting's plain value as the SQL text that sets it.

    A list of names is cut and folded as the server does it, and each name quoted: a name that needs
    no quotes in a value may well need them in SQL. What is no list of names becomes one name, which
    the server judges.
    """
    if name not in LISTS:
        return quote(value)
    names: list[str] = []
    pos = 0
    while match := _LISTED.match(value, pos):
        quoted, bare, comma = match.groups()
        names.append(f'"{quoted}"' if bare is None else quote_name(_folded(bare)))
        pos = match.end()
        if not comma:
            return ", ".join(names) if pos == len(value) else quote(value)
    return quote(value)


def _folded(name: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in name)


_LISTED: Final = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^\s",][^\s,]*))\s*(,?)')


def quote_name(name: str) -> str:
    """Write a name so that it can't be anything else."""
    return '"' + name.replace('"', '""') + '"'


def quote(value: str) -> str:
    """Write a value as an SQL string."""
    doubled = value.replace("'", "''")
    if "\\" in value:
        return " E'" + doubled.replace("\\", "\\\\") + "'"
    return "'" + doubled + "'"


def _value(raw: str | None, default: str) -> str:
    """The plain value of a setting's SQL text."""
    if raw is None or raw.lower() == "default":
        return default.lower()
    return raw.strip().strip("'\"").lower()


def plain_value(raw: str) -> str:
    """Read the plain value of a setting's SQL text, as it is."""
    text = raw.strip()
    if text[:2] in ("E'", "e'"):
        return text[2:-1].replace("''", "'").replace("\\\\", "\\")
    if text[:1] in ("'", '"'):
        return text[1:-1].replace(text[0] * 2, text[0])
    return "" if text.lower() == "default" else text.lower()


def _plain_name(raw: str) -> str:
    """The role that a SET ROLE names; empty for none."""
    text = raw.strip()
    if text.lower() in ("", "none", "default", "'none'"):
        return ""
    if text[0] == '"' or text[0] == "'":
        return text[1:-1].replace(text[0] * 2, text[0])
    return text.lower()
