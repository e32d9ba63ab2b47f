"""Pictures: every function draws, leaves no state behind, and a film fits its budget."""

import base64
import json
import re
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from dclib import plots
from dclib.plots import LatentFilm

DIGITS = load_digits()
X, Y = (DIGITS.data / 16).astype(np.float32), DIGITS.target
HISTORY = [
    *({"phase": "pretrain", "epoch": e, "loss": 1 / e, "seconds": 1.0, "changed": None} for e in range(1, 5)),
    *({"phase": "refine", "epoch": e, "loss": 0.1 / e, "seconds": 1.0, "changed": 0.1 / e} for e in range(1, 6)),
]
DRAWINGS = {
    "latent_scatter": lambda ax: plots.latent_scatter(X[:200], Y[:200], centroids=X[:10], ax=ax),
    "clouds": lambda ax: plots.clouds({"a": X[:20], "b": X[:9, :] / 2}, cross=X[:1], ax=ax),
    "sample_gallery": lambda ax: plots.sample_gallery(X, shape=(8, 8), ax=ax),
    "cluster_gallery": lambda ax: plots.cluster_gallery(X, Y, shape=(8, 8), ax=ax),
    "reconstructions": lambda ax: plots.reconstructions(X, X * 1.5, shape=(8, 8), ax=ax),
    "confusion": lambda ax: plots.confusion(Y, (Y + 3) % 10, ax=ax),
    "seeds_plot": lambda ax: plots.seeds_plot({"a": [0.8, 0.9], "b": [0.5]}, published={"a": 0.84}, ax=ax),
    "box_stacks": lambda ax: plots.box_stacks([0, 0, 1], [1, 1, 0], ax=ax),
    "lines": lambda ax: plots.lines(X[0], {"a": X[1]}, diagonal=True, ax=ax),
    "score_curves": lambda ax: plots.score_curves([2, 4, 8], {"ACC": [0.1, 0.2, 0.3]}, ax=ax),
    "histograms": lambda ax: plots.histograms({"a": X[:, 0], "b": X[:, 1]}, marks={"mean": 0.5}, ax=ax),
    "score_scatter": lambda ax: plots.score_scatter({"a": ([1, 2], [0.5, 0.7]), "b": ([3], [0.6])}, ax=ax),
    "heat_map": lambda ax: plots.heat_map(np.abs(X[:4, :6]), xlabel="group", ax=ax),
}


def payload(html: str) -> dict:
    """Return what the script of a film is called with."""
    return json.loads(re.search(r"\)\((\{.*\}), document\.currentScript\)</script>", html, re.S)[1])


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


