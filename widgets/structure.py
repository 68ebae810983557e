"""The structure panel: load, build, edit, choose, save."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ase
import ipywidgets as ipw
from traitlets import HasTraits, Int, Tuple

from gnndesign.errors import GNNDesignError, StructureError
from gnndesign.structures.files import load_structures, load_uploaded, save_structure
from gnndesign.structures.symmetry import space_group
from gnndesign.structures.trajectory import TrajectoryFile
from gnndesign_widgets.controls import FIELD, Message, button, heading
from gnndesign_widgets.structure_forms import build_forms, edit_forms

MOST_FRAMES = 200  # of one file on the desk; of more, the last alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A structure on the desk.

    Attributes:
        name: what the user sees.
        atoms: the structure; never changed, only replaced.
        before: the entry this one was made from by an edit; None for a fresh one.
    """

    name: str
    atoms: ase.Atoms
    before: Entry | None = None


class StructureModel(HasTraits):
    """The structures on the desk, and which of them the next job takes.

    Attributes:
        entries: all `Entry`s.
        chosen: indices into `entries`, ascending; the first is the one shown.
        revision: grows whenever the shown structure may have changed.
    """

    entries = Tuple()
    chosen = Tuple()
    revision = Int(0)

    @property
    def current(self) -> Entry:
        """The entry that is shown and edited.

        Raises:
            StructureError: there is none.
        """
        if not self.chosen:
            raise StructureError("There is no structure yet; load or build one.")
        return self.entries[self.chosen[0]]

    @property
    def atoms(self) -> ase.Atoms | None:
        """The structure that is shown; None on an empty desk."""
        return self.current.atoms if self.chosen else None

    def chosen_atoms(self) -> list[ase.Atoms]:
        """The structures that the next job takes.

        Raises:
            StructureError: there is none.
        """
        if not self.chosen:
            raise StructureError("There is no structure yet; load or build one.")
        return [self.entries[k].atoms for k in self.chosen]

    def add(self, structures: Sequence[tuple[str, ase.Atoms]]) -> None:
        """Put structures on the desk and choose them."""
        start = len(self.entries)
        fresh = tuple(Entry(name=name, atoms=atoms) for name, atoms in structures)
        with self.hold_trait_notifications():
            self.entries = self.entries + fresh
            self.choose(range(start, start + len(fresh)))

    def choose(self, indices: Sequence[int]) -> None:
        """Take other structures for the next job."""
        self.chosen = tuple(sorted(indices))
        self.revision += 1

    def edit(self, what: str, change: Callable[[ase.Atoms], ase.Atoms]) -> str:
        """Replace the current structure by a changed one; `undo` takes it back.

        Raises:
            StructureError, ParameterError: the change cannot be made.
        """
        entry = self.current
        atoms = change(entry.atoms)
        self._replace(Entry(name=f"{entry.name}, {what}", atoms=atoms, before=entry))
        return f"{what}: now {atoms.get_chemical_formula('metal')}, {len(atoms)} atoms."

    def undo(self) -> str:
        """Take back the last edit of the current structure.

        Raises:
            StructureError: there is nothing to take back.
        """
        entry = self.current
        if entry.before is None:
            raise StructureError("There is no edit of this structure to take back.")
        self._replace(entry.before)
        return f"Back to {entry.before.name}."

    def remove(self) -> None:
        """Take the chosen structures off the desk."""
        kept = [e for k, e in enumerate(self.entries) if k not in self.chosen]
        with self.hold_trait_notifications():
            self.entries = tuple(kept)
            self.choose([len(kept) - 1] if kept else [])

    def _replace(self, entry: Entry) -> None:
        entries = list(self.entries)
        entries[self.chosen[0]] = entry
        with self.hold_trait_notifications():
            self.entries = tuple(entries)
            self.revision += 1


