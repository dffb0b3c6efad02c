#!/usr/bin/env bash
# The Python client's suite (test/python) in a virtual environment of its own, .venv, with a Postgres that npm brings. Arguments
# go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=test/python/requirements.txt
if ! cmp -s "$requirements" .venv/installed; then
  python3 -m venv .venv || { echo "python3 with its venv module is needed (Debian: python3-venv)" >&2; exit 1; }
  .venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" .venv/installed
fi
PATH="$PWD/node_modules/.bin:$PATH" node scripts/build.mjs --if-stale
exec node_modules/.bin/node scripts/with-postgres.mjs .venv/bin/pytest test/python -p no:cacheprovider -q "$@"