def luminance(colour: str) -> float:
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_return_a_figure_or_the_axes_given(name: str) -> None:
    before = dict(rcParams)
    figure = DRAWINGS[name](None)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    axes = Figure().subplots()
    assert DRAWINGS[name](axes) is axes
    assert isinstance(axes, Axes)
    assert dict(rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_every_drawing_is_tested_here() -> None:
    drawn = {k for k, v in vars(plots).items() if hasattr(v, "__wrapped__") and v.__module__ == "dclib.plots"}
    assert drawn == set(DRAWINGS)


def test_ink_is_the_best_grey_for_both_pages() -> None:
    def worst(colour: str) -> float:
        return min(contrast(colour, "#ffffff"), contrast(colour, "#121212"))

    assert worst(plots.INK) >= 4.3
    assert worst(plots.INK) == max(worst(f"#{level:02x}{level:02x}{level:02x}") for level in range(256))


def test_palette_is_ten_colours_that_stand_out_with_their_outline() -> None:
    assert len(set(plots.PALETTE)) == 10
    for colour in plots.PALETTE:  # a mark has a thin edge of INK, so one of the two is seen on either page
        for page in ("#ffffff", "#121212"):
            assert max(contrast(colour, page), contrast(plots.INK, page)) >= 3


def test_use_style_sets_colours_for_both_pages() -> None:
    from matplotlib import rc_context

    with rc_context():
        plots.use_style()
        assert rcParams["figure.facecolor"] == "none"
        assert rcParams["text.color"] == plots.INK


def test_panels_gives_one_axes_or_an_array() -> None:
    assert isinstance(plots.panels()[1], Axes)
    assert plots.panels(2, 3)[1].shape == (2, 3)


def test_curves_has_a_panel_a_phase_and_one_for_the_label_change() -> None:
    assert [ax.get_title("left") for ax in plots.curves(HISTORY).axes] == [
        "pretrain: loss",
        "refine: loss",
        "points that change cluster",
    ]
    assert len(plots.curves(HISTORY[:4]).axes) == 1


def test_space_gallery_has_a_panel_a_space() -> None:
    assert len(plots.space_gallery({"x": X, "x again": X}, Y).axes) == 2


def test_space_gallery_can_give_all_panels_the_same_axes() -> None:
    cloud = np.random.default_rng(0).normal(size=(len(Y), 2))
    spaces = {"cloud": cloud, "smaller": 0.1 * cloud}
    for same in (True, False):
        large, little = (ax.get_xlim() for ax in plots.space_gallery(spaces, Y, same_axes=same).axes)
        assert (large == little) == same


def test_histograms_have_area_one_and_share_their_edges() -> None:
    ax = plots.histograms({"a": np.arange(10.0), "b": np.full(40, 3.0)}, marks={"here": 2.0}, n_bins=9).axes[0]
    areas = [sum(bar.get_width() * bar.get_height() for bar in bars) for bars in ax.containers]
    assert areas == pytest.approx([1, 1]) and [len(bars) for bars in ax.containers] == [9, 9]
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b", "here"}
    assert [line.get_xdata()[0] for line in ax.lines] == [2.0]
    marked = plots.histograms({"a": np.arange(10.0), "b": np.full(40, 3.0)}, means=True).axes[0]
    assert [line.get_xdata()[0] for line in marked.lines] == [4.5, 3.0]


def test_heat_map_shows_the_table_and_its_names() -> None:
    ax = plots.heat_map([[0, 2], [1, 0]], rows=["r", "s"], columns=["a", "b"], xlabel="group").axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0, 2], [1, 0]])
    assert ax.images[0].get_clim() == (0, 2) and [label.get_text() for label in ax.get_yticklabels()] == ["r", "s"]


def test_clustering_grid_has_a_row_a_data_set_and_greys_noise() -> None:
    x, labels = X[:6, 20:22], np.array([-1, 0, 0, 1, 1, 1])
    figure = plots.clustering_grid(
        {"a": x, "b": x},
        {name: {"one": labels, "two": labels, "three": labels} for name in "ab"},
        {"a": {"two": "0.50"}},
    )
    assert len(figure.axes) == 6
    assert [ax.get_title() for ax in figure.axes] == ["one", "two", "three", "", "", ""]
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "0.50", "", "", "", ""]
    assert figure.axes[3].get_ylabel() == "b"
    drawn = figure.axes[0].collections[0].get_facecolors()[:, :3]
    np.testing.assert_allclose(drawn[[0, 1, 3]], [to_rgb(c) for c in (plots.INK, plots.PALETTE[1], plots.PALETTE[0])])
    assert len(plots.clustering_grid({"a": x}, {"a": {"one": labels}}).axes) == 1


def test_push_gallery_has_a_panel_a_loss_and_hides_the_rest() -> None:
    z, arrows = X[:5, 20:22], np.eye(5, 2)
    figure = plots.push_gallery(z, {"a": arrows, "b": 9 * arrows, "c": 0 * arrows}, centroids=z[:2], n_columns=2)
    assert [ax.get_title("left") for ax in figure.axes] == ["a", "b", "c", ""]
    assert [ax.get_visible() for ax in figure.axes] == [True, True, True, False]
    first, second, _ = (ax.collections[1] for ax in figure.axes[:3])
    np.testing.assert_allclose(np.hypot(first.U, first.V), np.hypot(second.U, second.V))


