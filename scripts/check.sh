#!/bin/sh
# Everything that can be known without running the project.
set -eu
bin=.venv/bin
$bin/ruff format --check --quiet
$bin/ruff check --quiet
$bin/mypy
$bin/lint-imports --no-cache
$bin/python -m scripts.light
$bin/python -m scripts.reference --check
$bin/python -m scripts.window --check
$bin/python -m scripts.meaning
$bin/gateway profile check --all
for unit in gateway ioc-ingest@; do
    systemd-analyze security --offline=true --threshold=17 --no-pager "systemd/$unit.service" | tail -1
done
