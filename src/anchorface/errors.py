"""The few exceptions anchorface raises on purpose. Messages say what was expected, what came, and the remedy.

The command line prints them without a traceback and exits with code 2.
"""


class AnchorfaceError(Exception):
    """Base of every error that is the input's or the environment's fault, never ours."""


class InputError(AnchorfaceError):
    """A file, picture, clip or option that cannot be used as given."""


class NoFaceError(InputError):
    """No face, or not enough of one, was found where one is needed."""


class ModelError(AnchorfaceError):
    """Weights that are missing, corrupt, or of a kind that does not fit where they were given."""


class MissingExtraError(AnchorfaceError):
    """An optional dependency is needed; the message names the extra to install."""
