"""The `tidegate` command: arguments to what runs.

Mistakes come out as lines on stderr, never as tracebacks: exit status 2 for a wrong
configuration, 1 for anything else. What a command needs is imported when it runs.
"""

from __future__ import annotations

import os
import resource
import sys
from enum import Enum, unique
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Annotated, Final

import typer

from proxy.errors import ConfigError, ProxyError
from proxy.settings import ServerGroup, Settings, load
from proxy.settings.rule import label
from proxy.settings.values import Engine, format_duration, format_size
from proxy.types import Consistency
from proxy.workers.shares import divide, rounded_up

MISTAKE: Final = 1
WRONG_CONFIGURATION: Final = 2

FILES_BESIDE: Final = 100
"""Open files for listeners, logs, control connections and the program itself: ample."""

app = typer.Typer(
    help="A database proxy whose reads leave the primary without ever being stale.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config = typer.Typer(help="Write what can be set.", no_args_is_help=True)
app.add_typer(config, name="config")


@unique
class DemoServers(Enum):
    """What the demo can be shown on."""

    POSTGRES = "postgres"
    MARIADB = "mariadb"
    MYSQL = "mysql"


ConfigurationOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration; else tidegate.toml."),
]
GroupOption = Annotated[
    str, typer.Option(metavar="NAME", help="The server group, where there are several.")
]
DatabaseOption = Annotated[
    str, typer.Option(metavar="NAME", help="The database whose definitions count.")
]
UserOption = Annotated[str, typer.Option(metavar="NAME", help="Who runs it.")]
PathOption = Annotated[
    str,
    typer.Option(
        "--search-path", metavar="NAMES", help="What names are looked up in; PostgreSQL only."
    ),
]
CatalogOption = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="Definitions from a file, in place of a server's."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

ConfigurationFile = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration.")]


def main() -> None:
    """Run the command line; every failure ends as a line and an exit status."""
    try:
        app()
    except ConfigError as error:
        _say(*error.problems)
        sys.exit(WRONG_CONFIGURATION)
    except (ProxyError, OSError) as error:
        _say(str(error))
        sys.exit(MISTAKE)
    except Exception as error:
        if "TIDEGATE_TRACEBACK" in os.environ:
            raise
        _say(f"internal error: {type(error).__name__}; TIDEGATE_TRACEBACK=1 shows where")
        sys.exit(MISTAKE)


@app.command()
def serve(file: ConfigurationFile) -> None:
    """Run the proxy until it is told to stop."""
    settings = load(file)
    _raise_file_limit()
    for note in _notes(settings):
        _say(note)
    if settings.workers > 1:
        from proxy.workers.supervisor import run as supervise

        raise typer.Exit(supervise(settings, lambda: load(file)))
    from proxy.app import run

    raise typer.Exit(run(settings, lambda: load(file)))


@app.command()
def demo(
    exit_when_done: Annotated[
        bool, typer.Option("--exit", help="End by itself instead of staying up.")
    ] = False,
    engine: Annotated[
        DemoServers, typer.Option(help="What the servers are.")
    ] = DemoServers.POSTGRES,
) -> None:
    """Show it at work over a primary and two replicas of its own, in a temporary folder."""
    _raise_file_limit()
    from proxy.demo.scenario import run

    raise typer.Exit(run(exit_when_done, engine.value))


@app.command()
def check(file: ConfigurationFile) -> None:
    """Say what a configuration means, or everything that is wrong with it."""
    settings = load(file)
    typer.echo(f"ok: {file}")
    for group in settings.server_groups.values():
        for line in _summary(group):
            typer.echo(line)
    if settings.workers > 1:
        typer.echo(f"workers   {settings.workers}, which share what is limited here")
    typer.echo(f"admin     http://{settings.admin.listen}")
    log = settings.log
    typer.echo(f"log       {log.level.value}, {log.format.value}, to {log.destination}")
    for note in (*rounded_up(settings, settings.workers), *_notes(settings)):
        typer.echo(f"note: {note}")


@app.command()
def init_db(
    file: ConfigurationFile,
    group: GroupOption = "",
    host: Annotated[
        str, typer.Option(metavar="NAME", help="Of the control user's account; MySQL only.")
    ] = "%",
) -> None:
    """Print the SQL that makes what a fleet keeps in its primary, for an administrator to run."""
    from proxy.topology.mysql_views import mysql_schema
    from proxy.topology.postgres_views import postgres_schema

    groups = load(file).server_groups
    if not group and len(groups) > 1:
        raise ConfigError([f"--group is needed: there are {', '.join(groups)}"])
    if group and group not in groups:
        raise ConfigError([f'there is no server group "{group}"'])
    chosen = groups[group] if group else next(iter(groups.values()))
    if chosen.engine is Engine.POSTGRES:
        typer.echo(f"-- on the primary, in the database {chosen.auth_database}")
        statements = postgres_schema(chosen.auth_user)
    else:
        typer.echo("-- on the primary")
        statements = mysql_schema(chosen.auth_user, host)
    for sql in statements:
        typer.echo(f"{sql};")


