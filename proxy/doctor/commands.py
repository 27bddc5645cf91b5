"""The commands: from options to what is printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.doctor import catalog_file
from proxy.doctor.explaining import explain as facts_of
from proxy.doctor.postgres.definitions import (
    Catalogs,
    FetchedCatalogs,
    FiledCatalogs,
    fetch_rows,
    way_of,
)
from proxy.doctor.show import show_facts
from proxy.errors import ConfigError, Unanswerable
from proxy.settings import ServerGroup, load
from proxy.sql.catalog import Catalog
from proxy.sql.session_commands import read_name_list

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

    def catalogs(self) -> Catalogs:
        """Where definitions are found."""
        if self.catalog_files:
            return FiledCatalogs(map(_read, self.catalog_files))
        return FetchedCatalogs(way_of(self.group), self.database)

    def catalog(self) -> Catalog:
        """The definitions of the database that is meant.

        Raises:
            Unanswerable: They can't be had.
        """
        if not self.catalog_files:
            return Catalog.build(self._named, **fetch_rows(way_of(self.group), self._named))
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


def _read(file: Path) -> Catalog:
    try:
        return catalog_file.read(file.read_text(encoding="utf-8"), str(file))
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
