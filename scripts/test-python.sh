#!/usr/bin/env bash
# The suite of the Python clients (test/python) in a virtual environment of its own, .venv, with a Postgres that npm brings.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=test/python/requirements.txt
# The second version of a client that .venv has already: beside it, for test/python/openwop2.py to load under a name of its own.
openwop2=test/python/requirements-openwop2.txt
if ! cat "$requirements" "$openwop2" | cmp -s - .venv/installed; then
  python3 -m venv .venv || { echo "python3 with its venv module is needed (Debian: python3-venv)" >&2; exit 1; }
  .venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
  rm -rf .venv/openwop2
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target .venv/openwop2 -r "$openwop2"
  cat "$requirements" "$openwop2" > .venv/installed
fi
PATH="$PWD/node_modules/.bin:$PATH" node scripts/build.mjs --if-stale
exec node_modules/.bin/node scripts/with-postgres.mjs .venv/bin/pytest test/python -p no:cacheprovider -q "$@"
