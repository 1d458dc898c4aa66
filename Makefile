# Four commands; each sets up what it needs on a fresh Debian 12 machine.
#   make demo ARGS="--seconds 30"   the whole chain on this machine
#   make test                       all tests, with real servers
#   make check                      format, lint, types, walls, units
#   make bench                      budgets beside what was measured
# and two that take their time:
#   make gauntlet ARGS="--seed 7 --seconds 60 --family network"   the whole chain under faults drawn from a seed
#   make soak HOURS=24              the whole chain at rest: memory, descriptors, disk and latency must be flat
.PHONY: demo test check bench gauntlet soak lock
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONHASHSEED ?= random

demo: $(READY)
	$(BIN)/gateway demo $(ARGS)

test: $(READY)
	scripts/servers.sh
	$(BIN)/pytest --numprocesses 2 --dist loadscope $(ARGS)

check: $(READY)
	scripts/check.sh

bench: $(READY)
	scripts/servers.sh
	$(BIN)/python -m tests.bench $(ARGS)

gauntlet: $(READY)
	scripts/servers.sh
	$(BIN)/python -m tests.gauntlet $(ARGS)

HOURS ?= 1
soak: $(READY)
	scripts/servers.sh
	$(BIN)/python -m tests.gauntlet.soak --hours $(HOURS) $(ARGS)

lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --extra dev --extra modbus --extra mbus --extra ioc --extra web --extra demo --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --output-file requirements-build.lock scripts/build.in

$(READY): requirements.lock requirements-build.lock pyproject.toml scripts/venv.sh
	PYTHON="$(PYTHON)" scripts/venv.sh $(VENV)
	touch $@
