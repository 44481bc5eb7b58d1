from yolov7.modeling.padding import CenteredPadding, TopLeftPadding


def test_top_left():
    placement = TopLeftPadding(32)([(33, 50), (20, 64)])
    assert placement.batch_size == (64, 64)
    assert placement.offsets == ((0, 0), (0, 0))


def test_no_padding_where_none_is_needed():
    assert TopLeftPadding(32)([(96, 128)]).batch_size == (96, 128)
    assert TopLeftPadding()([(7, 5), (3, 9)]).batch_size == (7, 9)


def test_centered_gives_x_before_y_and_the_odd_pixel_below():
    placement = CenteredPadding(32)([(33, 50), (20, 64)])
    assert placement.batch_size == (64, 64)
    assert placement.offsets == ((7, 15), (0, 22))
