"""The method: the anchor frame is the text-to-image model's own picture, and the other frames attend to it.

Nothing here knows about faces or about this package's models; it needs torch, diffusers and our error types,
so the folder can be lifted out whole.
"""

from .ghost import ALL, ghost, install, uninstall
from .noise import NoiseLayout

__all__ = ["ALL", "NoiseLayout", "ghost", "install", "uninstall"]
