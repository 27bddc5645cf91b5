"""The parts of a server group, put together: everything its clients share.

Each knows of the others what it is given here; what happens to several of them at once, as at a
change of the primary, is told here too.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from time import monotonic
from typing import TYPE_CHECKING

from proxy.cache.sealed import Realm
from proxy.cache.second import SecondLevel, Statistics
from proxy.cache.store import Store
from proxy.freshness.contracts import Contract
from proxy.freshness.frames import Wrote
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.rules import Rules
from proxy.observe.logs import Logger
from proxy.observe.metrics import GroupMetrics
from proxy.routing.balancer import Balancer
from proxy.routing.plan import Planner
from proxy.routing.router import Router
from proxy.routing.rules import RuleBook
from proxy.routing.terms import Policy
from proxy.runtime.catalogs import Catalogs
from proxy.runtime.commits import Commits
from proxy.runtime.engine import NewEngine
from proxy.runtime.fellowship import Fellowship
from proxy.runtime.lost_commits import LostCommits
from proxy.runtime.member_link import open_member_link
from proxy.runtime.membership import Membership
from proxy.runtime.mirrors import Mirrors
from proxy.runtime.pool_maker import PoolMaker
from proxy.runtime.pools import Pool, Pools
from proxy.runtime.position_line import PositionLine
from proxy.runtime.primary_line import PrimaryLine
from proxy.runtime.security import Security
from proxy.runtime.throttles import Throttles
from proxy.runtime.watcher import GroupWatcher
from proxy.session.grammar import Grammar
from proxy.session.ports import Dialect
from proxy.session.results import Results
from proxy.session.traces import Traces
from proxy.settings.model import ServerGroup
from proxy.settings.values import Engine, PrimaryReads
from proxy.topology.group import Group, Server
from proxy.topology.witness import Control
from proxy.types import Epoch, Position, Table, Token

log = Logger("audit")

if TYPE_CHECKING:
    from proxy.runtime.redis_shelf import RedisShelf


class GroupParts:
    """See the module.

    Args:
        settings: Of the group.
        security: TLS both ways.
        new_engine: Makes its engine.
        rules: All on, except in tests.
        fellowship: Of the fleet that it is a member of; None: it is alone.
    """

    def __init__(
        self,
        settings: ServerGroup,
        security: Security,
        new_engine: NewEngine,
        rules: Rules,
        fellowship: Fellowship | None,
    ) -> None:
        self.settings = settings
        self.security = security
        self.clock = monotonic  # a loop's own may tick in milliseconds: no time for an answer
        self.metrics = GroupMetrics(settings.name)
        servers = [Server(address.host, address.port) for address in settings.servers]
        self.group = Group(settings.name, servers)
        self._next_token = secrets.randbits(127)
        self._make_deciders(rules)
        control = self._make_engine(new_engine)
        self.member: Membership | None = None
        if fellowship is not None:
            self._join(fellowship, control)
        self._make_servers(control)
        self._make_keepers()

    def _make_deciders(self, rules: Rules) -> None:
        """Make who decides what may be read where, and what is kept."""
        settings = self.settings
        self.ledger = Ledger(self._new_token(), rules)
        self.planner = Planner(self.ledger)
        self.policy = Policy(_contract(settings), RuleBook(settings.rules))
        self._count_rules()
        self.balancer: Balancer[Server] = Balancer(settings.ban_time)
        self.results: Results | None = None
        self.shelf: RedisShelf | None = None
        if settings.cache:
            store = Store(settings.cache_size_bytes, settings.max_entry_bytes)
            self.results = Results(store, self.ledger, single_flight=settings.single_flight)
            self._make_second_level(self.results)

    def _make_second_level(self, results: Results) -> None:
        """Make what is looked in behind memory. Versions are this process's own: so is the salt."""
        settings = self.settings
        if settings.cache_url is None:
            return
        from proxy.runtime.redis_shelf import RedisShelf  # its client takes a while to load

        realm = Realm(secrets.token_bytes(32))
        statistics = Statistics()
        self.shelf = RedisShelf(
            settings.name,
            settings.cache_url.get_secret_value(),
            realm,
            statistics,
            is_cluster=settings.cache_cluster,
            timeout=settings.l2_timeout,
            lifetime=settings.l2_ttl,
            compress_above=settings.l2_compress_above,
        )
        results.second = SecondLevel(
            realm, self.shelf, statistics, max_bytes=settings.l2_max_entry_bytes
        )

    def _make_engine(self, new_engine: NewEngine) -> Control:
        """Make the engine and what it makes; who asks the servers is returned."""
        incarnation = secrets.token_hex(8)
        control = _control(self.settings, self.security, incarnation)
        self.engine = new_engine(
            self.settings, control, self.group, incarnation, self.clock, self._changed
        )
        self.dialect: Dialect = self.engine.dialect
        self.grammar: Grammar = self.engine.grammar
        self.traces: Traces = self.engine.traces
        self.reader = self.engine.new_reader()
        self.library = self.engine.new_library(
            lambda: self.planner.generation, lambda sql: self.reader.read(sql).clock
        )
        return control

    def _make_servers(self, control: Control) -> None:
        """Make who looks at the servers, who chooses one, and the connections to them."""
        self.pools = Pools(self._make_pool)
        self.watcher = GroupWatcher(
            self.group,
            control,
            self.ledger,
            self.balancer,
            self.pools,
            self.metrics,
            self.clock,
            self._begin_epoch,
            self.engine.open_link
            if self.member is None
            else open_member_link(self.engine.open_link, self.member),
        )
        self.router = self.watcher.router = Router(
            self.group,
            self.ledger,
            self.balancer,
            self.watcher,
            secrets.SystemRandom().random,
            share=self.settings.primary_reads is PrimaryReads.SHARE,
            waits=lambda: self.dialect.can_wait,
        )
        self.maker = PoolMaker(
            self.settings,
            self.security,
            self.group,
            self.engine,
            self.watcher,
            lambda database, oid: self.catalogs.is_meant(database, oid),
            self.member,
        )

    def _make_keepers(self) -> None:
        """Make who keeps what: those that wait, definitions, commits under way."""
        settings = self.settings
        self.mirrors = Mirrors(self.clock)
        self.throttles = Throttles(self.clock, settings.query_wait_timeout)
        self.line = PrimaryLine(self.group, self.clock, settings.query_wait_timeout)
        self.position_line = PositionLine(
            self.group,
            self.watcher.witnesses,
            self.engine.places,
            settings.query_wait_timeout,
            self.line.no_primary,
        )
        self.catalogs = Catalogs(
            settings,
            self.engine,
            self.group,
            self.planner,
            self.ledger,
            self._new_token,
            self.metrics,
            self._replaced,
            self.maker.address,
        )
        self.commits = Commits(
            self.ledger,
            self.planner,
            self._new_token,
            self.catalogs,
            self.catalogs.check_now,
            None if self.member is None else self.member.announcing,
        )
        settles = None if self.member is None else self.member.settles
        self.lost_commits = LostCommits(self.commits, settles)

    def _take_policy(self, settings: ServerGroup) -> None:
        """Take other rules and another contract."""
        self.policy.contract = _contract(settings)
        self.policy.book.replace(settings.rules)
        self._count_rules()

    def _count_rules(self) -> None:
        self.metrics.rules = self.policy.book.counts()
        self.metrics.mirrored = self.policy.book.mirrored()

    def _begin_epoch(self, primary: Server, position: Position) -> None:
        """There is a new primary, or a new life of the same: nothing before it counts.

        Before the first statement on it: the ledger begins anew, the catalogs are read again,
        and connections to whoever was the primary before are broken, with what runs on them.
        """
        if self.member is None:
            epoch = Epoch(1, self._new_token())
            self.ledger.new_epoch(epoch.token, position)
            self.epoch_begun(epoch)
        else:
            self.member.begin(position)
        self.planner.distrust()
        for pool in self.pools:
            if pool.server is not primary:
                for connection in list(pool.book.busy):
                    if not connection.facts.recovering:
                        connection.abort(f"server {pool.server.name} is not the primary any more")
            elif self.member is not None:
                pool.retire()  # those of a replica are not written down as a member's
        self.commits.moved(primary)
        self.engine.forget()
        self.catalogs.restart()
        waiting = self.line.clear()
        waiting += [
            waiter
            for pool in self.pools
            if pool.server is not primary
            for waiter in pool.clear_line()
        ]
        for waiter in waiting:
            waiter.primary_found()

    # Surroundings, of a member

    def replicas(self) -> list[Server]:
        """See `proxy.runtime.fellowship.Surroundings`."""
        return self.group.replicas

    def has_reached(self, replica: Server, position: Position) -> bool:
        """See `proxy.runtime.fellowship.Surroundings`."""
        if self.router.watermark(replica).reaches(position, self.ledger.epoch):
            return True
        self.watcher.want_replay(replica, position)
        return False

    def has_lost(self) -> bool:
        """See `proxy.runtime.fellowship.Surroundings`."""
        return self.commits.has_lost()

    def epoch_begun(self, epoch: Epoch) -> None:
        """See `proxy.runtime.fellowship.Surroundings`."""
        if self.results is not None and self.results.second is not None:
            self.results.second.realm.epoch = epoch.token.to_bytes(16, "big")
        self.commits.carry_over()

    def definitions_change(self) -> list[Mark]:
        """See `proxy.runtime.fellowship.Surroundings`."""
        return self.commits.widen()

    def definitions_changed(self) -> None:
        """See `proxy.runtime.fellowship.Surroundings`."""
        self.commits.widen()
        self.planner.distrust()
        self.catalogs.check_now()

    def others_wrote(self, written: Iterable[tuple[Mark | None, Wrote]]) -> None:
        """See `proxy.runtime.fellowship.Surroundings`."""
        for mark, wrote in written:
            self.catalogs.wrote(mark, wrote)

    def others_doubt(self, member: str, tables: frozenset[Table]) -> None:
        """See `proxy.runtime.fellowship.Surroundings`."""
        group = self.settings.name
        if tables:
            names = ", ".join(sorted(map(self.catalogs.name_of, tables)))
            event = "another member's audit fired: these tables are the primary's here, too"
            log.error(event, group=group, member=member, tables=names)
        else:
            event = "another member has nothing in quarantine any more"
            log.info(event, group=group, member=member)

    def hurry(self) -> None:
        """Have the other members told at once, if there are any."""
        if self.member is not None:
            self.member.announcing.hurry()

    def entered(self, salt: bytes) -> None:
        """See `proxy.runtime.fellowship.Surroundings`."""
        if self.results is not None and self.results.second is not None:
            self.results.second.realm.share(salt)
            self.results.second.is_shared = self.settings.single_flight

    def expelled(self) -> None:
        """See `proxy.runtime.fellowship.Surroundings`."""
        for pool in self.pools:
            pool.retire()
            for connection in list(pool.book.busy):
                connection.abort("this member of the fleet was evicted")
        for witness in self.watcher.witnesses.values():
            witness.poke()

    def _join(self, fellowship: Fellowship, control: Control) -> None:
        """Be a member of a fleet."""
        self.member = Membership(
            self,
            self.ledger,
            control,
            self.engine.open_views,
            fellowship,
            self.clock,
            tells_positions=self.engine.tells_positions,
        )

    def _new_token(self) -> Token:
        self._next_token += 1
        return Token(self._next_token)

    def _changed(self, user: str) -> None:
        """A role has another password, or is another role: it gets connections of its own."""
        for pool in self.pools:
            if pool.user == user:
                pool.retire()

    def _replaced(self, database: str, oid: int) -> None:
        """A name means this database now, or none (0): nothing may lead to another one."""
        self.engine.forget()
        for pool in self.pools:
            if pool.database == database:
                pool.retire(keep=oid)

    def _make_pool(self, server: Server, user: str, database: str) -> Pool:
        return self.maker.make(server, user, database)


def _control(settings: ServerGroup, security: Security, incarnation: str) -> Control:
    """Say how servers are asked about themselves."""
    password = settings.auth_password
    return Control(
        user=settings.auth_user,
        password=password.get_secret_value() if password is not None else "",
        database=settings.auth_database if settings.engine is Engine.POSTGRES else "",
        application_name=f"tidegate/{incarnation} control",
        tls=security.control,
        interval=settings.health_check_interval,
        timeout=settings.server_connect_timeout,
    )


def _contract(settings: ServerGroup) -> Contract:
    return Contract(settings.consistency, settings.max_staleness)
