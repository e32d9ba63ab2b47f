"""Pictures with reference regions: photographs of scikit-image, outlined here by hand, and mosaics of textures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dclib.checks import one_of

Outline = tuple[tuple[float, float], ...]  # corners (x, y) in pixels of the whole picture
TEXTURES = ("brick", "grass", "gravel")


def ellipse(x: float, y: float, a: float, b: float, turn: float = 0.0, n: int = 48) -> Outline:
    """Return corners of an ellipse: centre, half axes, and by how many degrees it is turned clockwise."""
    t, turn = np.linspace(0, 2 * np.pi, n, endpoint=False), np.radians(turn)
    u, v = a * np.cos(t), b * np.sin(t)
    return tuple(zip(x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn), strict=True))


# Drawn by hand over the whole picture. Later outlines cover earlier ones; the first name is the rest of the picture.
OUTLINES: dict[str, tuple[tuple[str, Outline], ...]] = {
    "coffee": (
        ("table", ()),
        ("dark corner", ((0, 0), (165, 0), (150, 8), (110, 36), (70, 62), (30, 88), (0, 108))),
        (
            "saucer",
            (
                (182, 67), (160, 78), (140, 92), (120, 110), (105, 128), (95, 145), (85, 170), (79, 195), (77, 215),
                (78, 240), (83, 262), (92, 285), (105, 310), (122, 331), (145, 350), (170, 365), (200, 378), (230, 386),
                (260, 390), (290, 390), (320, 387), (350, 380), (380, 368), (405, 353), (425, 337), (445, 314),
                (460, 291), (470, 268), (477, 245), (479, 225), (478, 205), (472, 180), (462, 158), (450, 140),
                (435, 122), (418, 105), (390, 90), (300, 60),
            ),
        ),
        (
            "cup",
            (
                (173, 107), (175, 130), (178, 150), (186, 185), (198, 212), (213, 235), (222, 228), (202, 258),
                (197, 276), (198, 292), (210, 303), (225, 307), (236, 288), (248, 265), (257, 278), (272, 284),
                (290, 286), (310, 284), (328, 278), (350, 250), (372, 225), (385, 200), (394, 180), (400, 160),
                (405, 140), (408, 115),
            ),
        ),
        ("cup", ellipse(290, 113, 118, 95, 4)),
        (
            "coffee",
            (
                (225, 108), (245, 100), (270, 95), (300, 94), (330, 100), (350, 115), (365, 140), (369, 155),
                (360, 170), (345, 182), (320, 191), (290, 193), (260, 188), (235, 175), (215, 155), (204, 141),
                (212, 125),
            ),
        ),
        (
            "spoon",
            (
                (327, 280), (330, 262), (340, 249), (360, 241), (374, 236), (376, 218), (390, 195), (402, 160),
                (408, 125), (405, 95), (396, 78), (402, 68), (415, 67), (424, 76), (420, 95), (413, 115), (410, 135),
                (402, 165), (390, 200), (384, 225), (386, 240), (398, 252), (405, 265), (406, 285), (400, 303),
                (385, 318), (365, 326), (345, 322), (332, 305),
            ),
        ),
    ),
    "chelsea": (
        ("cat", ()),
        ("background", ((0, 0), (40, 0), (38, 30), (32, 60), (30, 100), (20, 115), (0, 125))),
        (
            "background",
            (
                (400, 0), (388, 20), (377, 45), (362, 65), (355, 73), (358, 90), (363, 110), (362, 130), (358, 150),
                (352, 165), (342, 185), (332, 200), (325, 215), (322, 230), (318, 250), (322, 268), (330, 285),
                (333, 300), (451, 300), (451, 0),
            ),
        ),
        ("eyes", ellipse(171, 115, 33, 31)),
        ("eyes", ellipse(318, 136, 24, 26)),
        ("nose", ((240, 232), (262, 228), (290, 233), (280, 248), (265, 262), (255, 265), (250, 250), (242, 242))),
    ),
    "astronaut": (
        ("backdrop", ()),
        ("flag", ((0, 0), (44, 0), (63, 90), (80, 155), (97, 210), (60, 300), (60, 512), (0, 512))),
        (
            "shuttle",
            (
                (396, 40), (404, 10), (411, 0), (425, 0), (434, 15), (438, 42), (445, 39), (455, 60),
                (455, 210), (457, 225), (456, 238), (455, 272), (470, 280), (440, 286), (400, 292), (370, 282),
                (368, 270), (380, 235), (355, 225), (352, 217), (370, 190), (378, 175), (380, 60), (388, 41),
                (394, 52),
            ),
        ),
        (
            "table",
            (
                (367, 345), (367, 310), (372, 292), (400, 293), (440, 287), (470, 281), (472, 274), (512, 274),
                (512, 500), (400, 500),
            ),
        ),
        (
            "suit",
            (
                (112, 207), (95, 225), (75, 245), (60, 265), (48, 285), (38, 310), (30, 335), (25, 360), (20, 395),
                (22, 420), (25, 445), (27, 470), (35, 490), (50, 512), (300, 512), (340, 380), (362, 350), (361, 330),
                (356, 300), (350, 283), (340, 262), (325, 245), (305, 235), (200, 220),
            ),
        ),
        (
            "helmet",
            (
                (280, 512), (280, 470), (287, 430), (302, 400), (325, 375), (350, 357), (380, 346), (410, 344),
                (440, 352), (465, 370), (485, 400), (495, 430), (500, 455), (508, 480), (511, 500), (511, 512),
            ),
        ),
        (
            "collar",
            (
                (113, 195), (117, 186), (124, 186), (130, 175), (142, 162), (157, 152), (170, 149), (183, 150),
                (200, 180), (255, 175), (275, 190), (292, 215), (303, 240), (304, 260), (298, 277), (285, 288),
                (265, 293), (240, 293), (215, 290), (188, 282), (161, 264), (139, 242), (119, 214),
            ),
        ),
        (
            "hair",
            (
                (153, 80), (158, 60), (168, 47), (185, 35), (205, 20), (230, 15), (255, 20), (275, 32), (290, 50),
                (298, 65), (302, 85), (300, 105), (290, 122), (278, 130), (268, 128), (200, 110), (178, 112),
                (170, 118), (160, 108),
            ),
        ),
        (
            "skin",
            (
                (185, 80), (200, 76), (215, 82), (235, 84), (255, 88), (266, 90), (270, 108), (273, 128), (278, 130),
                (272, 138), (263, 140), (258, 165), (255, 180), (248, 187), (235, 190), (215, 187), (200, 182),
                (187, 170), (185, 150), (183, 135), (176, 128), (172, 116), (180, 105), (184, 95),
            ),
        ),
    ),
    "coins": (
        ("cloth", ()),
        ("coins", ellipse(334.5, 43.5, 29.5, 28, 0)),
        ("coins", ellipse(155.5, 51, 23.5, 22.5, 18)),
        ("coins", ellipse(215.5, 51, 23.5, 22, 5)),
        ("coins", ellipse(276, 52.5, 20.5, 19, 16)),
        ("coins", ellipse(44, 54.5, 22, 19.5, 167)),
        ("coins", ellipse(100, 56, 19.5, 18, 5)),
        ("coins", ellipse(270.5, 119, 25.5, 24, 3)),
        ("coins", ellipse(44.5, 124.5, 21, 19.5, 142)),
        ("coins", ellipse(205.5, 124, 20.5, 19, 148)),
        ("coins", ellipse(336, 124.5, 19.5, 19, 136)),
        ("coins", ellipse(102.5, 125.5, 19.5, 18.5, 145)),
        ("coins", ellipse(153.5, 127, 19.5, 17.5, 174)),
        ("coins", ellipse(347, 186.5, 32, 31, 179)),
        ("coins", ellipse(212.5, 193, 24, 23, 5)),
        ("coins", ellipse(273.5, 193.5, 23, 21, 29)),
        ("coins", ellipse(101.5, 195.5, 22, 21.5, 0)),
        ("coins", ellipse(43.5, 197.5, 19.5, 18.5, 53)),
        ("coins", ellipse(154, 197.5, 19.5, 19, 3)),
        ("coins", ellipse(46, 260, 28.5, 27.5, 147)),
        ("coins", ellipse(172.5, 261, 29, 25.5, 5)),
        ("coins", ellipse(300.5, 263, 26.5, 24, 144)),
        ("coins", ellipse(244, 263.5, 24, 23, 156)),
        ("coins", ellipse(114, 265.5, 21.5, 21, 22)),
        ("coins", ellipse(358, 268, 23, 20.5, 179)),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A picture, and the regions that a person would name in it.

    Attributes
    ----------
    image : ndarray (H, W, 3)
        Colours from 0 to 1.
    regions : ndarray (H, W)
        Number of the region of each pixel.
    names : tuple of str
        What the regions are.
    """

    image: NDArray
    regions: NDArray
    names: tuple[str, ...]


