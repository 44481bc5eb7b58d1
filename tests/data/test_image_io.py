"""Every odd kind of image file has a defined meaning or a clear error."""

from __future__ import annotations

import contextlib
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from yolov7.data.image_io import read_image, read_image_size, read_record_image
from yolov7.data.mappers import TestMapper
from yolov7.utils.errors import ImageError


@pytest.fixture
def pixels():
    """A smooth (48, 64, 3) RGB picture without symmetry."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC)


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_png_is_read_exactly_in_both_channel_orders(tmp_path, pixels):
    path = save(tmp_path / "a.png", pixels)
    assert (read_image(path, "RGB") == pixels).all()
    assert (read_image(str(path)) == pixels[..., ::-1]).all()
    image = read_image(path)
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable


def test_jpeg_is_decoded_at_full_size_as_pillow_does(tmp_path, pixels):
    path = save(tmp_path / "a.jpg", pixels, quality=95)
    difference = read_image(path, "RGB").astype(int) - np.asarray(Image.open(path))
    assert abs(difference).max() <= 1


def test_grey_is_repeated(tmp_path, pixels):
    grey = pixels[..., 0].copy()
    image = read_image(save(tmp_path / "grey.png", grey))
    assert image.shape == (48, 64, 3)
    assert (image == grey[..., None]).all()


def test_one_bit_becomes_0_and_255(tmp_path, pixels):
    image = read_image(save(tmp_path / "bit.png", pixels[..., 0] > 128))
    assert (image[..., 0] == np.where(pixels[..., 0] > 128, 255, 0)).all()


def test_alpha_is_left_out_without_blending(tmp_path, pixels):
    alpha = np.zeros((48, 64, 1), np.uint8)
    path = save(tmp_path / "rgba.png", np.concatenate([pixels, alpha], axis=2))
    assert (read_image(path, "RGB") == pixels).all()


def test_palette_becomes_colours(tmp_path, pixels):
    paletted = Image.fromarray(pixels).quantize(16)
    paletted.save(tmp_path / "p.png", transparency=3)
    expected = np.asarray(paletted.convert("RGB"))
    assert (read_image(tmp_path / "p.png", "RGB") == expected).all()


@pytest.mark.parametrize(("suffix", "channels"), [(".png", 1), (".png", 3), (".tiff", 1)])
def test_16_bit_keeps_the_upper_byte(tmp_path, suffix, channels):
    values = np.random.default_rng(1).integers(0, 2**16, (20, 30, channels), dtype=np.uint16)
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), values)
    assert (read_image(path) == (values // 256).astype(np.uint8)).all()


def test_16_bit_colour_tiff_is_rounded(tmp_path):
    values = np.random.default_rng(1).integers(0, 2**16, (20, 30, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.tiff"), values)
    assert abs(read_image(tmp_path / "deep.tiff") - values / 257).max() <= 0.51


def test_cmyk_becomes_colours(tmp_path, pixels):
    path = tmp_path / "cmyk.jpg"
    Image.fromarray(pixels).convert("CMYK").save(path, quality=95)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert abs(read_image(path, "RGB") - expected).max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, pixels, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    image = read_image(path, "RGB")
    assert image.shape == expected.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    assert abs(image.astype(int) - expected).max() <= 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"absent\.jpg: No such file"):
        read_image(tmp_path / "absent.jpg")


def test_folder_instead_of_a_file_is_an_error(tmp_path):
    with pytest.raises(ImageError, match=str(tmp_path)):
        read_image(tmp_path)


def test_empty_file_is_named(tmp_path):
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match=r"empty\.jpg is an empty file"):
        read_image(tmp_path / "empty.jpg")


def test_text_file_is_named(tmp_path):
    (tmp_path / "page.jpg").write_text("<html>404 not found</html>")
    with pytest.raises(ImageError, match=r"page\.jpg \(26 bytes\)"):
        read_image(tmp_path / "page.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_cut_off_file_is_an_error_and_not_half_grey(tmp_path, pixels, suffix, kept):
    path = save(tmp_path / f"cut{suffix}", pixels)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ImageError, match=f"cut{suffix}"):
        read_image(path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("missing", [10, 400])
def test_training_and_demo_refuse_a_jpeg_that_lacks_its_end(tmp_path, pixels, options, missing):
    path = save(tmp_path / "cut.jpg", pixels, quality=95, **options)
    path.write_bytes(path.read_bytes()[:-missing])
    record = {"file_name": str(path), "height": 48, "width": 64, "annotations": []}
    readers = [lambda: read_image(path), lambda: read_record_image(record)]
    readers.append(lambda: TestMapper(input_size=(64, 64))({**record, "image_id": 1}))
    for read in readers:
        with pytest.raises(ImageError, match=r"cut\.jpg .*damaged, cut off"):
            read()


def test_opencvs_other_reader_would_make_pixels_up(tmp_path, pixels):
    path = save(tmp_path / "cut.jpg", pixels, quality=95)
    path.write_bytes(path.read_bytes()[:-400])
    assert cv2.imread(str(path)).shape == (48, 64, 3)


@pytest.mark.parametrize("shape", [(48, 64), (480, 640)])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end_marker_is_refused_or_has_all_its_pixels(
    tmp_path, pixels, shape, missing
):
    path = save(tmp_path / "a.jpg", cv2.resize(pixels, shape[::-1]), quality=95)
    whole = read_image(path)
    path.write_bytes(path.read_bytes()[:-missing])
    with contextlib.suppress(ImageError):
        assert (read_image(path) == whole).all()


def png(width: int, height: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (2_000_000, 1)])
def test_huge_declared_sizes_are_refused_before_they_fill_the_memory(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png(*size, bytes(1000)))
    with pytest.raises(ImageError, match=r"bomb\.png"):
        read_image(tmp_path / "bomb.png")


def test_more_pixels_than_opencv_allows_is_explained(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png(100_000, 100_000, bytes(1000)))
    with pytest.raises(ImageError, match=r"bomb\.png .*declares more than 2\^30 pixels"):
        read_image(tmp_path / "bomb.png")


def test_a_jpeg_that_declares_more_than_it_has_is_refused(tmp_path, pixels):
    path = save(tmp_path / "a.jpg", pixels)
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 65_000, 65_000)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.jpg .*2\^30 pixels"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_the_first_picture_of_several_is_taken(tmp_path, suffix):
    path = tmp_path / f"several{suffix}"
    pictures = [Image.fromarray(np.full((20, 30, 3), grey, np.uint8)) for grey in (200, 50, 0)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    assert abs(read_image(path).astype(int) - 200).max() <= 2


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".jpg"), ("JPEG", ".png"), ("BMP", ".webp")])
def test_the_content_counts_and_not_the_suffix(tmp_path, pixels, kind, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(pixels).save(path, format=kind, **({"quality": 95} if kind == "JPEG" else {}))
    expected = np.asarray(Image.open(path)).astype(int)
    assert abs(read_image(path, "RGB") - expected).max() <= 1


@pytest.mark.parametrize(
    "name", ["Bär 画像.png", "a#1=b.png", "%20 &+[x].png", "'q\".png", "-a.png"]
)
def test_names_may_have_any_characters(tmp_path, pixels, name):
    path = save(tmp_path / name, pixels)
    assert (read_image(path, "RGB") == pixels).all()
    assert (read_record_image({"file_name": str(path)}, "RGB") == pixels).all()


def test_what_follows_the_image_in_its_file_does_not_matter(tmp_path, pixels):
    path = save(tmp_path / "a.png", pixels)
    path.write_bytes(path.read_bytes() + b"more")
    assert (read_image(path, "RGB") == pixels).all()


def test_a_png_with_a_wrong_byte_is_refused(tmp_path, pixels):
    """PNG has checksums; JPEG has not, and a wrong byte in its middle gives other pixels."""
    path = save(tmp_path / "a.png", pixels)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.png"):
        read_image(path)


def test_unknown_channel_order_is_refused(tmp_path):
    with pytest.raises(ValueError, match="format"):
        read_image(tmp_path / "a.png", "HSV")


def test_record_of_the_declared_size(tmp_path, pixels):
    path = save(tmp_path / "a.png", pixels)
    record = {"file_name": str(path), "height": 48, "width": 64}
    assert (read_record_image(record, "RGB") == pixels).all()
    assert read_record_image({"file_name": str(path)}).shape == (48, 64, 3)


def test_wrong_declared_size_names_file_declared_and_real(tmp_path, pixels):
    path = save(tmp_path / "a.png", pixels)
    with pytest.raises(ImageError, match=r"a\.png is 64x48 .* declare 100x90"):
        read_record_image({"file_name": str(path), "height": 90, "width": 100})


def test_size_declared_before_the_exif_turn_is_explained(tmp_path, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(pixels).save(path, exif=exif)
    with pytest.raises(ImageError, match="EXIF"):
        read_record_image({"file_name": str(path), "height": 48, "width": 64})


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
def test_the_size_in_the_head_is_that_of_the_upright_image(tmp_path, pixels, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"turned #1 = é{suffix}", pixels, exif=exif)
    expected = (64, 48) if orientation >= 5 else (48, 64)
    assert read_image_size(path) == read_image(path).shape[:2] == expected


@pytest.mark.parametrize("suffix", [".bmp", ".jp2", ".ppm"])
def test_the_size_of_other_kinds(tmp_path, pixels, suffix):
    assert read_image_size(str(save(tmp_path / f"a{suffix}", pixels))) == (48, 64)


def test_the_size_is_read_without_decoding(tmp_path, pixels, monkeypatch):
    paths = [save(tmp_path / f"a{suffix}", pixels) for suffix in (".jpg", ".png", ".webp", ".tif")]
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(paths[0].read_bytes()[:-400])
    monkeypatch.setattr("yolov7.data.image_io.read_image", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert {read_image_size(path) for path in (*paths, cut)} == {(48, 64)}


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\xff\xd8\xff"])
def test_no_size_without_an_image(tmp_path, content):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.jpg"):
        read_image_size(path)


@pytest.mark.filterwarnings("error")
def test_the_size_of_a_very_large_image_is_read_without_warning(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (10_000, 9_500)).save(path)
    assert read_image_size(path) == (9_500, 10_000)
