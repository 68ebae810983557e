"""Exporting the frames on the stage to a file."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import ipywidgets as ipw

from gnndesign.errors import GNNDesignError
from gnndesign.structures.export import EXPORT_NAMES, export_trajectory
from gnndesign_widgets.controls import FIELD, Message, button

_TITLES = {
    "extxyz": "extended XYZ",
    "xdatcar": "XDATCAR (VASP)",
    "cif": "CIF",
    "pdb": "PDB",
    "lammps-dump": "LAMMPS dump",
}
_TELL_EVERY_S = 0.3


class ExportBar(ipw.VBox):
    """A format, a name, and a button; the file is written while other work goes on.

    Attributes:
        source: the trajectory to export; None hides the bar.
    """

    def __init__(self) -> None:
        self._source: Path | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.format = ipw.Dropdown(
            description="Export",
            options=[(_TITLES[name], name) for name in EXPORT_NAMES],
            style=FIELD,
        )
        self.format.layout.width = "260px"
        self.name = ipw.Text(value=EXPORT_NAMES["extxyz"])
        self.name.layout.flex = "1 1 auto"
        self.name.layout.width = "auto"
        self.go = button("Export", self._start_or_stop, icon="download")
        self.message = Message()
        self.format.observe(self._rename, "value")
        row = ipw.HBox([self.format, self.name, self.go])
        row.layout.flex_flow = "row wrap"
        super().__init__([row, self.message])
        self.source = None

    @property
    def source(self) -> Path | None:
        """The trajectory to export."""
        return self._source

    @source.setter
    def source(self, path: Path | None) -> None:
        self._source = path
        self.layout.display = "none" if path is None else ""

    def _rename(self, change: dict[str, str]) -> None:
        folder = Path(self.name.value).parent
        self.name.value = str(folder / EXPORT_NAMES[change["new"]])

    def _start_or_stop(self) -> None:
        if self._thread is not None:
            self._stopping.set()
            return
        if self._source is None:
            return
        self._stopping.clear()
        self.go.description, self.go.icon = "Cancel", "times"
        target = Path(self.name.value).expanduser()
        arguments = (self._source, target, str(self.format.value))
        self._thread = threading.Thread(
            target=self._export, args=arguments, daemon=True
        )
        self._thread.start()

    def _export(self, source: Path, target: Path, file_format: str) -> None:
        told = 0.0

        def tell(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told > _TELL_EVERY_S:
                told = time.monotonic()
                self.message.say(f"{done} of {total} frames.")

        try:
            n_frames = export_trajectory(
                source,
                target,
                file_format,
                on_progress=tell,
                should_stop=self._stopping.is_set,
            )
        except (GNNDesignError, OSError) as error:
            tell_end = partial(self.message.refuse, str(error))
        else:
            done = f"Wrote {n_frames} frames to {target.resolve()}."
            said = done if n_frames else "Canceled; nothing was written."
            tell_end = partial(self.message.say, said)
        finally:
            # Who reads the message can export again.
            self._thread = None
            self.go.description, self.go.icon = "Export", "download"
        tell_end()
