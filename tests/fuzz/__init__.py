"""A fuzz test of conversions: `__main__.py` says what it does."""

import sys
from pathlib import Path

# Helper modules (golden.py) lie beside the tests.
sys.path.append(str(Path(__file__).parents[1]))
