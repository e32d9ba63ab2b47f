"""The latent-space film: the same bytes twice, within its budget, true to the codes, and careful with words."""

import base64
import json
import re
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dclib.film import ASPECT, FILM_BYTES, NO_CLUSTER, LatentFilm, _camera, _fill_phases, _ladder, _thin
from dclib.plots import project

DIGITS = load_digits()
X, Y = (DIGITS.data / 16).astype(np.float32), DIGITS.target
HISTORY = [
    *({"phase": "pretrain", "epoch": e, "loss": 1 / e, "seconds": 1.0, "changed": None} for e in range(1, 5)),
    *({"phase": "refine", "epoch": e, "loss": 0.1 / e, "seconds": 1.0, "changed": 0.1 / e} for e in range(1, 6)),
]


def payload(html: str) -> dict:
    """Return what the script of a film is called with."""
    return json.loads(re.search(r"\)\((\{.*\}), document\.currentScript, ", html, re.S)[1])


def decode(data: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return places (F, n, 2) and clusters (F, n) as the browser sees them."""
    n, frames = data["n"], len(data["frames"])
    blob = zlib.decompress(base64.b64decode(data["blob"]))
    moves = np.frombuffer(blob, np.int8, frames * 2 * n).reshape(frames, 2, n)
    steps = np.array([frame["step"] for frame in data["frames"]])
    groups = np.frombuffer(blob, np.uint8, frames * n, frames * 2 * n).reshape(frames, n)
    return np.cumsum(moves * steps[:, None, None], axis=0).swapaxes(1, 2), np.cumsum(groups, axis=0) % 256


def make_film(n_frames: int = 6, **options: object) -> LatentFilm:
    rng = np.random.default_rng(0)
    end = rng.normal(size=(10, 6))[Y] * 4 + rng.normal(size=(len(Y), 6))
    film = LatentFilm(X, **{"shape": (8, 8), "n_points": 200, "y": Y, **options})
    for f in range(n_frames):
        labels = None if f < 2 else Y
        film.add(end * (f + 1) / n_frames, labels, f"epoch {f}", phase="pretrain" if f < 2 else "refine")
    return film


def test_film_is_the_same_bytes_twice() -> None:
    one, two = make_film().show(), make_film().show()
    assert one.html == two.html
    assert one.png == two.png


def test_film_says_what_it_shows_where_no_script_runs() -> None:
    words = re.search(r'<p class="film-wait">(.*?)</p>', make_film().show().html)[1]
    assert "200 codes at 6 moments of training, from “epoch 0” to “epoch 5”" in words
    film = LatentFilm(X, (8, 8), n_points=50)
    film.add(np.eye(len(X))[:, :3], caption="<b>")
    assert "from “&lt;b&gt;”" in film.show().html


def test_film_asks_for_nothing_and_evaluates_nothing() -> None:
    html = make_film().show()._repr_html_()
    addresses = set(re.findall(r"https?://[^\"'\s)]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a name of a namespace, never fetched
    for word in ("fetch(", "XMLHttpRequest", "eval(", "new Function", "import(", "@import", "url("):
        assert word not in html


def test_film_decodes_to_the_places_it_was_given() -> None:
    film = make_film(30)
    data = payload(film.show().html)
    places, groups = decode(data)
    seen = _camera(np.stack([project(f.z, film._axes()) for f in film.frames]))[0]
    steps = np.array([frame["step"] for frame in data["frames"]])
    assert (np.abs(places - seen).max(axis=(1, 2)) <= 0.51 * steps).all()
    assert np.abs(places - seen).max() < 0.006  # under two pixels of a stage 600 wide
    assert (groups[:2] == NO_CLUSTER).all()
    assert (groups[2:] == Y[film.index]).all()


def test_film_of_a_thousand_points_and_forty_frames_stays_in_budget() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1500, 784)).astype(np.float32)  # noise: images that no PNG can shrink
    film = LatentFilm(x, y=np.arange(1500) % 10)
    for f in range(60):
        film.add(rng.normal(size=(1500, 10)), rng.integers(0, 10, 1500), f"refine · epoch {f} · loss 0.123")
    html = film.show().html
    data = payload(html)
    assert len(html.encode()) <= FILM_BYTES < 300_001
    assert data["n"] >= 500
    assert 12 <= len(data["frames"]) <= 40
    assert len(film.show().png) < 60_000


def test_film_keeps_the_first_and_last_frame_of_each_phase() -> None:
    kept = _thin(["a"] * 100 + ["b"] * 3 + ["c"] * 50, 40)
    assert len(kept) <= 40
    assert {0, 99, 100, 102, 103, 152} <= set(kept)
    assert _thin(["a"] * 5, 40) == [0, 1, 2, 3, 4]
    assert len(_thin(list(range(90)), 40)) == 40
    assert _fill_phases(["", "a", "", "b", ""]) == ["a", "a", "b", "b", "b"]


def test_film_ladder_falls_in_the_documented_order() -> None:
    ladder = list(_ladder(1000, 60))
    assert ladder[0] == (1000, 40, (1.0, 16))
    sizes = [points * frames * share**2 * np.log2(levels) for points, frames, (share, levels) in ladder]
    assert sizes[-1] < sizes[0]
    assert [p for p, *_ in ladder] == sorted((p for p, *_ in ladder), reverse=True)
    assert min(f for _, f, _ in ladder) == 12


def test_film_numbers_follow_the_last_frame() -> None:
    film = LatentFilm(X, (8, 8), n_points=300)
    film.add(X, (Y + 1) % 10, centroids=np.eye(10, 64))
    film.add(X, Y)
    first = film._numbered(film.frames)[0]
    assert (first.labels == Y[film.index]).all()
    assert first.centroids[9].argmax() == 0  # the centroid of old cluster 0 moved with its points, which are now 9
    assert (film.frames[0].labels == (Y[film.index] + 1) % 10).all()


def test_film_camera_follows_a_growing_code() -> None:
    z = np.random.default_rng(0).normal(size=(100, 2))
    places, _, halves = _camera(np.stack([z * 10.0**k for k in range(-3, 3)]))
    assert np.abs(places).max() <= ASPECT
    assert (np.diff(halves) > 0).all()
    assert np.abs(places[-1]).max() > 0.7


def test_film_takes_the_subset_or_all_points() -> None:
    film = LatentFilm(X, (8, 8), n_points=50)
    film.add(X[film.index, :3])
    film.add(X[:, :3])
    assert (film.frames[0].z == film.frames[1].z).all()
    assert len(film) == 2


def test_film_takes_tensors() -> None:
    torch = pytest.importorskip("torch")
    film = LatentFilm(torch.tensor(X), (8, 8), n_points=50)
    film.add(torch.tensor(X[:, :4], requires_grad=True), torch.tensor(Y))
    assert film.show().html


def test_film_is_a_callback() -> None:
    model = SimpleNamespace(history_=[], centroids_=None, transform=lambda x: x[:, 10:14])
    model.predict = lambda x: np.arange(len(x)) % 10
    film = LatentFilm(X, (8, 8), n_points=50)
    film(model)
    for record in HISTORY:
        if record["phase"] == "refine" and model.centroids_ is None:
            model.centroids_ = np.ones((10, 4))
            film(model)
        model.history_.append(record)
        film(model)
    assert [f.caption for f in film.frames[:2]] == ["random network", "pretrain · epoch 1 · loss 1"]
    assert film.frames[5].caption == "clusters start"
    assert film.frames[6].caption == "refine · epoch 1 · loss 0.1 · 10.0% changed"
    assert [f.labels is None for f in film.frames] == [True] * 5 + [False] * 6
    data = payload(film.show().html)
    assert [f["phase"] for f in data["frames"]] == ["pretrain"] * 5 + ["refine"] * 6
    assert data["first"] == 5
    assert len(data["frames"][-1]["centroids"]) == 10


def test_film_without_images_labels_or_many_points() -> None:
    film = LatentFilm(X, shape=None, n_points=5)
    film.add(X[:, 20:21])
    data = payload(film.show().html)
    assert data["sprite"] is None
    assert data["clusters"] == 0
    assert data["classes"] is None
    fixed = LatentFilm(X, (8, 8), n_points=40, labels=Y)
    fixed.add(X)
    assert payload(fixed.show().html)["clusters"] == 10


def test_film_of_colour_and_of_large_images() -> None:
    rng = np.random.default_rng(0)
    colour = LatentFilm(rng.random((20, 16 * 16 * 3)), (16, 16, 3))
    colour.add(rng.normal(size=(20, 3)))
    assert payload(colour.show().html)["sprite"]["src"].startswith("data:image/jpeg")
    large = LatentFilm(rng.random((20, 96 * 64)), (96, 64))
    large.add(rng.normal(size=(20, 3)))
    sprite = payload(large.show().html)["sprite"]
    assert (sprite["w"], sprite["h"]) == (21, 32)


def test_film_words_can_not_leave_the_script() -> None:
    film = LatentFilm(X, (8, 8), n_points=20, y=Y % 2, classes=["</script><b>", "1"])
    film.add(X, caption="</script><script>alert(1)</script>")
    html = film.show().html
    assert html.count("</script>") == 1
    assert payload(html)["classes"][0] == "</script><b>"


def test_film_saves_a_page(tmp_path) -> None:
    page = make_film().save(tmp_path / "film.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert 'class="dclib-film"' in page


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LatentFilm(X), "784 pixels.*64 values"),
        (lambda: LatentFilm(X, (8, 8), n_points=0), "n_points=0"),
        (lambda: LatentFilm(X, (8, 8), y=Y[:7]), "y has 7 rows"),
        (lambda: LatentFilm(X, (8, 8), y=Y - 1), r"\[-1, 8\]"),
        (lambda: LatentFilm(X, (8, 8)).show(), "no frame"),
        (lambda: LatentFilm(X, (8, 8)).add(X[:9]), "z has 9 rows"),
        (lambda: LatentFilm(X, (8, 8)).add(Y), "codes are"),
        (lambda: LatentFilm(X, (8, 8)).add(X * np.nan), "not finite"),
        (lambda: LatentFilm(X, (8, 8)).add(X, Y - 1), r"\[-1, 8\]"),
        (lambda: make_film().add(X), "64 dimensions"),
    ],
)
def test_film_refuses_by_name(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_film_watches_a_network_and_colours_only_the_last_rounds_clusters() -> None:
    class Doubling:
        def encoder(self, x: np.ndarray) -> np.ndarray:
            return 2 * x

    network, film = Doubling(), LatentFilm(X, (8, 8), n_points=50, y=Y)
    film.watch(network, X, caption="before")
    network.centroids = np.zeros((20, X.shape[1]))
    film.watch(network, X, Y)
    network.centroids = network.centroids[:10]
    film.watch(network, X, Y)
    assert [frame.labels is None for frame in film.frames] == [True, True, False]
    assert [frame.centroids is None for frame in film.frames] == [True, False, False]
    np.testing.assert_array_equal(film.frames[-1].z, 2 * X[film.index])
    np.testing.assert_array_equal(film.frames[-1].labels, Y[film.index])
