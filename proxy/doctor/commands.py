"""The commands: from options to what is printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from proxy.doctor import catalog_file, starting_config
from proxy.doctor.events import Unread
from proxy.doctor.explaining import explain as facts_of
from proxy.doctor.files import Lines, open_log
from proxy.doctor.model import Model
from proxy.doctor.postgres.definitions import (
    FetchedCatalogs,
    FiledCatalogs,
    Way,
    fetch_catalog,
    fetch_rows,
    way_of,
    way_to,
)
from proxy.doctor.postgres.logs import read_log
from proxy.doctor.postgres.totals import fetch_totals
from proxy.doctor.report import LOGGED, Origin
from proxy.doctor.show import Progress, show_facts, show_report
from proxy.doctor.visits import READ_COMMITTED, REPEATABLE_READ, Terms
from proxy.errors import ConfigError, Unanswerable
from proxy.settings import ServerGroup, load
from proxy.settings.values import RepeatableRead, Transactions
from proxy.sql.bodies import Declarations
from proxy.sql.catalog import Catalog
from proxy.sql.session_commands import read_name_list
from proxy.topology.postgres_catalogs import declarations_of

DEFAULT_FILE: Final = Path("tidegate.toml")


@dataclass(frozen=True, slots=True)
class Source:
    """The options that say which definitions count, and for whom.

    Attributes:
        file: The configuration; None: not said.
        group_name: One of its groups; empty: the only one.
        database: Empty: not said.
        user: Empty: not said.
        search_path: As it is written in SQL.
        catalog_files: Definitions in files.
    """

    file: Path | None
    group_name: str
    database: str
    user: str
    search_path: str
    catalog_files: list[Path]

    @property
    def group(self) -> ServerGroup:
        """The settings that count: the defaults, where a catalog is all there is.

        Raises:
            ConfigError: There is no such file or group.
        """
        file = self.file or DEFAULT_FILE
        is_needed = self.file is not None or self.group_name or not self.catalog_files
        if not is_needed and not file.exists():
            return ServerGroup()
        groups = load(file).server_groups
        if not self.group_name and len(groups) == 1:
            (group,) = groups.values()
            return group
        if self.group_name not in groups:
            raise ConfigError([f"{file}: name a group with --group: {', '.join(groups)}"])
        return groups[self.group_name]

    @property
    def names(self) -> tuple[str, ...]:
        """The search path.

        Raises:
            ConfigError: It can't be read.
        """
        names = read_name_list(self.search_path)
        if names is None:
            raise ConfigError([f"--search-path: not a list of names: {self.search_path}"])
        return names

    def catalogs(self, way: Way | None = None) -> FiledCatalogs | FetchedCatalogs:
        """Where definitions are found.

        Args:
            way: To the server that has them; None: the configuration's.
        """
        if self.catalog_files:
            declarations = declarations_of(self.group)
            return FiledCatalogs(
                (_read(file, declarations) for file in self.catalog_files), self.database
            )
        return FetchedCatalogs(way or way_of(self.group), self.database)

    def catalog(self) -> Catalog:
        """The definitions of the database that is meant.

        Raises:
            Unanswerable: They can't be had.
        """
        if not self.catalog_files:
            return fetch_catalog(way_of(self.group), self._named)
        found = self.catalogs().find(self.database or None)
        if found is None:
            raise Unanswerable(
                f'--catalog: there is none of database "{self.database}"'
                if self.database
                else "name the database: --database NAME"
            )
        return found

    @property
    def _named(self) -> str:
        if not self.database:
            raise Unanswerable("name the database: --database NAME")
        return self.database

    def save(self, target: Path) -> None:
        """Write the definitions to a file."""
        rows = fetch_rows(way_of(self.group), self._named)
        target.write_text(catalog_file.write(self._named, rows), encoding="ascii")


def _read(file: Path, declarations: Declarations) -> Catalog:
    try:
        return catalog_file.read(file.read_text(encoding="utf-8"), str(file), declarations)
    except UnicodeDecodeError:
        raise Unanswerable(f"{file}: not a catalog: not text") from None


def save_catalog(source: Source, target: Path) -> None:
    """Write a database's definitions to a file, for `--catalog`."""
    source.save(target)


