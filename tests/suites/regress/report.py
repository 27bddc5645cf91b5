"""The whole suite: fetch, judge by the grammar or by a server, print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.postgres_server import Server
from proxy.routing.reading import Reader
from tests.suites.regress.fetch import Origin, fetch_postgres, fetch_sqlglot
from tests.suites.regress.judge import Tally, judge
from tests.suites.regress.witness import Witness
from tests.suites.workshop import NotToBeHad

NAME = "regress"
ON_A_SERVER = "regress-server"

DATABASE = "regression"

SOURCES: tuple[Callable[[], Iterable[Origin]], ...] = (
    fetch_postgres,
    lambda: (fetch_sqlglot(),),
)


def judge_all() -> bool:
    """Judge what can be had, print what was found, and tell whether nothing is to be done."""
    total = Tally()
    for source in SOURCES:
        try:
            origins = source()
        except NotToBeHad as missing:
            print(f"{NAME}: left out, {missing}", flush=True)
            continue
        for origin in origins:
            tally = judge(origin, Reader())
            print("\n".join(tally.lines(f"{NAME}, {origin.name}")), flush=True)
            total.add(tally)
    print(
        f"{NAME}: {total.files} files, {total.statements} statements, {total.plain_reads} plain"
        f" reads of which {total.missed.total()} are missed, {len(total.violations)} violations",
        flush=True,
    )
    return not total.violations


def witness_all(cluster: PostgresCluster) -> bool:
    """Run PostgreSQL's scripts on a server, print what it said; tell if nothing is to be done."""
    try:
        origins = {origin.name: origin for origin in fetch_postgres()}
    except NotToBeHad as missing:
        print(f"{ON_A_SERVER}: left out, {missing}", flush=True)
        return True
    is_good = True
    for name, origin in origins.items():
        for folder, files in _runs(origin):
            primary = cluster.primary
            _make_anew(primary)
            witness = Witness(primary.dsn(DATABASE), DATABASE)
            witness.run([(file.stem, file) for file in files], {"PG_ABS_SRCDIR": str(folder)})
            said = witness.testimony
            print("\n".join(said.lines(f"{name}, {folder.name}")), flush=True)
            is_good = is_good and not said.violations
    return is_good


def _make_anew(primary: Server) -> None:
    """Make the database; what a script has prepared and left would hold on to an older one."""
    for (name,) in primary.fetch("SELECT gid FROM pg_prepared_xacts"):
        primary.execute(f"ROLLBACK PREPARED '{name}'", database=DATABASE)
    primary.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    primary.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")


def _runs(origin: Origin) -> Iterator[tuple[Path, list[Path]]]:
    """The scripts that share a database, in their order, by the folder that they belong to."""
    folders = sorted({file.parent.parent for file in origin.files if file.suffix == ".sql"})
    for folder in folders:
        files = {file.stem: file for file in origin.files if file.parent.parent == folder}
        schedule = folder / "parallel_schedule"
        if schedule.exists():
            lines = schedule.read_text().splitlines()
            order = [
                name for line in lines if line.startswith("test:") for name in line.split()[1:]
            ]
            files = {name: files[name] for name in order if name in files}
        yield folder, list(files.values())
