"""The options of a conversion from those that a user gave: what there is, of which type, with which defaults."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from snnc.data.synthetic import synthetic_seed
from snnc.diagnostics import fail
from snnc.ir.option import Option, by_layer, whole
from snnc.ir.options import OPTIONS, Options
from snnc.methods import METHODS
from snnc.methods.contract import Method
from snnc.plugins import Registry
from snnc.thresholds import RULES

_NEVER_LONGER_THAN_MAX_STEPS = ("steps", "calib_steps")


def check_range_is_used(options: Options, calib: Any) -> None:
    """SNN405 where a range of synthetic images is given beside data."""
    if options.input_range is not None and calib is not None and synthetic_seed(calib) is None:
        fail("SNN405", "the input range is that of synthetic images, and there is calibration data")


def check_drop_is_measurable(options: Options, calib: Any) -> None:
    """SNN405 where accuracy is asked for and there is no data."""
    if options.target_drop is not None and (calib is None or synthetic_seed(calib) is not None):
        message = "target_drop is about accuracy, and there is no data to measure it on"
        fail("SNN405", message, hint="give `--calib DATA`: random images say nothing about the classes of real ones")


def make_options(*, relaxed: bool = False, **options: Any) -> Options:
    """`Options` from those that a user gave (None: not given), with the defaults that depend on others:

    - `relaxed` stands for `bias="current", batchnorm="fold", max_pool="exact"`;
    - the method has defaults of its own (`Method.defaults`), among them the threshold rule;
    - `shape` may be a tuple;
    - `v_init`: that of the rule (`ThresholdRule.v_init`);
    - `steps` and `calib_steps` never exceed a given `max_steps`.

    Names that are no fields of `Options` are options that a plug-in's method or rule has declared; their values are
    given as they are, or as text.

    Raises:
        DiagnosticError: SNN405, where there is no such option, method or rule, the chosen method or rule does not have
            it, or a value has another type or lies out of range. SNN409, where a plug-in is chosen that is broken.
    """
    given = {name: value for name, value in options.items() if value is not None}
    given |= given.pop("plugin_options", {})
    if relaxed:
        given = {"bias": "current", "batchnorm": "fold", "max_pool": "exact", **given}
    if isinstance(given.get("shape"), list | tuple):
        given["shape"] = ",".join(str(whole("shape", size)) for size in given["shape"])
    given = {name: OPTIONS[name].plain(value) if name in OPTIONS else value for name, value in given.items()}
    method = _chosen("method", given.get("method", Options.method), METHODS, METHODS)
    _refuse_options_without_meaning(method, given)
    _refuse_options_of_others("method", method, METHODS, given)
    if given.get("coding", method.coding) not in method.codings:
        fail("SNN405", f"coding is {given['coding']!r}, must be one of {', '.join(method.codings)} with {method.name}")
    chosen = method.target_chooses
    if "target_drop" in given and chosen in given:
        fail("SNN405", f"target_drop chooses the {chosen}, and {chosen} are given", hint="give one of the two")
    if "levels" in given:
        given["levels"], layer_levels = by_layer(given["levels"], Options.levels)
    else:
        layer_levels = ()
    fields = {"coding": method.coding, **method.defaults(given), **given}
    rule = _chosen("threshold", fields.setdefault("threshold", Options.threshold), RULES, method.rules())
    _refuse_options_of_others("threshold rule", rule, RULES, given)
    fields.setdefault("v_init", rule.v_init)
    longest = fields.get("max_steps", Options.max_steps)
    for name in _NEVER_LONGER_THAN_MAX_STEPS:
        if name not in given:
            fields[name] = max(1, min(fields.get(name, getattr(Options, name)), longest))
    declared = {option.name: option for option in (*rule.options, *method.options)}
    own = {name: _own(name, fields.pop(name), declared) for name in list(fields) if name not in OPTIONS}
    return Options(**fields, layer_levels=layer_levels, plugin_options=tuple(own.items()))


def _chosen(option: str, name: str, registry: Mapping[str, Any], allowed: Iterable[str]) -> Any:
    """What `registry` has by this name; SNN405 where it is not `allowed`."""
    names = list(allowed)
    if name not in names:
        fail("SNN405", f"{option} is {name!r}, must be one of {', '.join(names)}")
    return registry[name]


def _refuse_options_without_meaning(method: Method, given: Mapping[str, Any]) -> None:
    for name in given:
        if name in method.without:
            fail("SNN405", f"{name} is no option of the method {method.name}: {method.without[name]}")


def _refuse_options_of_others(kind: str, chosen: Any, registry: Registry[Any], given: Mapping[str, Any]) -> None:
    """SNN405 where an option is given that only other methods, or other rules, have."""
    own = {option.name for option in chosen.options}
    for other in (*registry.own.values(), *registry.plugged):
        for option in other.options:
            if option.name in given and option.name not in own:
                message = (
                    f"{option.name} belongs to the {kind} {other.name}, the {kind.split()[-1]} here is {chosen.name}"
                )
                fail("SNN405", message)


def _own(name: str, value: Any, declared: Mapping[str, Option]) -> Any:
    """The checked value of an option that a plug-in has declared."""
    if name not in declared:
        near = difflib.get_close_matches(name, [*OPTIONS, *declared, "calib", "relaxed", "preparation"], n=1)
        hint = f"there is {near[0]!r}" if near else ""
        fail("SNN405", f"neither the method nor the threshold rule has an option {name!r}", hint=hint)
    option = declared[name]
    plain = option.parse(value) if isinstance(value, str) and option.kind is not str else option.plain(value)
    option.check(plain)
    return plain
