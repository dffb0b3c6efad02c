#!/usr/bin/env bash
# The suite of the Python clients (test/python) in a virtual environment of its own, .venv, with a Postgres that npm brings.
# Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=test/python/requirements.txt
# The second version of a client that .venv has already: beside it, for test/python/openwop2.py to load under a name of its own.
openwop2=test/python/requirements-openwop2.txt
# LangGraph for Python wants another langgraph-sdk than .venv has; of agentex-sdk, whose dependencies are a gigabyte, only one module is
# loaded (test/python/checkpointed_graph.py).
langgraph=test/python/requirements-langgraph.txt
agentex_sdk=test/python/requirements-agentex-sdk.txt
all=("$requirements" "$openwop2" "$langgraph" "$agentex_sdk")
if ! cat "${all[@]}" | cmp -s - .venv/installed; then
  python3 -m venv .venv || { echo "python3 with its venv module is needed (Debian: python3-venv)" >&2; exit 1; }
  .venv/bin/pip install --quiet --disable-pip-version-check -r "$requirements"
  rm -rf .venv/openwop2
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target .venv/openwop2 -r "$openwop2"
  rm -rf .venv/langgraph .venv/agentex-sdk
  .venv/bin/pip install --quiet --disable-pip-version-check --target .venv/langgraph -r "$langgraph"
  .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python --target .venv/agentex-sdk -r "$agentex_sdk"
  cat "${all[@]}" > .venv/installed
fi
if [ -z "${MONGODB_TEST_URI:-}" ]; then
  if ferretdb=$(node_modules/.bin/node scripts/ferretdb.mjs); then
    export FERRETDB=$ferretdb
  else
    echo "MongoDB's part of the Python tests: NOT RUN, FerretDB could not be built" >&2
  fi
fi
PATH="$PWD/node_modules/.bin:$PATH" node scripts/build.mjs --if-stale
exec node_modules/.bin/node scripts/with-postgres.mjs .venv/bin/pytest test/python -p no:cacheprovider -q "$@"
