"""Opening files: one `PathManager` for everything behind the seam."""

from __future__ import annotations

from iopath.common.file_io import HTTPURLHandler
from iopath.common.file_io import PathManager as _PathManager

# An instance of our own: handlers that other libraries register on theirs stay theirs.
PathManager = _PathManager()
PathManager.register_handler(HTTPURLHandler())
