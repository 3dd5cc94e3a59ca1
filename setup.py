"""Builds the native operator library: a plain shared library, independent of the Python version."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = Path("runtime/native")

# Vectorisation of comparisons needs -fno-trapping-math; results must not depend on fused multiply-adds.
COMPILE_ARGS = [
    "-std=c++17",
    "-O3",
    "-g0",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
]
# The wheel must load where another C++ standard library, or none, is installed.
LINUX_LINK_ARGS = [
    "-static-libstdc++",
    "-static-libgcc",
    f"-Wl,--version-script={NATIVE / 'exports.map'}",
]


class BuildLibrary(build_ext):
    """Builds a shared library without the name suffix and the entry point of a Python extension module."""

    def get_ext_filename(self, fullname: str) -> str:
        return os.path.join(*fullname.split(".")) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return []


class PlatformWheel(bdist_wheel):
    """Tags the wheel py3-none-<platform>: there is no Python ABI in it."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        Extension(
            "snnc.runtime.libsnnc_ops",
            sources=[str(source) for source in sorted(NATIVE.rglob("*.cpp"))],
            depends=[str(header) for header in sorted(NATIVE.rglob("*.hpp"))] + [str(NATIVE / "exports.map")],
            language="c++",
            extra_compile_args=COMPILE_ARGS,
            extra_link_args=LINUX_LINK_ARGS if sys.platform == "linux" else [],
        )
    ],
    cmdclass={"build_ext": BuildLibrary, "bdist_wheel": PlatformWheel},
)