def load_picture(name: str, height: int = 120) -> Scene:
    """Return a photograph of scikit-image at ``height`` pixels, with its regions.

    Parameters
    ----------
    name
        ``"coffee"``, ``"chelsea"``, ``"astronaut"`` or ``"coins"``; ``"mosaic-3"`` is the mosaic of seed 3.
    height
        Pixels from top to bottom; the width follows.

    Raises
    ------
    ImportError
        If scikit-image is not there: ``pip install "dclib[images]"``.
    """
    if name.startswith("mosaic-"):
        return mosaic(int(name.removeprefix("mosaic-")), height)
    image, outlines = photograph(one_of(name, OUTLINES, "picture")), OUTLINES[name]
    names = tuple(dict.fromkeys(called for called, _ in outlines))
    regions = np.zeros(image.shape[:2], dtype=int)
    for called, outline in outlines[1:]:
        regions[_inside(outline, regions.shape)] = names.index(called)
    size = (height, round(height * image.shape[1] / image.shape[0]))
    return Scene(resized(image, size), _nearest(regions, size), names)


def photograph(name: str) -> NDArray:
    """Return a photograph that lies in scikit-image's wheel, (H, W, 3) from 0 to 1."""
    try:
        from skimage import data
    except ImportError as error:
        raise ImportError('The pictures are in an extra: pip install "dclib[images]".') from error
    image = getattr(data, name)() / 255
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def resized(image: NDArray, size: tuple[int, int]) -> NDArray:
    """Return the image at another height and width; what would alias is smoothed away first."""
    from skimage.transform import resize

    return resize(image, size, anti_aliasing=True)