def test_line_panels_has_a_legend_where_there_are_several_curves() -> None:
    figure = plots.line_panels([0, 1], {"a": {"one": [1, 2], "two": [2, 1]}, "b": {"one": [3, 3]}}, step=True)
    assert [len(ax.lines) for ax in figure.axes] == [2, 1]
    assert [ax.get_legend() is None for ax in figure.axes] == [False, True]
    assert plots.line_panels([0, 1], {"a": {"one": [1, 2]}}, ylim=(0, 3)).axes[0].get_ylim() == (0, 3)


def test_stage_bars_follow_each_other_in_one_colour_a_name() -> None:
    ax = plots.stage_bars({"a": [("first", 2), ("second", 3)], "b": [("second", 4)]}).axes[0]
    spans = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    assert spans == [(0, 2), (2, 3), (0, 4)]
    assert ax.patches[1].get_facecolor() == ax.patches[2].get_facecolor() != ax.patches[0].get_facecolor()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["first", "second"]


def test_lines_puts_its_names_where_it_is_told() -> None:
    figure = plots.lines([0, 1], {"a": [0, 1]}, legend="lower right")
    assert figure.axes[0].get_legend()._loc == 4  # matplotlib's number of that corner


def test_score_table_rounds_floats_only() -> None:
    assert "| a | 0.123 | 7 |" in repr(plots.ScoreTable({"a": {"ACC": 0.12345, "K": 7}}))


def test_confusion_puts_matches_on_the_diagonal() -> None:
    figure = plots.confusion(Y, (Y + 3) % 10)
    assert figure.axes[0].get_title("left") == "ACC 1.000"
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [str((k + 3) % 10) for k in range(10)]


def test_confusion_takes_more_clusters_than_classes_and_fewer() -> None:
    assert plots.confusion(Y, np.arange(len(Y)) % 13).axes[0].get_xticks().size == 13
    assert plots.confusion(Y, Y // 2).axes[0].get_yticks().size == 10


def test_cluster_gallery_starts_with_the_nearest_image() -> None:
    z = np.arange(6.0)[:, None]
    x = np.arange(6)[:, None] * np.ones((1, 4)) / 6
    axes = plots.cluster_gallery(x, np.zeros(6, int), shape=(2, 2), z=z, centroids=[[4.1]], n_columns=3).axes[0]
    sheet = axes.images[0].get_array()
    assert sheet[1, 1] == pytest.approx(4 / 6)


def test_galleries_take_colour() -> None:
    x = np.random.default_rng(0).random((5, 48))
    assert plots.sample_gallery(x, shape=(4, 4, 3)).axes[0].images[0].get_array().shape[-1] == 4


def test_seeds_plot_refuses_an_unknown_method() -> None:
    with pytest.raises(ValueError, match="ghost"):
        plots.seeds_plot({"a": [1.0]}, published={"ghost": 0.5})


def test_project_pads_one_dimension_and_keeps_two() -> None:
    z = np.arange(6.0)
    assert plots.project(z[:, None]).shape == (6, 2)
    assert (plots.project(z.reshape(3, 2)) == z.reshape(3, 2)).all()


def test_pca_axes_are_orthonormal_and_signed() -> None:
    axes = plots.pca_axes(X)
    np.testing.assert_allclose(axes.T @ axes, np.eye(2), atol=1e-5)
    assert (axes[np.abs(axes).argmax(axis=0), [0, 1]] > 0).all()


def test_discriminant_axes_find_the_plane_of_the_clusters() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    z = rng.normal(size=(400, 5)) * [9, 9, 9, 1, 1]  # the clusters differ in the last two directions only
    z[:, 3:] += np.array([[0, 0], [8, 0], [0, 8], [8, 8]])[labels]
    axes = plots.discriminant_axes(z, labels, shrinkage=0)
    assert np.abs(axes[3:]).max() > 20 * np.abs(axes[:3]).max()
    assert plots.discriminant_axes(z, labels // 2).shape == (5, 2)  # two clusters: principal directions
    assert np.isfinite(plots.discriminant_axes(z * [1, 0, 0, 1, 1], labels)).all()  # dead directions


def test_film_is_the_same_bytes_twice() -> None:
    one, two = make_film().show(), make_film().show()
    assert one.html == two.html
    assert one.png == two.png


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
    seen = plots._camera(np.stack([plots.project(f.z, film._axes()) for f in film.frames]))[0]
    steps = np.array([frame["step"] for frame in data["frames"]])
    assert (np.abs(places - seen).max(axis=(1, 2)) <= 0.51 * steps).all()
    assert np.abs(places - seen).max() < 0.006  # under two pixels of a stage 600 wide
    assert (groups[:2] == plots.NO_CLUSTER).all()
    assert (groups[2:] == Y[film.index]).all()


def test_film_of_a_thousand_points_and_forty_frames_stays_in_budget() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1500, 784)).astype(np.float32)  # noise: images that no PNG can shrink
    film = LatentFilm(x, y=np.arange(1500) % 10)
    for f in range(60):
        film.add(rng.normal(size=(1500, 10)), rng.integers(0, 10, 1500), f"refine · epoch {f} · loss 0.123")
    html = film.show().html
    data = payload(html)
    assert len(html.encode()) <= plots.FILM_BYTES < 300_001
    assert data["n"] >= 500
    assert 12 <= len(data["frames"]) <= 40
    assert len(film.show().png) < 60_000


