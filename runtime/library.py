"""Where the native operator library is."""

from __future__ import annotations

from pathlib import Path

LIBRARY_NAME = "libsnnc_ops.so"


def library_path() -> Path:
    """Path of the shared library with the `ai.snnc` operators.

    Give it to `onnxruntime.SessionOptions.register_custom_ops_library`, or to the same function of any
    other host. Networks run without it too, slower: every file carries its operators as ONNX functions.

    Raises:
        FileNotFoundError: the package was not built, as in a checkout that is not installed.
    """
    path = Path(__file__).resolve().with_name(LIBRARY_NAME)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; build it with `pip install -e .`")
    return path
