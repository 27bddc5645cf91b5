# Everything works from a bare checkout with Python 3.11 or newer: what is missing is
# installed (as root on Debian), or one line says what it is and how to get it.

BIN := .venv/bin
SETUP_SERVERS := deploy/dev/setup-servers.sh
ENGINE := postgres
SECONDS := 60
CAP := 1000000
SEEDS := 0-500
SIDE_BY_SIDE := 2

.PHONY: help demo test model simulate fleet-costs soak suites lint bench build setup-servers clean packages checked apart
.SILENT:

help:
	echo "make demo           a proxy over a primary and two replicas of its own (EXIT=1: ends by itself)"
	echo "                    ENGINE=mariadb, ENGINE=mysql: over those and not PostgreSQL"
	echo "make test           lint, then all tests, on real servers"
	echo "make suites         suites that others wrote, directly and through the proxy (ARGS=... for some)"
	echo "make soak           the judge of reads for longer, fleets too, and on MySQL all that MariaDB has (SECONDS=60)"
	echo "make model          the fleet protocol (docs/fleet.md), explored exhaustively (CAP=1000000 states each)"
	echo "make simulate       a fleet's real ledgers over virtual time, while all goes wrong (SEEDS=0-500)"
	echo "make fleet-costs    messages, bytes and waits of fleets, over virtual time (ARGS=\"--members 2,16 --trips 1\")"
	echo "make lint           ruff, mypy, the import contracts"
	echo "make bench          direct, PgBouncer and Tidegate, interleaved (ARGS=... for the runner);"
	echo "                    ENGINE=mariadb, ENGINE=mysql: HAProxy and MySQL Router in PgBouncer's place"
	echo "make build          .venv and the compiled modules"
	echo "make setup-servers  install PostgreSQL, MariaDB, PgBouncer, HAProxy, Redis and sysbench; starts none"
	echo "make clean          remove what the others made"

# MySQL is fetched by the demo itself.
demo: build
	$(if $(filter mysql,$(ENGINE)),,$(SETUP_SERVERS) $(ENGINE))
	$(BIN)/tidegate demo --engine $(ENGINE) $(if $(filter-out 0,$(EXIT)),--exit)

# The compiler has one core; what needs nothing compiled is done on the other meanwhile. The whole
# suite on the compiled build is last, so that its summary ends the output. Most of its time it waits
# for servers: so two processes share its files, each with servers of its own.
test: packages
	$(MAKE) --no-print-directory -j 2 build apart
	$(BIN)/python -m pytest -n $(SIDE_BY_SIDE) --dist loadfile

apart: checked
	$(SETUP_SERVERS) postgres mariadb redis
	TIDEGATE_PURE=1 $(BIN)/python -m pytest -q tests/unit

soak: build
	$(SETUP_SERVERS) postgres mariadb redis
	TIDEGATE_SOAK_SECONDS=$(SECONDS) $(BIN)/python -m pytest tests/consistency tests/integration/test_mysql_witness.py \
		tests/integration/test_audit.py tests/integration/test_bus.py

# Of the real ledger and the real fleet, over virtual time.
simulate: build
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

# docs/fleet-sizing.md has what it says. From 128 members on it takes hours.
fleet-costs: build
	$(BIN)/python -m tests.simulation.costs $(ARGS)
	$(BIN)/python -m tests.simulation.leaving

# The model imports nothing of the proxy.
model: packages
	$(BIN)/python -m tests.model --cap $(CAP)

suites: build
	$(SETUP_SERVERS) postgres mariadb
	$(BIN)/python -m tests.suites $(ARGS)

lint: packages checked

checked:
	mkdir -p build
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports >build/imports.log || { cat build/imports.log; false; }

# An engine is named as the demo's, or among the runner's arguments. MySQL is fetched by the runner.
BENCHED = $(if $(filter mysql --engine=mysql,$(ENGINE) $(ARGS)),haproxy sysbench,$(strip \
	$(if $(filter mariadb --engine=mariadb,$(ENGINE) $(ARGS)),mariadb haproxy sysbench,postgres pgbouncer)))

bench: build
	$(SETUP_SERVERS) $(BENCHED)
	$(BIN)/python -m benchmarks --engine $(ENGINE) $(ARGS)

build:
	deploy/dev/build.sh

packages:
	deploy/dev/build.sh packages

setup-servers:
	$(SETUP_SERVERS)

clean:
	rm -rf .venv build dist
	rm -f *__mypyc.*.so
	find proxy -name '*.so' -delete
