"""The potential panel: which one, where it computes, and its card."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as ipw
import torch
from ase.data import chemical_symbols
from traitlets import HasTraits, Instance, Unicode, observe

from gnndesign.errors import GNNDesignError, MissingDependencyError
from gnndesign.plots.teaching import error_text
from gnndesign.potentials.base import Card
from gnndesign.potentials.catalog import (
    choose_device,
    list_potentials,
    potential_card,
)
from gnndesign.properties.measured_errors import validations_of
from gnndesign.properties.reference_sets import reference_set
from gnndesign.properties.validation_result import Validation
from gnndesign_widgets.controls import Message, field, labeled, table
from gnndesign_widgets.trained import potential_label

AUTOMATIC = "auto"


class PotentialModel(HasTraits):
    """The potential that the next job takes.

    Attributes:
        name: in the catalog, or a file as `load_potential` takes it.
        device: "auto", "cpu", "cuda" or "cuda:N".
        card: of the potential; None where its package is missing.
        problem: why there is no card.
    """

    name = Unicode("sevennet-0")
    device = Unicode(AUTOMATIC)
    card: Card | None = Instance(Card, allow_none=True)  # pyright: ignore[reportAssignmentType]
    problem = Unicode("")

    def __init__(self) -> None:
        super().__init__()
        self._look_up()

    @property
    def device_for_job(self) -> str | None:
        """As a job takes it."""
        return None if self.device == AUTOMATIC else self.device

    @property
    def resolved_device(self) -> str:
        """What "auto" means on this machine."""
        return str(choose_device(self.device))

    def require_card(self) -> Card:
        """The card.

        Raises:
            MissingDependencyError: the package with the weights is not installed.
        """
        if self.card is None:
            raise MissingDependencyError(self.problem)
        return self.card

    def use(self, name: str) -> str:
        """Take another potential, whose file may have been written anew.

        Raises:
            GNNDesignError: there is none of this name, or its file cannot be loaded.
        """
        card = potential_card(name)
        self.name = name
        self.card, self.problem = card, ""
        return f"The next job takes {card.title}."

    @observe("name")
    def _look_up(self, _change: object = None) -> None:
        try:
            self.card = potential_card(self.name)
            self.problem = ""
        except GNNDesignError as error:
            self.card = None
            self.problem = str(error)


class PotentialPanel(ipw.VBox):
    """What a person sees of a `PotentialModel`."""

    def __init__(self, model: PotentialModel) -> None:
        self._model = model
        self._listing = False
        self.name = labeled(ipw.Dropdown(description="Potential"))
        self.file = labeled(
            ipw.Text(
                description="or a file",
                placeholder="potential.safetensors",
                continuous_update=False,
            )
        )
        self.device = field(
            model, "device", ipw.Dropdown(options=devices(), description="Device")
        )
        self.card = ipw.HTML()
        self.message = Message()
        super().__init__([self.name, self.file, self.device, self.message, self.card])
        self._list()
        self.name.observe(self._choose, "value")
        self.file.observe(self._typed, "value")
        model.observe(self._list, "name")
        model.observe(self._show, ["card", "device", "problem"])
        self._show()

    def _list(self, _change: object = None) -> None:
        """Offer the catalog, and the files that were used."""
        name = self._model.name
        offered = [value for _, value in self.name.options] or list(list_potentials())
        if name not in offered:
            offered.append(name)
        self._listing = True
        self.name.options = [(potential_label(each), each) for each in offered]
        self.name.value = name
        self._listing = False

    def _choose(self, change: dict[str, str]) -> None:
        if not self._listing:
            self._model.name = change["new"]

    def _typed(self, change: dict[str, str]) -> None:
        path = change["new"].strip()
        if path:
            # Whole, because a worker may stand in another folder.
            whole = str(Path(path).expanduser().resolve())
            self.message.attempt(lambda: self._model.use(whole))

    def _show(self, _change: object = None) -> None:
        model = self._model
        self.message.refuse(model.problem)
        if not model.problem:
            self.message.say(f"Computes on {model.resolved_device}.")
        self.card.value = "" if model.card is None else card_html(model.card)


def devices() -> list[str]:
    """What the device may be on this machine."""
    cuda = [f"cuda:{k}" for k in range(torch.cuda.device_count())]
    return [AUTOMATIC, "cpu", *cuda]


def card_html(card: Card) -> str:
    """A card as an HTML table."""
    elements = ", ".join(chemical_symbols[number] for number in card.elements)
    count = "unknown" if card.n_parameters is None else f"{card.n_parameters:,}"
    rows = {
        "Title": card.title,
        "Licence": card.licence,
        "Level of theory": card.level_of_theory,
        "Training data": card.training_data,
        "Parameters": count,
        "Cutoff": "unknown" if card.cutoff is None else f"{card.cutoff:g} Å",
        "Elements": f"{len(card.elements)}: {elements}",
        "Checksum": f"SHA-256 {card.checksum[:16]}…",
        "Cite": card.citation,
        "Good to know": " ".join(card.notes),
    }
    cells = "".join(
        "<tr><td style='vertical-align:top;padding-right:1em;white-space:nowrap'>"
        f"<b>{html.escape(name)}</b></td><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    about = f"<table style='line-height:1.35'>{cells}</table>"
    found = validations_of(card.name, card.checksum)
    return about + ("".join(map(_errors_html, found)) or "<i>Not validated yet.</i>")


def _errors_html(found: Validation) -> str:
    """How far a potential is from one set of references."""
    title = f"{reference_set(found.reference_set).title} ({found.level})"
    rows = [
        [
            ", ".join(filter(None, (errors.name, errors.group))),
            error_text(errors.mean_absolute),
            error_text(errors.median_absolute),
            errors.unit,
            f"{errors.n} of {errors.n + errors.failed}",
            ""
            if errors.published is None
            else f"{errors.published:g} ({errors.published_source})",
        ]
        for errors in found.errors
        if errors.n
    ]
    head = ["Error", "mean", "median", "", "known of", "published"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return f"<div><b>{html.escape(title)}</b></div>{table(head, rows)}"
