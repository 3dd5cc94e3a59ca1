"""The methods, one file each, and the registry that finds them by name.

To add one: a file here with a class that fulfils `contract.Method`, its list of passes in `snnc.pipeline`, its name in
`METHODS`, and `python -m snnc.cli.generate` for the documents. Plug-ins bring theirs as entry points of the group
`snnc.methods`.
"""

from __future__ import annotations

from snnc.methods.contract import Method
from snnc.methods.exact import Exact
from snnc.methods.low_latency import LowLatency
from snnc.methods.rmp import Rmp
from snnc.plugins import Registry, instance_of

__all__ = ["METHODS", "Method"]

#: Name → method.
METHODS: Registry[Method] = Registry(
    "snnc.methods",
    {method.name: method for method in (Rmp(), LowLatency(), Exact())},
    instance_of(Method, lambda method: method.name),
)
