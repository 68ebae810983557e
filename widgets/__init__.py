"""The notebook interface of gnndesign: `Workbench`, the viewer, and `show`."""

from __future__ import annotations

# First: nglview must find its front end's version when it is imported.
from gnndesign_widgets import nglview_frontend as nglview_frontend
from gnndesign_widgets.app import Workbench
from gnndesign_widgets.show import show
from gnndesign_widgets.viewer import StructureView, ViewerPanel

__all__ = ["StructureView", "ViewerPanel", "Workbench", "show"]