def _inside(outline: Outline, shape: tuple[int, int]) -> tuple[NDArray, NDArray]:
    from skimage.draw import polygon

    x, y = np.transpose(outline)
    return polygon(y, x, shape)


def _nearest(regions: NDArray, size: tuple[int, int]) -> NDArray:
    rows, columns = ((np.arange(n) + 0.5) * whole / n for n, whole in zip(size, regions.shape, strict=True))
    return regions[np.ix_(rows.astype(int), columns.astype(int))]


def mosaic(seed: int, height: int = 120, n_pieces: int = 5) -> Scene:
    """Return pieces of brick, grass and gravel, all of the same mean and contrast: texture alone tells them apart.

    Parameters
    ----------
    seed
        Decides where the pieces lie (cells nearest to random points), and from where the textures are cut.
    height
        Pixels from top to bottom; half as many again from left to right.
    n_pieces
        Number of pieces; each texture has one at least.

    Raises
    ------
    ValueError
        If there are fewer pieces than textures, or the textures are too small for ``height``.
    """
    if n_pieces < len(TEXTURES) or not 8 <= height <= 170:
        raise ValueError(f"n_pieces={n_pieces}, height={height}: at least {len(TEXTURES)} pieces, 8 … 170 pixels.")
    rng, size = np.random.default_rng(seed), (height, height * 3 // 2)
    places = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), axis=-1)
    centres = _apart(rng, n_pieces) * size
    piece = np.square(places[:, :, None] - centres).sum(axis=-1).argmin(axis=-1)
    regions = rng.permutation(np.arange(n_pieces) % len(TEXTURES))[piece]
    image = np.choose(regions, [_texture(name, size, rng) for name in TEXTURES])
    return Scene(np.repeat(image[:, :, None], 3, axis=2), regions, TEXTURES)


def _apart(rng: np.random.Generator, n: int) -> NDArray:
    """Return the most spread of twenty sets of ``n`` random points of the unit square."""
    sets = rng.uniform(0.1, 0.9, (20, n, 2))
    gaps = np.linalg.norm(sets[:, :, None] - sets[:, None], axis=-1) + 9 * np.eye(n)
    return sets[gaps.min(axis=(1, 2)).argmax()]


def _texture(name: str, size: tuple[int, int], rng: np.random.Generator) -> NDArray:
    whole = resized(photograph(name)[:, :, 0], (256, 256))  # at half size, so that a piece holds many bricks
    top, left = (rng.integers(0, n - m + 1) for n, m in zip(whole.shape, size, strict=True))
    cut = whole[top : top + size[0], left : left + size[1]]
    return np.clip(0.5 + 0.18 * (cut - cut.mean()) / cut.std(), 0, 1)
