"""The commands: from options to what is printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from proxy.doctor import catalog_file, starting_config
from proxy.doctor.events import Unread
from proxy.doctor.explaining import explain as facts_of
from proxy.doctor.files import Lines, open_log
from proxy.doctor.model import Model
from proxy.doctor.mysql.asker import MySQLAsker
from proxy.doctor.postgres.asker import PostgresAsker
from proxy.doctor.postgres.logs import read_log
from proxy.doctor.report import Origin
from proxy.doctor.show import Progress, show_facts, show_report
from proxy.doctor.visits import READ_COMMITTED, REPEATABLE_READ, Terms
from proxy.doctor.ways import Asker, FetchedCatalogs, FiledCatalogs, Total, Way
from proxy.errors import ConfigError, Unanswerable
from proxy.settings import ServerGroup, load
from proxy.settings.values import RepeatableRead, Transactions
from proxy.sql.lineage import Lineage
from proxy.sql.session_commands import read_name_list
from proxy.topology.postgres_catalogs import declarations_of

DEFAULT_FILE: Final = Path("tidegate.toml")

ASKERS: Final[tuple[Asker, ...]] = (PostgresAsker(), MySQLAsker())


@dataclass(frozen=True, slots=True)
class Source:
    """The options that say which definitions count, and for whom.

    Attributes:
        file: The configuration; None: not said.
        group_name: One of its groups; empty: the only one.
        database: Empty: not said.
        user: Empty: not said.
        search_path: As it is written in SQL; empty: not said.
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
    def asker(self) -> Asker:
        """Asks the servers of the group, or of those whose definitions are in a file.

        Raises:
            Unanswerable: A file is no catalog.
        """
        engine = self.group.engine.value
        if self.catalog_files and self.file is None and not self.group_name:
            file = self.catalog_files[0]
            engine = catalog_file.engine_of(_text_of(file), str(file))
        return _asker(engine)

    def names(self, asker: Asker) -> tuple[str, ...]:
        """The search path.

        Raises:
            ConfigError: It can't be read.
        """
        if asker.has_schemas:
            return (self.database,) if self.database else ()
        names = read_name_list(self.search_path or asker.search_path)
        if names is None:
            raise ConfigError([f"--search-path: not a list of names: {self.search_path}"])
        return names

    def catalogs(self, asker: Asker, way: Way | None = None) -> FiledCatalogs | FetchedCatalogs:
        """Where definitions are found.

        Args:
            asker: Of the engine.
            way: To the server that has them; None: the configuration's.
        """
        if self.catalog_files:
            declarations = declarations_of(self.group)
            files = (
                catalog_file.read(asker, _text_of(file), str(file), declarations)
                for file in self.catalog_files
            )
            return FiledCatalogs(files, self.database, is_one=asker.has_schemas)
        return FetchedCatalogs(asker, way or asker.way_of(self.group), self.database)

    def catalog(self, asker: Asker) -> Lineage:
        """The definitions of the database that is meant.

        Raises:
            Unanswerable: They can't be had.
        """
        if not self.catalog_files:
            return asker.fetch_catalog(asker.way_of(self.group), self._named)
        found = self.catalogs(asker).find(self.database or None)
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
        asker = self.asker
        rows = asker.fetch_rows(asker.way_of(self.group), self._named)
        target.write_text(catalog_file.write(asker, self._named, rows), encoding="ascii")


def _asker(engine: str) -> Asker:
    for asker in ASKERS:
        if asker.engine == engine:
            return asker
    raise Unanswerable(f"definitions of an engine that is not known: {engine}")


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
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
    asker = source.asker
    group, names = source.group, source.names(asker)
    catalog, user = source.catalog(asker), source.user
    facts = facts_of(sql, catalog, group, user=user, search_path=names, language=asker.language)
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
    asker = _asker_of(urls[0]) if urls else source.asker
    way = asker.way_to(urls[0]) if urls else None
    catalogs = source.catalogs(asker, way)
    model = Model(
        catalogs,
        user=source.user,
        search_path=source.names(asker),
        terms=_terms(source, way),
        language=asker.language,
        has_schemas=asker.has_schemas,
    )
    if way is not None:
        origin = _add_up(asker, model, way)
    else:
        origin = _replay(asker, model, logs, wishes)
    problems = () if isinstance(catalogs, FiledCatalogs) else tuple(catalogs.problems.values())
    origin = replace(origin, problems=origin.problems + problems)
    findings = model.findings
    if not findings.statements and not findings.elsewhere:
        raise Unanswerable(
            f"{origin.name}: no statement found; {asker.logged}"
            + (_IN_ENGLISH if asker.has_order else "")
        )
    if not findings.statements and problems:
        raise Unanswerable("; ".join(problems))
    show_report(findings, origin, as_json=wishes.as_json)
    if wishes.configuration is not None:
        text = starting_config.text_of(asker, findings, origin.name, _servers(source, way))
        starting_config.write(wishes.configuration, text, force=wishes.force)


def _asker_of(url: str) -> Asker:
    (asker,) = [asker for asker in ASKERS if url.startswith(asker.schemes)]
    return asker


def _replay(asker: Asker, model: Model, logs: list[str], wishes: Wishes) -> Origin:
    unread = Unread()
    count = 0
    with Progress() as progress:
        for log in logs:
            with open_log(log) as file:
                lines = Lines(file, log, unread, progress.tick)
                if asker.has_order:
                    for event in read_log(lines, log, unread, wishes.prefix):
                        model.take(event)
                else:
                    _add(model, asker.read_totals(lines, log, unread), is_logged=True)
            count += lines.count
    name = logs[0] if len(logs) == 1 else f"{len(logs)} logs"
    return Origin(name, count, unread, asker.logged)


def _add_up(asker: Asker, model: Model, way: Way) -> Origin:
    found = asker.fetch_totals(way)
    _add(model, found.totals, is_logged=False)
    name = f"{way.servers[0].name}, {asker.counts}"
    return Origin(name, None, Unread(), asker.logged, found.problems)


def _add(model: Model, totals: Iterable[Total], *, is_logged: bool) -> None:
    for total in totals:
        model.take_total(
            total.text,
            total.user,
            total.database,
            calls=total.calls,
            seconds=total.seconds,
            is_logged=is_logged,
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


URLS: Final = tuple(scheme for asker in ASKERS for scheme in asker.schemes)

_IN_ENGLISH: Final = ", in English (lc_messages = 'C'); --prefix says what log_line_prefix is"