class StructurePanel(ipw.VBox):
    """What a person sees of a `StructureModel`."""

    def __init__(self, model: StructureModel) -> None:
        self._model = model
        self._listing = False
        self.message = Message()
        self.upload = ipw.FileUpload(multiple=True, description="Upload files")
        self.path = ipw.Text(
            placeholder="or a path: data/NaCl.cif", continuous_update=False
        )
        self.path.layout.flex = "1 1 auto"
        self.desk = ipw.SelectMultiple(rows=4, description="Desk", style=FIELD)
        self.desk.layout.width = "auto"
        self.facts = ipw.HTML()
        self.save_name = ipw.Text(value="structure.cif", description="Save as")
        self.save_name.style = FIELD
        self.upload.observe(self._uploaded, "value")
        self.path.observe(self._typed, "value")
        self.desk.observe(self._chosen, "value")
        model.observe(self._show, ["entries", "chosen", "revision"])
        super().__init__(
            [
                heading("Load"),
                ipw.HBox([self.upload, self.path]),
                self._forms("Build", build_forms(), self._build),
                self.desk,
                self.facts,
                self._forms("Edit", edit_forms(), self._edit),
                ipw.HBox(
                    [
                        button("Undo edit", partial(self._attempt, model.undo)),
                        button("Remove", partial(self._attempt, model.remove)),
                    ]
                ),
                ipw.HBox([self.save_name, button("Save", self._save)]),
                self.message,
            ]
        )
        self._show()

    def _forms(
        self, title: str, forms: Sequence[Any], act: Callable[..., None]
    ) -> ipw.Widget:
        """A choice of forms, of which one is shown at a time, with its button."""
        choice = ipw.Dropdown(
            description=title,
            options=[(form.title, k) for k, form in enumerate(forms)],
            style=FIELD,
        )
        choice.layout.width = "auto"
        stack = ipw.Stack([form.widget for form in forms], selected_index=0)
        ipw.jslink((choice, "index"), (stack, "selected_index"))
        stack.layout.width = "100%"
        go = button(title, lambda: act(forms[choice.index or 0]), icon="check")
        go.layout.margin = f"2px 2px 10px calc({FIELD['description_width']} + 10px)"
        return ipw.VBox([choice, stack, go])

    def _attempt(self, action: Callable[[], str | None]) -> None:
        self.message.attempt(action)

    def _build(self, form: Any) -> None:
        def build() -> str:
            name, atoms = form.make()
            self._model.add([(name, atoms)])
            return f"Built {name}: {len(atoms)} atoms."

        self.message.attempt(build)

    def _edit(self, form: Any) -> None:
        self.message.attempt(lambda: self._model.edit(form.describe(), form.change))

    def _uploaded(self, change: dict[str, Any]) -> None:
        files = change["new"]
        if not files:
            return
        loaded: list[str] = []
        refused: list[str] = []
        for file in files:
            try:
                frames = load_uploaded(file["name"], bytes(file["content"]))
            except GNNDesignError as error:
                refused.append(str(error))
            else:
                loaded.append(self._add(file["name"], frames))
        # An upload of the same file again must be noticed as a change.
        self.upload.value = ()
        if refused:
            self.message.refuse(" ".join([*refused, *loaded]))
        else:
            self.message.say(" ".join(loaded))

    def _typed(self, change: dict[str, str]) -> None:
        text = change["new"].strip()
        if not text:
            return

        def load() -> str:
            path = Path(text).expanduser()
            if path.suffix.lower() == ".traj":
                with closing(TrajectoryFile(path)) as frames:
                    if len(frames) > MOST_FRAMES:
                        return self._add(path.name, frames)
            return self._add(path.name, load_structures(path))

        self.message.attempt(load)

    def _add(self, name: str, frames: Sequence[ase.Atoms]) -> str:
        """Put a file's structures on the desk."""
        if len(frames) <= MOST_FRAMES:
            self._model.add(_named(name, frames))
            return f"Loaded {name}."
        last = load_structures(frames[-1])[0]
        self._model.add([(f"{name} [{len(frames) - 1}]", last)])
        return f"Loaded the last of the {len(frames)} frames of {name}."

    def _save(self) -> None:
        def save() -> str:
            path = Path(self.save_name.value).expanduser()
            save_structure(self._model.current.atoms, path)
            return f"Wrote {path.resolve()}."

        self.message.attempt(save)

    def _chosen(self, change: dict[str, Any]) -> None:
        if not self._listing:
            self._model.choose(change["new"])

    def _show(self, _change: object = None) -> None:
        self._listing = True
        labels = [
            (f"{k + 1}. {entry.name} ({entry.atoms.get_chemical_formula('metal')})", k)
            for k, entry in enumerate(self._model.entries)
        ]
        if list(self.desk.options) != labels:
            self.desk.options = labels
        self.desk.value = self._model.chosen
        self._listing = False
        atoms = self._model.atoms
        self.facts.value = "" if atoms is None else facts(atoms)


def _named(name: str, frames: Sequence[ase.Atoms]) -> list[tuple[str, ase.Atoms]]:
    if len(frames) == 1:
        return [(name, frames[0])]
    return [(f"{name} [{k}]", atoms) for k, atoms in enumerate(frames)]


def facts(atoms: ase.Atoms) -> str:
    """Formula, size, cell and space group of a structure, as HTML."""
    lines = [f"<b>{atoms.get_chemical_formula('metal')}</b>, {len(atoms)} atoms"]
    if atoms.cell.rank == 3:
        a, b, c, alpha, beta, gamma = atoms.cell.cellpar()
        lines.append(f"a, b, c = {a:.4f}, {b:.4f}, {c:.4f} Å")
        lines.append(f"α, β, γ = {alpha:.2f}, {beta:.2f}, {gamma:.2f}°")
        lines.append(f"volume {atoms.cell.volume:.3f} Å³")
    if atoms.pbc.all():
        try:
            group = space_group(atoms)
        except GNNDesignError:
            lines.append("space group not found")
        else:
            lines.append(f"space group {group.symbol} ({group.number})")
    elif not atoms.pbc.any():
        lines.append("not periodic")
    else:
        axes = ", ".join(axis for axis, on in zip("abc", atoms.pbc, strict=True) if on)
        lines.append(f"periodic along {axes}")
    return "<br>".join(lines)
