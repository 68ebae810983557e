"""The exceptions of gnndesign, on one screen.

    GNNDesignError                  catch this to catch all of ours
    ├── StructureError              a structure or a structure file cannot be used
    ├── ShapeError                  an array has the wrong shape (also a ValueError)
    ├── FitError                    a fit has no trustworthy answer (also a ValueError)
    ├── ParameterError              a parameter is outside its range (also a ValueError)
    ├── ConvergenceError            a relaxation or a simulation did not get where it should
    ├── UnsupportedElementError     the potential was not trained on an element
    ├── MissingDependencyError      an optional package is absent (also an ImportError)
    ├── CheckpointError             saved state cannot be read or does not fit
    └── JobError                    a job cannot be submitted, found, read or resumed

Every message says what was wanted, what was given, and what to do.
"""

from __future__ import annotations


class GNNDesignError(Exception):
    """Base class of all exceptions that gnndesign raises on purpose."""


class StructureError(GNNDesignError):
    """A structure or a structure file cannot be used."""


class ShapeError(GNNDesignError, ValueError):
    """An array has the wrong shape."""


class FitError(GNNDesignError, ValueError):
    """A fit has no trustworthy answer."""


class ParameterError(GNNDesignError, ValueError):
    """A parameter is outside the range in which it means something."""


class ConvergenceError(GNNDesignError):
    """A relaxation or a simulation did not get where it should; there is no number."""


class UnsupportedElementError(GNNDesignError):
    """The potential was not trained on one of the elements given to it."""


class MissingDependencyError(GNNDesignError, ImportError):
    """An optional package is not installed; the message names what to install."""


class CheckpointError(GNNDesignError):
    """Saved state cannot be read, or belongs to something else."""


class JobError(GNNDesignError):
    """A job cannot be submitted, found, read or resumed."""
