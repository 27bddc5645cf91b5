"""Where Tidegate's time goes under a load: `python -m benchmarks.profile --help`.

Needs py-spy (`pip install py-spy`); what is compiled shows as its caller's time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cases import HOT, HUNDRED_ROWS, SELECT, TPCB
from benchmarks.contenders import CACHED, DATABASE, ONE_SERVER, PASSWORD, USER
from benchmarks.pgbench import Load
from benchmarks.postgres_house import PostgresHouse
from proxy.demo.processes import temporary_folder

LOADS = {
    "select": (SELECT, ONE_SERVER),
    "hot": (HOT, CACHED),
    "rows": (HUNDRED_ROWS, ONE_SERVER),
    "write": (TPCB, CACHED),
}


def main(
    load: Annotated[str, typer.Argument(help=f"One of {', '.join(LOADS)}.")] = "select",
    output: Annotated[Path, typer.Option(help="Read by speedscope.app.")] = Path("profile.json"),
    protocol: Annotated[str, typer.Option(help="Of pgbench.")] = "simple",
    clients: Annotated[int, typer.Option(help="At a time.")] = 8,
    seconds: Annotated[int, typer.Option(help="For how long.")] = 10,
) -> None:
    """Record a profile of Tidegate while pgbench runs."""
    script, contender = LOADS[load]
    with temporary_folder() as folder:
        house = PostgresHouse(folder, 1)
        with house.cluster:
            house.load()
            with house.running(contender) as (tidegate,):
                record = [
                    *("py-spy", "record", "--pid", str(tidegate.pid), "--rate", "500"),
                    *("--duration", str(seconds), "--format", "speedscope"),
                    *("--output", str(output), "--nonblocking"),
                ]
                path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
                with subprocess.Popen(record, env={**os.environ, "PATH": path}) as recorder:
                    done = Load(script, protocol, clients).run(
                        port=tidegate.port,
                        database=DATABASE,
                        user=USER,
                        password=PASSWORD,
                        seconds=seconds + 1,
                    )
                    recorder.wait()
    print(f"{done.per_second:,.0f} transactions per second; the profile is in {output}")


if __name__ == "__main__":
    typer.run(main)
