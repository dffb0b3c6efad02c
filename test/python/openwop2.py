"""openwop-client 2.7.0, beside the 1.1.1 that `import openwop_client` finds: two versions of one package in one process.

    from openwop2 import openwop_client_2
"""

import importlib.util
import pathlib
import sys

_FOLDER = pathlib.Path(__file__).parents[2] / ".venv" / "openwop2" / "openwop_client"
_NAME = "openwop_client_2"


def _load():
    # The package imports its own files relatively, so it runs under any name.
    spec = importlib.util.spec_from_file_location(
        _NAME, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{_FOLDER} is not installed: run scripts/test-python.sh")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


openwop_client_2 = _load()
