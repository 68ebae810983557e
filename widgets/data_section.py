"""What a person sees of the data to learn from."""

from __future__ import annotations

import ipywidgets as ipw

from gnndesign_widgets.controls import Message, button, field, heading
from gnndesign_widgets.dataset_look import look_html
from gnndesign_widgets.training import SPLITS, TrainingModel


class DataSection(ipw.VBox):
    """The data of a `TrainingModel`, of which a `FineTuneModel` learns, too."""

    def __init__(self, model: TrainingModel) -> None:
        self._model = model
        self.looking = Message()
        self.look = ipw.HTML()
        self.data = field(
            model,
            "data",
            ipw.Text(
                description="File",
                placeholder="data/silicon.xyz, .db, vasprun.xml, OUTCAR",
                continuous_update=False,
            ),
        )
        share = ipw.BoundedFloatText(
            min=0.01, max=0.9, step=0.05, description="Validation share"
        )
        split = ipw.Dropdown(options=SPLITS, description="Split by")
        super().__init__(
            [
                heading("Data"),
                self.data,
                ipw.HBox([button("Look at the data", self.look_at, icon="search")]),
                self.looking,
                self.look,
                field(model, "validation_share", share),
                field(model, "split_by", split),
            ]
        )
        model.observe(self._show, ["look", "looking"])
        self._show()

    def look_at(self) -> None:
        """What the button does."""

        def look() -> str:
            self._model.look_at_data()
            return self._model.looking

        self.looking.attempt(look)

    def _show(self, _change: object = None) -> None:
        look, said = self._model.look, self._model.looking
        self.look.value = "" if look is None else look_html(look)
        if said.startswith("Reading") or not said:
            self.looking.say(said)
        else:
            self.looking.refuse(said)
