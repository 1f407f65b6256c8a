"""Python imports this at its start, in every process that a test starts."""

import importlib.util
from pathlib import Path

_path = Path(__file__).parent.parent / "network.py"
_spec = importlib.util.spec_from_file_location("_test_network_guard", _path)
assert _spec is not None
assert _spec.loader is not None
_guard = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_guard)
_guard.refuse_the_outside()
