"""The Python interface: `snnc.convert`, `evaluate`, `record`, `compare`, and what the commands need beside them."""

from snnc.api.conversion import Estimates, check, convert, from_torch
from snnc.api.exporting import NirExport, export_nir
from snnc.api.exporting_c import CExport, export_c
from snnc.api.exporting_graded import GradedExport, export_graded
from snnc.api.layers import compare, record
from snnc.api.measuring import check_classes, error_budget, evaluate, evaluate_exits, require_same_network, verify
from snnc.api.model import Model, SpikingModel, check_exits, input_dims, open_converted, preparation_for
from snnc.api.sweeping import sweep

__all__ = [
    "CExport",
    "Estimates",
    "GradedExport",
    "Model",
    "NirExport",
    "SpikingModel",
    "check",
    "check_classes",
    "check_exits",
    "compare",
    "convert",
    "error_budget",
    "evaluate",
    "evaluate_exits",
    "export_c",
    "export_graded",
    "export_nir",
    "from_torch",
    "input_dims",
    "open_converted",
    "preparation_for",
    "record",
    "require_same_network",
    "sweep",
    "verify",
]
