"""What a hook has received, as pandas frames. The only room that imports pandas."""

from __future__ import annotations

from hooknb.history.frames.frames import Frames

__all__ = ["Frames"]
