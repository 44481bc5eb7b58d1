"""Where the tiles of mosaics go, worked out by hand."""

from __future__ import annotations

import numpy as np

from yolov7.data.augmentation import MOSAIC_LAYOUTS, FourTileLayout, NineTileLayout, Placement

SIZES = [(48, 64), (128, 100), (180, 240), (72, 96)]
SIZE = (96, 128)


def test_the_four_tiles_meet_at_a_whole_centre():
    layout = FourTileLayout()
    assert layout.canvas_size((96, 128)) == (192, 256)
    centers = set()
    for seed in range(300):
        a, b, c, d = layout.place(SIZES, SIZE, np.random.default_rng(seed))
        x, y = b.left, c.top
        assert (a.left + a.width, a.top + a.height) == (x, y)
        assert (b.left, b.top + b.height) == (x, y)
        assert (c.left + c.width, c.top) == (x, y)
        assert (d.left, d.top) == (x, y)
        assert 64 <= x < 192 and 48 <= y < 144
        centers.add((x, y))
    assert len(centers) > 250
    # 48x64 into 96x128: twice as large; 128x100: three quarters.
    assert a == Placement(left=x - 128, top=y - 96, height=96, width=128)
    assert (b.height, b.width) == (96, 75)


# (height, width) of pictures that fit into 100 by 100 as they are, and (left, top) on the canvas of
# 300 by 300: the middle one at (100, 100), the ring clockwise from the top.
NINE = [
    ((50, 100), (100, 100)),
    ((100, 50), (100, 0)),  # stands on the middle one's top edge, from its left end
    ((100, 100), (150, 0)),  # goes on to the right
    ((100, 80), (200, 100)),  # right of the right edge, from its upper end
    ((60, 100), (200, 200)),  # goes on below
    ((100, 30), (170, 150)),  # below the lower edge, from its right end
    ((100, 100), (70, 150)),  # goes on to the left
    ((100, 40), (60, 50)),  # left of the left edge, from its lower end
    ((20, 100), (0, 30)),  # goes on above
]


def test_nine_tiles_by_hand():
    layout = NineTileLayout()
    assert layout.canvas_size((100, 100)) == (200, 200)
    windows = set()
    for seed in range(300):
        places = layout.place([size for size, _ in NINE], (100, 100), np.random.default_rng(seed))
        x, y = 100 - places[0].left, 100 - places[0].top
        assert 0 <= x < 100 and 0 <= y < 100
        windows.add((x, y))
        assert places == [
            Placement(left=left - x, top=top - y, height=height, width=width)
            for (height, width), (left, top) in NINE
        ]
    assert len(windows) > 250
    assert {0, 99} <= {x for x, _ in windows} and {0, 99} <= {y for _, y in windows}


def test_nine_tiles_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(100):
        sizes = rng.integers(1, 200, (9, 2)).tolist()
        count = np.zeros((500, 500), int)
        for place in NineTileLayout().place(sizes, (96, 128), rng):
            top, left = place.top + 150, place.left + 150
            count[top : top + place.height, left : left + place.width] += 1
        assert count.max() == 1


def test_tiles_of_the_wanted_shape_fill_the_window():
    for layout in (FourTileLayout(), NineTileLayout()):
        size = (96, 128)
        height, width = layout.canvas_size(size)
        covered = np.zeros((height, width), bool)
        for place in layout.place([size] * layout.num_tiles, size, np.random.default_rng(1)):
            bottom, right = place.top + place.height, place.left + place.width
            covered[max(place.top, 0) : max(bottom, 0), max(place.left, 0) : max(right, 0)] = True
        # Four pictures are as large as the canvas and are moved; nine are larger than the window.
        assert covered.all() == (layout.num_tiles == 9)


def test_layouts_by_number_of_pictures():
    assert MOSAIC_LAYOUTS == {4: FourTileLayout, 9: NineTileLayout}
    assert all(layout.num_tiles == number for number, layout in MOSAIC_LAYOUTS.items())
