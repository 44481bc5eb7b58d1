"""A window that shows frames while they are made."""

from __future__ import annotations

import cv2
import numpy as np

from yolov7.utils.errors import UserError

_KEYS_TO_STOP = (ord("q"), 27)  # 27 is the escape key


class Window:
    """A window of OpenCV, closed by `q`, the escape key or its own button."""

    def __init__(self, title: str) -> None:
        """Open it.

        Raises:
            UserError: this OpenCV or this machine has no windows.
        """
        self.title = title
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise UserError(
                "--show needs a screen and an OpenCV with windows, which the package "
                "opencv-python-headless is not. Leave --show out and look at the file in the "
                "output folder, or install opencv-python instead."
            ) from error

    def show(self, image: np.ndarray) -> bool:
        """Show a frame (H, W, 3) uint8, BGR; False once the user wants to stop."""
        cv2.imshow(self.title, image)
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in _KEYS_TO_STOP and self._is_there()

    def close(self) -> None:
        """Close it, unless its own button has done so."""
        if self._is_there():
            cv2.destroyWindow(self.title)

    def _is_there(self) -> bool:
        try:
            return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1
        except cv2.error:  # what OpenCV with Qt says once its last window is closed
            return False