@app.command()
def explain(
    sql: Annotated[str, typer.Argument(help="One statement.")] = "",
    file: ConfigurationOption = None,
    group: GroupOption = "",
    database: DatabaseOption = "",
    user: UserOption = "",
    search_path: PathOption = "",
    catalog: CatalogOption = None,
    save_catalog: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the definitions to a file, for --catalog."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say where a statement would go, and why, without running it."""
    from proxy.doctor import commands

    source = commands.Source(file, group, database, user, search_path, catalog or [])
    if save_catalog is not None:
        commands.save_catalog(source, save_catalog)
    if sql or save_catalog is None:
        commands.explain(source, sql, as_json=as_json)


@app.command()
def doctor(
    logs: Annotated[
        list[str],
        typer.Argument(
            metavar="LOG...",
            help="Statement logs (csvlog, jsonlog, plain; gzip too; - is stdin), or a"
            " postgresql:// or mysql:// URL for what that server has counted.",
        ),
    ],
    file: ConfigurationOption = None,
    group: GroupOption = "",
    database: DatabaseOption = "",
    user: UserOption = "",
    search_path: PathOption = "",
    catalog: CatalogOption = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The log_line_prefix of a plain log; else guessed."),
    ] = None,
    as_json: JsonOption = False,
    write_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a configuration to start from.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let that overwrite a file.")] = False,
) -> None:
    """Say from a log what the proxy would do for an application, and what is in its way."""
    from proxy.doctor import commands

    source = commands.Source(file, group, database, user, search_path, catalog or [])
    wishes = commands.Wishes(prefix, as_json, write_config, force)
    commands.doctor(source, logs, wishes)


@app.command()
def version() -> None:
    """Say which version this is."""
    typer.echo(f"tidegate {distribution_version('tidegate')}")


@config.command()
def example() -> None:
    """A configuration file to start from, with every setting explained in it."""
    from proxy.settings.describe import example as text

    typer.echo(text(), nl=False)


@config.command()
def reference() -> None:
    """Every setting in tables, in Markdown."""
    from proxy.settings.describe import reference as text

    typer.echo(text(), nl=False)


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)


def _summary(group: ServerGroup) -> list[str]:
    """Put a group on a few lines, in the words of its settings."""
    asked = f"asked every {format_duration(group.health_check_interval)}"
    watch = f"{group.out_of_band.value}, every {format_duration(group.out_of_band_interval)}"
    cache = format_size(group.cache_size_bytes) if group.cache else "off"
    users = f", {len(group.users)} users listed" if group.users else ""
    offered = "offered" if group.client_tls_cert_file else "no certificate"
    rules = ", ".join(label(rule, place) for place, rule in enumerate(group.rules)) or "none"
    contract = group.consistency.value
    if group.consistency is not Consistency.STRONG:
        contract += f" (max_staleness {format_duration(group.max_staleness)})"
    local = f" and {group.unix_socket}" if group.unix_socket is not None else ""
    return [
        f"group     {group.name}: {group.engine.value} on {group.listen}{local}",
        f"servers   {' '.join(map(str, group.servers))}, {asked}",
        f"login     {_login(group)} read by {group.auth_user}{users}",
        f"tls       clients {group.client_tls_sslmode.value} ({offered}),"
        f" servers {group.server_tls_sslmode.value}",
        f"pools     {group.pool_mode.value}, {group.default_pool_size} connections for each"
        f" server, user and database; {group.max_client_conn} clients",
        f"rules     {rules}",
        f"reads     {contract}, primary {group.primary_reads.value};"
        f" out of band {watch}; cache {cache}",
    ]


def _login(group: ServerGroup) -> str:
    """Say how clients prove who they are, and by what that is judged."""
    if group.engine is Engine.POSTGRES:
        return f"{group.auth_type.value}, verifiers"
    return "mysql_native_password or caching_sha2_password, as the account says; accounts"


def _notes(settings: Settings) -> list[str]:
    """Say what is no mistake and still not as it should be."""
    largest = divide(settings, 1, settings.workers)  # files are counted for each process
    needed = FILES_BESIDE + sum(_files(group) for group in largest.server_groups.values())
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit in (resource.RLIM_INFINITY, -1) or limit >= needed:
        return []
    return [
        f"max_client_conn and one user's pools need {needed} open files, the system allows"
        f" {limit}: raise it (ulimit -n, LimitNOFILE=) or lower max_client_conn",
    ]


def _files(group: ServerGroup) -> int:
    """Count the files a group needs when it is full, with one user and database."""
    pools = group.default_pool_size + group.reserve_pool_size
    return group.max_client_conn + pools * len(group.servers)


def _raise_file_limit() -> None:
    """Take as many open files as we may: each client is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
