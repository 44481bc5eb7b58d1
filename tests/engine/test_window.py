import cv2
import numpy as np
import pytest

from yolov7.engine.window import Window


class Screen:
    """Stands for OpenCV's windows: whether there is one, and which key was pressed."""

    def __init__(self, *, raises_when_gone=False):
        self.titles = []
        self.key = -1
        self.raises_when_gone = raises_when_gone

    def namedWindow(self, title, flags):
        self.titles.append(title)

    def imshow(self, title, image):
        pass

    def waitKey(self, milliseconds):
        return self.key

    def getWindowProperty(self, title, name):
        if self.raises_when_gone:
            self._want(title)
        return 1.0 if title in self.titles else -1.0

    def destroyWindow(self, title):
        self._want(title)
        self.titles.remove(title)

    def _want(self, title):
        if title not in self.titles:
            raise cv2.error("NULL window")


@pytest.fixture(params=[False, True], ids=["a number", "an error"])
def screen(request, monkeypatch):
    """OpenCVs say in one of two ways that a window is gone."""
    screen = Screen(raises_when_gone=request.param)
    for name in ("namedWindow", "imshow", "waitKey", "getWindowProperty", "destroyWindow"):
        monkeypatch.setattr(cv2, name, getattr(screen, name))
    return screen


IMAGE = np.zeros((2, 3, 3), np.uint8)


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_a_key_stops_it(screen, key):
    window = Window("demo")
    assert window.show(IMAGE)
    screen.key = key
    assert not window.show(IMAGE)
    window.close()
    assert not screen.titles


def test_its_own_button_stops_it_and_closing_it_again_is_no_error(screen):
    window = Window("demo")
    assert window.show(IMAGE)
    screen.titles.clear()
    assert not window.show(IMAGE)
    window.close()
