"""Writing a converted network as C for microcontrollers: `export_c`."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from snnc.api.model import SpikingModel, open_converted
from snnc.data import Preparation
from snnc.diagnostics import fail
from snnc.export.c.planner import plan
from snnc.export.c.program import Program
from snnc.export.c.readme import readme
from snnc.export.c.sample import Sample, sample_of
from snnc.export.c.sources import sources
from snnc.files import check_folder_writable
from snnc.places import write_folder

README = "README.md"
#: Stands in the first line of the header of every export.
MARK = b"Written by snnc"


@dataclass(frozen=True)
class CExport:
    """A network as C: `files` by their names, the `program` that they are, and the `sample` that comes with it."""

    files: dict[str, str]
    program: Program
    sample: Sample

    @property
    def contents(self) -> dict[str, bytes]:
        """The files as they are written."""
        return {name: text.encode("utf-8") for name, text in self.files.items()}

    def check_folder(self, folder: str | PathLike[str]) -> None:
        """SNN401 where the files cannot be written into `folder`, or would replace others than those of an earlier
        export: a Makefile and a README are soon somebody's own."""
        check_folder_writable(folder, self.files)
        place = Path(folder)
        taken = [name for name in self.files if (place / name).exists()]
        if taken and not _was_written_here(place / f"{self.program.name}.h"):
            message = f"{fspath(folder)} has files of its own that would be lost: {', '.join(taken)}"
            fail("SNN401", message, hint="choose a new folder, or that of an earlier export")

    def save(self, folder: str | PathLike[str]) -> None:
        """Write all files into `folder`, which is made where it does not exist; SNN401, and nothing is written, where
        that is not possible (`check_folder`)."""
        self.check_folder(folder)
        write_folder(folder, self.contents)


def _was_written_here(header: Path) -> bool:
    try:
        with header.open("rb") as file:
            return MARK in file.readline()
    except OSError:
        return False


def export_c(
    model: str | PathLike[str] | SpikingModel,
    *,
    name: str = "net",
    most_steps: int | None = None,
    preparation: Preparation | None = None,
) -> CExport:
    """The network as a program in C99 with the same spikes: integers only, no allocation, no library.

    `name` begins its files and public names. `most_steps` are as many as it will ever run (the file's max_steps, unless
    something is said): fewer may need smaller membrane potentials. Networks that settle have room for any number, and
    none can be given. `preparation` says what becomes of the bytes of an image in front of the network (scale, mean,
    std): as the file says, and divided by 255 where it does not.

    Raises:
        DiagnosticError: SNN423: what cannot be written, all at once. SNN404, SNN405: an argument is wrong.
    """
    file = open_converted(model)
    program = plan(file, name, most_steps, Preparation.said(preparation))
    sample = sample_of(file, program)
    files = sources(program, sample, file.name, file.options.seed, file.options.steps)
    return CExport({**files, README: readme(program, file.name)}, program, sample)