def explain(source: Source, sql: str, *, as_json: bool) -> None:
    """Print what would be decided on a statement.

    Raises:
        Unanswerable: It can't be told.
    """
    group, names = source.group, source.names
    facts = facts_of(sql, source.catalog(), group, user=source.user, search_path=names)
    show_facts(facts, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of the doctor besides its report.

    Attributes:
        prefix: `log_line_prefix`; None: it is guessed.
        as_json: Whether the report is for a machine.
        configuration: Where to write a configuration to start from.
        force: Whether that may overwrite a file.
    """

    prefix: str | None
    as_json: bool
    configuration: Path | None
    force: bool


def doctor(source: Source, logs: list[str], wishes: Wishes) -> None:
    """Print what was found in logs, or in what a server has counted.

    Raises:
        Unanswerable: There is nothing to be found there.
    """
    if wishes.configuration is not None:
        starting_config.refuse_existing(wishes.configuration, force=wishes.force)
    urls = [log for log in logs if log.startswith(URLS)]
    if urls and len(logs) > 1:
        raise Unanswerable("a server is looked at by itself: name one connection string, or logs")
    way = way_to(urls[0]) if urls else None
    catalogs = source.catalogs(way)
    model = Model(catalogs, user=source.user, search_path=source.names, terms=_terms(source, way))
    origin = _replay(model, logs, wishes) if way is None else _add_up(model, way)
    problems = () if isinstance(catalogs, FiledCatalogs) else tuple(catalogs.problems.values())
    origin = replace(origin, problems=origin.problems + problems)
    findings = model.findings
    if not findings.statements and not findings.elsewhere:
        raise Unanswerable(f"{origin.name}: no statement found; {_NOTHING}")
    if not findings.statements and problems:
        raise Unanswerable("; ".join(problems))
    show_report(findings, origin, as_json=wishes.as_json)
    if wishes.configuration is not None:
        text = starting_config.text_of(findings, origin.name, _servers(source, way))
        starting_config.write(wishes.configuration, text, force=wishes.force)


def _replay(model: Model, logs: list[str], wishes: Wishes) -> Origin:
    unread = Unread()
    count = 0
    with Progress() as progress:
        for log in logs:
            with open_log(log) as file:
                lines = Lines(file, log, unread, progress.tick)
                for event in read_log(lines, log, unread, wishes.prefix):
                    model.take(event)
            count += lines.count
    name = logs[0] if len(logs) == 1 else f"{len(logs)} logs"
    return Origin(name, count, unread)


def _add_up(model: Model, way: Way) -> Origin:
    found = fetch_totals(way)
    for total in found.totals:
        model.take_total(
            total.text, total.user, total.database, calls=total.calls, seconds=total.seconds
        )
    hidden = f"{found.hidden:,} statements of other users are hidden: GRANT pg_read_all_stats"
    return Origin(
        f"{way.servers[0].name}, pg_stat_statements", None, Unread(), (hidden,)[: found.hidden]
    )


def _terms(source: Source, way: Way | None) -> Terms:
    if way is not None:
        return Terms()
    group = source.group
    levels = {READ_COMMITTED}
    if group.repeatable_read is RepeatableRead.VERSIONED:
        levels.add(REPEATABLE_READ)
    return Terms(frozenset(levels), group.transactions is Transactions.LATE)


def _servers(source: Source, way: Way | None) -> list[str]:
    if way is not None:
        return [server.name for server in way.servers]
    return [str(address) for address in source.group.servers]


URLS: Final = ("postgresql://", "postgres://")

_NOTHING: Final = f"{LOGGED}, in English (lc_messages = 'C'); --prefix says what log_line_prefix is"
