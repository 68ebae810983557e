"""`StructureView`: one view of crystals, molecules and running simulations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import ase
import numpy as np
from ase.data import chemical_symbols
from traitlets import Any as AnyTrait
from traitlets import Bool, Float, Int, observe

from gnndesign.errors import StructureError
from gnndesign_widgets.frame_gate import FrameGate
from gnndesign_widgets.ngl_canvas import NGLCanvas
from gnndesign_widgets.scene import Scene, Style, build_scene, stored_forces
from gnndesign_widgets.scene_message import LayerPacker

LARGE = 5000
# Scenes for one new display are not counted by the gate.
_UNCOUNTED = 0


class Frames(Protocol):
    """A sequence of structures; may read them lazily, and may grow."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> ase.Atoms: ...


class StructureView(NGLCanvas):
    """A view that draws `ase.Atoms`, frame by frame, with one message a frame.

    Atoms, cell and number of atoms may change from frame to frame; the camera stays.
    `frame` and `max_frame` are nglview's: setting `frame`, or moving a player that is
    linked to it, shows that frame. All methods may be called from any thread.

    Attributes:
        show_bonds: draw bonds; switched off when a structure above 5,000 atoms comes.
        show_cell: draw the cell.
        show_forces: draw stored forces as arrows; switched off like the bonds.
        radius_scale: dimensionless factor on the radii of the atoms.
        color_by: "element", the name of a per-atom array, or (n_atoms,) numbers.
        selected: index of the picked atom, or None.
        spinning: the camera goes around slowly.
        error_message: why the wanted frame could not be drawn, or nothing.
    """

    show_bonds = Bool(default_value=True)
    show_cell = Bool(default_value=True)
    show_forces = Bool(default_value=False)
    radius_scale = Float(1.0)
    color_by: Any = AnyTrait("element")  # pyright: ignore[reportIncompatibleMethodOverride]
    selected = Int(None, allow_none=True)
    spinning = Bool(default_value=False)

    def __init__(
        self,
        frames: ase.Atoms | Frames | None = None,
        *,
        width: str = "100%",
        height: str = "420px",
        hover_player: bool = True,
    ) -> None:
        """Open a view.

        Args:
            frames: shown at once; see `show`.
            width: of the widget, CSS.
            height: of the widget, CSS.
            hover_player: offer nglview's player, which appears under the mouse.
        """
        self._frames: Frames = ()
        self._live: ase.Atoms | None = None
        self._settling = False
        self._autoview = True
        self._shrunk = False
        self._last_formula = np.zeros(0, dtype=int), ""
        self._packer = LayerPacker()
        self._gate = FrameGate(self._send_newest)
        self._pick_callbacks: list[Callable[[int], None]] = []
        super().__init__(width=width, height=height, hover_player=hover_player)
        if frames is not None:
            self.show(frames)

    def show(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, frames: ase.Atoms | Frames, *, keep_camera: bool = False
    ) -> None:
        """Show a structure, or the first frame of many.

        Args:
            frames: one structure, or a sequence of them that is read when needed.
            keep_camera: do not center and zoom; done anyhow if the view was empty.

        Raises:
            StructureError: the first frame is not an `ase.Atoms`.
        """
        sequence: Frames = (frames.copy(),) if isinstance(frames, ase.Atoms) else frames
        if isinstance(frames, ase.Atoms):
            sequence[0].calc = frames.calc
        n_frames = len(sequence)
        first = sequence[0] if n_frames else None
        _check_is_atoms(first if n_frames else ase.Atoms())
        self._autoview |= self._is_empty() or not keep_camera
        self._settling = True
        try:
            self._frames, self._live = sequence, None
            self.error_message = ""
            self.selected = None
            self.frame = 0
            self.max_frame = max(n_frames - 1, 0)
            self._fit_to_size(0 if first is None else len(first))
        finally:
            self._settling = False
        self._request()

    def grow(self, n_frames: int | None = None) -> None:
        """The sequence that is shown has become longer.

        Who looks at the last frame goes on doing so.

        Args:
            n_frames: how many there are now; None asks the sequence.
        """
        last = max((len(self._frames) if n_frames is None else n_frames) - 1, 0)
        following = self._live is None and self.frame >= self.max_frame
        self.max_frame = last
        if following and self.frame != last:
            self.frame = last
        elif self._live is None:
            self._request()

    def live(self, atoms: ase.Atoms) -> None:
        """Offer the newest structure of a simulation that is running.

        Returns at once. A frame is drawn only when the browser has drawn the one
        before; of those offered meanwhile, only the newest is. Moving the player
        returns to the frames given to `show`.

        Args:
            atoms: copied, with the forces it carries.

        Raises:
            StructureError: not an `ase.Atoms`.
        """
        _check_is_atoms(atoms)
        snapshot = atoms.copy()
        forces = stored_forces(atoms) if self.show_forces else None
        if forces is not None:
            snapshot.arrays["forces"] = forces.copy()
        self._fit_to_size(len(snapshot))
        self._live = snapshot
        self._request()

    def clear(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Show nothing."""
        self.show(())

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call `callback(index)` when somebody clicks on an atom."""
        self._pick_callbacks.append(callback)

    @property
    def frames_drawn(self) -> tuple[int, int, int]:
        """How many frames were asked for, sent, and acknowledged by the browser."""
        return self._gate.requested, self._gate.sent, self._gate.acknowledged

    def _is_empty(self) -> bool:
        return self._live is None and len(self._frames) == 0

    def _newest(self) -> ase.Atoms | None:
        live, frames = self._live, self._frames
        if live is not None:
            return live
        n_frames = len(frames)
        return frames[min(self.frame, n_frames - 1)] if n_frames else None

    def _fit_to_size(self, n_atoms: int) -> None:
        """Give up bonds and arrows once when a structure is large; the user may insist."""
        if n_atoms > LARGE and not self._shrunk:
            self._shrunk = True
            self.show_bonds = self.show_forces = False
        elif 0 < n_atoms <= LARGE and self._shrunk:
            self._shrunk = False
            self.show_bonds = True

    def _request(self) -> None:
        if self._displays and not self._settling:
            self._gate.request()

    def _send_newest(self) -> None:
        self._send_scene(sequence=self._gate.sent)

    def _send_scene(self, *, sequence: int, display: str | None = None) -> None:
        """Build what is to be seen now; send it to one new display, or to all."""
        atoms = self._newest()
        scene = Scene(layers=()) if atoms is None else build_scene(atoms, self._style())
        layers, buffers = self._packer.pack(scene.layers, complete=display is not None)
        message: dict[str, Any] = {
            "type": "gnndesign:scene",
            "sequence": sequence,
            "autoview": self._autoview,
            "crystal": atoms is not None and int(atoms.cell.rank) == 3,
            "caption": "" if atoms is None else self._caption(atoms),
            "notice": scene.notice,
            "error": self.error_message,
            "selected": self.selected,
            "layers": layers,
        }
        if display is not None:
            message |= {"view": display, "symbols": chemical_symbols}
            # A reloaded page looks from where it looked before.
            message |= {"autoview": self._autoview or not self._camera}
            message |= {"camera": self._camera}
        if atoms is not None and self._autoview:
            self._autoview = False
        self.send(message, buffers=buffers)

    def _style(self) -> Style:
        return Style(
            bonds=self.show_bonds,
            cell=self.show_cell,
            forces=self.show_forces,
            radius_scale=self.radius_scale,
            color_by=self.color_by,
        )

    def _caption(self, atoms: ase.Atoms) -> str:
        parts = [
            self._formula(atoms),
            f"{len(atoms)} atom{'' if len(atoms) == 1 else 's'}",
        ]
        if self._live is not None:
            parts.append("live")
        elif self.max_frame > 0:
            parts.append(f"frame {self.frame + 1} of {self.max_frame + 1}")
        return " · ".join(parts)

    def _formula(self, atoms: ase.Atoms) -> str:
        """Of a thousand atoms it takes as long as the rest of the scene: kept."""
        numbers, formula = self._last_formula
        if not np.array_equal(numbers, atoms.numbers):
            formula = atoms.get_chemical_formula("metal")
            self._last_formula = atoms.numbers.copy(), formula
        return formula

    def _on_ready(self, display: str) -> None:
        self._send_scene(sequence=_UNCOUNTED, display=display)
        if self.spinning:
            self.spin(on=True)

    def _on_drawn(self, sequence: int) -> None:
        self._gate.acknowledge(sequence)

    def _on_picked(self, index: int | None) -> None:
        self.selected = index
        if index is not None:
            for callback in self._pick_callbacks:
                callback(index)

    def _set_coordinates(
        self,
        index: int,  # noqa: ARG002
        movie_making: bool = False,  # noqa: ARG002, FBT001, FBT002
        render_params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Called by nglview when `frame` has changed."""
        self._live = None
        if not self._settling:
            self.error_message = ""
        self._shielded(self._request)

    @observe("show_bonds", "show_cell", "show_forces", "radius_scale", "color_by")
    def _restyle(self, _change: object) -> None:
        self._request()

    @observe("selected")
    def _show_selected(self, change: dict[str, Any]) -> None:
        self.send({"type": "gnndesign:select", "index": change["new"]})

    @observe("spinning")
    def _turn(self, change: dict[str, Any]) -> None:
        self.spin(on=change["new"])


def _check_is_atoms(candidate: object) -> None:
    if not isinstance(candidate, ase.Atoms):
        raise StructureError(f"The viewer shows ase.Atoms, got {candidate!r}.")