def test_film_keeps_the_first_and_last_frame_of_each_phase() -> None:
    kept = plots._thin(["a"] * 100 + ["b"] * 3 + ["c"] * 50, 40)
    assert len(kept) <= 40
    assert {0, 99, 100, 102, 103, 152} <= set(kept)
    assert plots._thin(["a"] * 5, 40) == [0, 1, 2, 3, 4]
    assert len(plots._thin(list(range(90)), 40)) == 40
    assert plots._fill_phases(["", "a", "", "b", ""]) == ["a", "a", "b", "b", "b"]


def test_film_ladder_falls_in_the_documented_order() -> None:
    ladder = list(plots._ladder(1000, 60))
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
    places, _, halves = plots._camera(np.stack([z * 10.0**k for k in range(-3, 3)]))
    assert np.abs(places).max() <= plots.ASPECT
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


def test_lines_draws_every_curve_and_the_diagonal() -> None:
    x = np.linspace(0, 1, 5)
    figure = plots.lines(x, {"square": x**2, "root": x**0.5}, xlabel="x", ylabel="y", diagonal=True)
    ax = figure.axes[0]
    assert [line.get_label() for line in ax.lines[:2]] == ["square", "root"] and len(ax.lines) == 3
    np.testing.assert_allclose(ax.lines[0].get_ydata(), x**2)
    assert ax.get_xlabel() == "x" and [text.get_text() for text in ax.get_legend().get_texts()] == ["square", "root"]


def test_score_scatter_has_a_mark_a_run_and_a_legend_for_several_groups() -> None:
    runs = {"ten": ([0.1, 0.2, 0.3], [0.5, 0.7, 0.6]), "forty": ([0.05, 0.06], [0.4, 0.5])}
    ax = plots.score_scatter(runs, xlabel="error").axes[0]
    assert [group.get_offsets().tolist() for group in ax.collections] == [
        [list(pair) for pair in zip(*group, strict=True)] for group in runs.values()
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ten", "forty"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("error", "ACC")
    assert plots.score_scatter({"ten": runs["ten"]}).axes[0].get_legend() is None


def test_label_change_has_one_curve_a_phase() -> None:
    both = [{"phase": phase, "epoch": e, "loss": 1.0, "changed": 0.1 / e} for phase in ("a", "b") for e in (1, 2, 3)]
    last = plots.curves(both).axes[-1]
    assert [line.get_xdata().tolist() for line in last.lines] == [[1, 2, 3], [1, 2, 3]]
    assert [text.get_text() for text in last.texts] == ["a", "b"]


def test_same_scale_gives_all_axes_the_widest_limits() -> None:
    _, axes = plots.panels(1, 2)
    axes[0].plot([0, 1], [0, 5])
    axes[1].plot([-3, 0.5], [1, 2])
    plots.same_scale(axes)
    assert axes[0].get_xlim() == axes[1].get_xlim() and axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[0].get_xlim()[0] < -3 and axes[0].get_xlim()[1] > 1 and axes[1].get_ylim()[1] > 5


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
