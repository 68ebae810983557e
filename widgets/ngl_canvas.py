"""nglview as a bare canvas: our JavaScript inside its view, and messages both ways."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import ipywidgets
from traitlets import Unicode, observe

from gnndesign.errors import GNNDesignError
from gnndesign_widgets.nglview_frontend import FRONTEND_VERSION, NGLWidget

logger = logging.getLogger(__name__)


class _DirectCalls:
    """Stands in for nglview's thread, which polls a list for messages to send."""

    def __init__(self, canvas: NGLCanvas) -> None:
        self.q = self
        self._canvas = canvas

    def append(self, call: Callable[[NGLCanvas], None]) -> None:
        call(self._canvas)


@cache
def _javascript() -> str:
    here = Path(__file__).parent
    names = ("viewer_text.js", "viewer_core.js", "viewer_hook.js")
    return "\n".join((here / name).read_text(encoding="utf-8") for name in names)


class NGLCanvas(NGLWidget):
    """An nglview widget whose drawing is done by `viewer_core.js`.

    A subclass overrides the three methods that say what a browser did: `_on_ready`,
    `_on_drawn` and `_on_picked`.

    Attributes:
        error_message: what went wrong last in a callback or in the browser, or nothing.
    """

    # Said here too: nglview may have been imported before its version was corrected.
    _view_module_version = Unicode(FRONTEND_VERSION).tag(sync=True)
    _model_module_version = Unicode(FRONTEND_VERSION).tag(sync=True)

    error_message = Unicode("")

    def __init__(self, *, width: str, height: str, hover_player: bool) -> None:
        self._hover_player = hover_player
        self._displays: list[str] = []
        self._camera: list[float] = []
        self._image_callbacks: dict[int, Callable[[bytes], None]] = {}
        self._image_ids = count()
        super().__init__()
        self.layout.width, self.layout.height = width, height
        self.layout.overflow = "hidden"
        # The canvas fills the widget, whatever its layout, also after a reload.
        self._view_width = self._view_height = "100%"
        self.add_class("gnndesign-view")
        self.on_msg(self._handle_message)
        self._js(_javascript(), fire_embed=True)

    def center(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move the camera so that everything is seen; keep the direction."""
        self.send({"type": "gnndesign:center"})

    def spin(self, *, on: bool) -> None:
        """Let the camera go around slowly, or stop it."""
        self.send({"type": "gnndesign:spin", "on": on})

    def request_image(
        self,
        callback: Callable[[bytes], None],
        *,
        factor: int = 2,
        transparent: bool = False,
    ) -> None:
        """Ask the browser for a picture of the view.

        Args:
            callback: is given the bytes of a PNG file, a moment later.
            factor: pixels of the picture per pixel on screen.
            transparent: leave out the background.

        Raises:
            GNNDesignError: the view is not on display, so nothing can draw it.
        """
        if not self._displays:
            raise GNNDesignError(
                "A picture is drawn by the browser, but this view is not on display. "
                "Show it in a cell first."
            )
        identity = next(self._image_ids)
        self._image_callbacks[identity] = callback
        self.send(
            {
                "type": "gnndesign:image",
                "view": self._displays[-1],
                "id": identity,
                "factor": factor,
                "transparent": transparent,
            }
        )

    def _on_ready(self, display: str) -> None:
        """A new display waits for everything that is to be seen."""

    def _on_drawn(self, sequence: int) -> None:
        """A display has painted the scene with this number."""

    def _on_picked(self, index: int | None) -> None:
        """Somebody clicked on an atom, or beside all atoms."""

    def _on_image(self, identity: int, png: bytes) -> None:
        # Only one display was asked, so there is one answer.
        self._image_callbacks.pop(identity)(png)

    def _handle_message(
        self, _widget: object, message: dict[str, Any], buffers: list[memoryview]
    ) -> None:
        match message:
            case {"type": "gnndesign:ready" | "gnndesign:incomplete", "view": display}:
                if display not in self._displays:
                    self._displays.append(display)
                action = partial(self._on_ready, display)
            case {"type": "gnndesign:gone", "view": display}:
                self._displays = [name for name in self._displays if name != display]
                return
            case {"type": "gnndesign:camera", "camera": camera}:
                self._camera = camera
                return
            case {"type": "gnndesign:drawn", "sequence": int(sequence)}:
                action = partial(self._on_drawn, sequence)
            case {"type": "gnndesign:pick", "index": index}:
                action = partial(self._on_picked, index)
            case {"type": "gnndesign:image", "id": int(identity)}:
                action = partial(self._on_image, identity, bytes(buffers[0]))
            case {"type": "gnndesign:error", "text": str(text)}:
                logger.error("The viewer in the browser failed: %s", text)
                self.error_message = text
                return
            case _:
                return
        self._shielded(action)

    def _shielded(self, action: Callable[[], None]) -> None:
        """Run what a message asked for; show and log a failure.

        Nobody waits for the result of a message, so an exception would vanish.
        """
        try:
            action()
        except Exception as error:
            logger.exception("The viewer could not do what the browser asked for")
            self.error_message = f"{type(error).__name__}: {error}"

    @observe("error_message")
    def _show_error(self, change: dict[str, Any]) -> None:
        self.send({"type": "gnndesign:warn", "text": change["new"]})

    def _initialize_threads(self) -> None:
        # nglview starts four threads here, two of which never end.
        self.on_msg(self._handle_nglview_custom_msg)
        self._remote_call_thread = _DirectCalls(self)

    def _fire_callbacks(self, callbacks: list[Callable[[NGLCanvas], None]]) -> None:
        for callback in callbacks:
            callback(self)

    def _sync_with_layout(self) -> None:
        # The canvas observes its own size in the browser.
        pass

    def _create_player(self) -> None:
        if self._hover_player:
            super()._create_player()
        else:
            self._iplayer = ipywidgets.HBox()
