"""Diagrams of methods: data, view, encoder, heads and losses, and where the gradient stops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.text import Text

from dclib.checks import one_of
from dclib.plots.style import INK, PALETTE, drawn

HELD = PALETTE[8]
WIDTH = 1.55  # of a column, in units of a row


@dataclass(frozen=True)
class Node:
    """A box of a diagram.

    Attributes
    ----------
    column, row
        Its place; rows count from the bottom.
    text
        What it says; ``$…$`` is a formula.
    kind
        ``"data"`` (no frame), ``"module"`` (weights that move), ``"held"`` (values held fixed) or ``"loss"``.
    """

    column: float
    row: float
    text: str
    kind: str = "data"


@dataclass(frozen=True)
class Diagram:
    """Boxes, arrows between them, and the words that say the same to a reader who cannot see it.

    Attributes
    ----------
    nodes
        Boxes by name.
    arrows
        ``(from, to)`` where the gradient flows back; ``(from, to, "stop")`` where it does not.
    alt
        The diagram in words.
    """

    nodes: Mapping[str, Node]
    arrows: Sequence[tuple[str, ...]]
    alt: str


def _autoencoder(*more: tuple[str, Node]) -> dict[str, Node]:
    """Return the boxes that every method with an autoencoder has."""
    nodes = {
        "x": Node(0, 1, "points\n$x$"),
        "view": Node(1, 1, "view\n$\\tilde{x}$"),
        "f": Node(2, 1, "encoder\n$f_\\theta$", "module"),
        "z": Node(3, 1, "code\n$z$"),
        "g": Node(4, 2, "decoder\n$g_\\phi$", "module"),
        "L_R": Node(5.2, 2, "$L_R$: squared error\nto $\\tilde{x}$", "loss"),
    }
    return nodes | dict(more)


CODE = [("x", "view"), ("view", "f"), ("f", "z")]
DRAWN = [*CODE, ("z", "g"), ("g", "L_R")]
TARGETED = [*DRAWN, ("z", "q"), ("q", "L_C"), ("all", "p", "stop"), ("p", "L_C", "stop"), ("x", "all", "stop")]


def _with_target(loss: str, target: str, how: str, error: str) -> dict[str, Node]:
    """Return the boxes of DEC and its relatives: soft assignments against a target made from those of all points."""
    return _autoencoder(
        ("q", Node(4, 1, "$q$: Student t to\ncentroids $\\mu$", "module")),
        ("L_C", Node(5.2, 1, loss, "loss")),
        ("p", Node(5.2, 0, f"{target}\nonce an epoch", "held")),
        ("all", Node(3, 0, f"$q$ of all points,\n{how}", "held")),
        ("L_R", Node(5.2, 2, f"$L_R$: {error}", "loss")),
    )


def _variational(*more: tuple[str, Node]) -> dict[str, Node]:
    """Return the boxes that every variational autoencoder has."""
    nodes = {
        "x": Node(0, 1, "points\n$x$"),
        "f": Node(1, 1, "encoder\n$f_\\theta$", "module"),
        "q": Node(2, 1, "$\\tilde{\\mu}, \\tilde{\\sigma}^2$"),
        "e": Node(2, 1.9, "noise\n$\\varepsilon$"),
        "z": Node(3, 1, "$z=\\tilde{\\mu}+\\tilde{\\sigma}\\varepsilon$"),
        "g": Node(4.1, 1.6, "decoder\n$g_\\phi$", "module"),
        "L_R": Node(5.4, 1.6, "$L_R=-\\log p(x|z)$", "loss"),
    }
    return nodes | dict(more)


def _game(*more: tuple[str, Node]) -> dict[str, Node]:
    """Return the boxes that generator and discriminator have."""
    nodes = {
        "z": Node(0, 2, "noise"),
        "G": Node(1.1, 2, "generator\n$G$", "module"),
        "xg": Node(2.2, 2, "drawn\npoints"),
        "x": Node(2.2, 0.6, "points\n$x$"),
        "D": Node(3.3, 1.3, "discriminator's\nfeatures $h$", "module"),
        "h": Node(4.4, 1.3, "score"),
        "L": Node(5.8, 1.3, "$L_D$: data or drawn?\n$L_G$: taken for data", "loss"),
    }
    return nodes | dict(more)


SAMPLED = [("x", "f"), ("f", "q"), ("q", "z"), ("e", "z"), ("z", "g"), ("g", "L_R")]
PLAYED = [("z", "G"), ("G", "xg"), ("xg", "D"), ("x", "D"), ("D", "h"), ("h", "L")]

DIAGRAMS: dict[str, Diagram] = {
    "autoencoder-kmeans": Diagram(
        _autoencoder(("k", Node(4, 0, "k-means\non all codes", "held")), ("c", Node(5.2, 0, "clusters"))),
        [*DRAWN, ("z", "k", "stop"), ("k", "c", "stop")],
        "Points go through an encoder to codes and through a decoder to a reconstruction, whose squared error"
        " is the only loss. k-means looks at the codes afterwards; no gradient comes back from it.",
    ),
    "dec": Diagram(
        _with_target("$L_C=KL(P\\|Q)$", "target $p\\propto q^2/f$", "as they are", "in the first\nphase only"),
        TARGETED,
        "In the first phase an autoencoder learns from the reconstruction error. In the second the decoder is"
        " dropped: codes of views go to soft assignments q with trained centroids, and the loss is the "
        "divergence of q from a target p. The target is made once an epoch from the assignments of all points"
        " as they are; no gradient flows through it.",
    ),
    "idec": Diagram(
        _with_target("$\\gamma\\, L_C=\\gamma\\, KL(P\\|Q)$", "target $p$", "as they are", "in both\nphases"),
        TARGETED,
        "As DEC, with the decoder kept in the second phase: the codes feel the reconstruction error and, "
        "times gamma, the divergence from the target. No gradient flows through the target.",
    ),
    "dbc": Diagram(
        _with_target("$L_C=KL(R\\|Q)$", "target $r\\propto q^a$", "evaluation mode", "in the first\nphase only")
        | {"f": Node(2, 1, "convolutions,\nbatch norm", "module")},
        TARGETED,
        "As DEC, with a convolutional encoder with batch normalisation and a target that is q to a power a. "
        "The target is made in evaluation mode, where a code does not depend on its mini-batch; no gradient "
        "flows through it.",
    ),
    "dcn": Diagram(
        _autoencoder(
            ("L_C", Node(5.2, 1, "$\\lambda L_C$: half the squared\ndistance to $\\mu_s$", "loss")),
            ("mu", Node(4, 0, "centroids $\\mu$:\nrunning means", "held")),
            ("s", Node(5.2, 0, "nearest centroid $s$\nonce an epoch", "held")),
            ("clean", Node(2, 0, "code of the point\nas it is, after the step", "held")),
        ),
        [*DRAWN, ("z", "L_C"), ("mu", "L_C", "stop"), ("s", "L_C", "stop"),
         ("clean", "mu", "stop"), ("x", "clean", "stop")],
        "An autoencoder feels the reconstruction error and the squared distance of its codes to their "
        "centroids. Centroids and assignments are held fixed in this step; the centroids then follow as "
        "running means of the codes. No gradient reaches them.",
    ),
    "depict": Diagram(
        {
            "x": Node(0, 1, "points\n$x$"),
            "noisy": Node(1.3, 2, "noisy encoder\n(dropout)", "module"),
            "clean": Node(1.3, -0.5, "clean encoder,\nsame weights", "held"),
            "p": Node(2.8, 2, "softmax\n$\\tilde{p}$", "module"),
            "q": Node(2.8, 1.15, "target $q$:\n$p$, balanced", "held"),
            "g": Node(2.8, 0.3, "decoder", "module"),
            "L_C": Node(4.6, 2, "$L_C$: cross-entropy\nof $\\tilde{p}$ and $q$", "loss"),
            "L_R": Node(4.6, 0, "$L_R$: each layer against\nthe clean encoder's", "loss"),
        },
        [("x", "noisy"), ("x", "clean", "stop"), ("noisy", "g"), ("noisy", "p"), ("clean", "q", "stop"), ("g", "L_R"),
         ("p", "L_C"), ("q", "L_C", "stop"), ("clean", "L_R", "stop")],
        "Two passes through one encoder. The noisy one goes to a decoder, whose every layer is compared with "
        "the clean encoder's, and to a softmax layer. The clean one gives the balanced target that the noisy "
        "softmax has to meet. No gradient flows through the clean pass.",
    ),
    "den": Diagram(
        _autoencoder(
            ("near", Node(0, 0, "neighbours in\nthe data", "held")),
            ("z_near", Node(3, 0, "their codes\n$z'$")),
            ("L_C", Node(5.2, 1, "$\\beta E_{grp}$: few groups\nof units", "loss")),
            ("E_loc", Node(5.2, 0, "$\\alpha E_{loc}$: neighbours\ntogether", "loss")),
        ),
        [*DRAWN, ("z", "L_C"), ("z", "E_loc"), ("near", "f"), ("f", "z_near"), ("z_near", "E_loc")],
        "An autoencoder with two more terms on its code: the code of a neighbour in the data should be near, "
        "and each code should use few groups of units. k-means runs on the codes afterwards.",
    ),
    "vae": Diagram(
        _variational(
            ("KL", Node(5.2, 0.2, "$KL(q(z|x)\\,\\|\\,N(0,I))$", "loss")),
            ("gmm", Node(4, -0.7, "mixture on $\\tilde{\\mu}$,\nafterwards", "held")),
            ("c", Node(5.4, -0.7, "clusters")),
        ),
        [*SAMPLED, ("q", "KL"), ("q", "gmm", "stop"), ("gmm", "c", "stop")],
        "An encoder gives mean and variance of a Gaussian over codes; a code is drawn from it with noise from outside,"
        " and a decoder draws the point again. Two losses: the negative log-likelihood of the point, and the divergence"
        " of the Gaussian from N(0, I). A mixture looks at the mean codes afterwards; no gradient comes back from it.",
    ),
    "vade": Diagram(
        _variational(
            ("mix", Node(3, -0.5, "mixture\n$\\pi, \\mu_c, \\sigma_c^2$", "module")),
            ("gamma", Node(4.1, -0.5, "$\\gamma=p(c|z)$")),
            ("KL", Node(5.4, 0.2, "$KL(q(z,c|x)\\,\\|\\,p(z,c))$", "loss")),
        ),
        [*SAMPLED, ("q", "KL"), ("z", "gamma"), ("mix", "gamma"), ("gamma", "KL"), ("mix", "KL")],
        "As the variational autoencoder, but the prior is a mixture of Gaussians with weights, means and variances that"
        " are trained too. The drawn code gives the posterior gamma of the components, and the divergence compares"
        " encoder and gamma with the mixture. All gradients flow.",
    ),
    "gan-features": Diagram(
        _game(
            ("k", Node(4.4, -0.2, "k-means on the\nfeatures of all points", "held")),
            ("c", Node(5.8, -0.2, "clusters")),
        ),
        [*PLAYED, ("D", "k", "stop"), ("k", "c", "stop")],
        "A generator draws points from noise. Drawn points and data go through the layers of one discriminator, whose"
        " features go to a single score. The discriminator minimises its error; the generator minimises the negative"
        " logarithm of what the discriminator says of drawn points. k-means looks at the data's features afterwards.",
    ),
    "infogan": Diagram(
        _game(
            ("z", Node(0, 2, "noise, and\ncode $c$")),
            ("Q", Node(4.4, 0.1, "reader\n$Q(c|x)$", "module")),
            ("L_I", Node(5.8, 0.1, "$-\\lambda L_I$: the code\nis read", "loss")),
        ),
        [*PLAYED, ("D", "Q"), ("Q", "L_I")],
        "As a generative adversarial network, but the generator is given a code beside the noise, and a second head"
        " on the discriminator's features has to read it off the drawn point. Both players are paid when it is read.",
    ),
    "clustergan": Diagram(
        {
            "z": Node(0, 2, "$z_n$ and\none-hot $z_c$"),
            "G": Node(1.2, 2, "generator\n$G$", "module"),
            "xg": Node(2.3, 2, "drawn\npoints"),
            "x": Node(2.3, 0.4, "points\n$x$"),
            "D": Node(3.4, 1.2, "critic\n$D$", "module"),
            "E": Node(3.4, 2.6, "encoder\n$E$", "module"),
            "L_D": Node(5.0, 1.2, "$W$: scores apart,\nslope near 1", "loss"),
            "L_E": Node(5.0, 2.6, "$\\beta_n, \\beta_c$: errors\nin $z_n$ and $z_c$", "loss"),
            "k": Node(3.9, -0.1, "$E$ of the points,\nk-means", "held"),
            "c": Node(5.2, -0.1, "clusters"),
        },
        [("z", "G"), ("G", "xg"), ("xg", "D"), ("x", "D"), ("D", "L_D"), ("xg", "E"), ("E", "L_E"),
         ("x", "k", "stop"), ("k", "c", "stop")],
        "A latent point is a narrow Gaussian beside a one-hot vector. A generator draws a point of it; a Wasserstein"
        " critic compares drawn points with data; an encoder has to find the latent point again. Afterwards k-means"
        " runs on the encoder's answers to the data.",
    ),
    "imsat": Diagram(
        {
            "x": Node(0, 1, "points\n$x$"),
            "r": Node(1.4, 0, "$x+r$: moved where the\nanswer changes most", "held"),
            "f": Node(1.6, 2, "features,\nsoftmax", "module"),
            "g": Node(3.1, 0, "the same\nnetwork", "module"),
            "p": Node(2.9, 2, "answer\n$p(y|x)$"),
            "moved": Node(4.2, 0, "answer\n$p(y|x+r)$"),
            "sat": Node(5.7, 0, "$R_{SAT}$: the answer\nstays", "loss"),
            "I": Node(4.6, 2, "$-\\lambda(\\mu H(Y)-H(Y|X))$", "loss"),
            "fixed": Node(4.6, 1.05, "answer as it is", "held"),
        },
        [("x", "f"), ("f", "p"), ("p", "I"), ("p", "fixed", "stop"), ("fixed", "sat", "stop"), ("x", "r", "stop"),
         ("p", "r", "stop"), ("r", "g", "stop"), ("g", "moved"), ("moved", "sat")],
        "A network answers with probabilities of clusters. One loss asks that the answers of a mini-batch are spread"
        " over all clusters on average and each is certain. The point is moved in the direction that changes its answer"
        " most, and a second loss asks the same network for the same answer there. No gradient reaches the move, or the"
        " answer that is held fixed.",
    ),
    "jule": Diagram(
        {
            "x": Node(0, 1, "points\n$x$"),
            "view": Node(1, 1, "view\n$\\tilde{x}$"),
            "f": Node(2, 1, "encoder\n$f_\\theta$", "module"),
            "z": Node(3.1, 1, "code $z$,\nlength one"),
            "L": Node(5, 1, "triplets: own cluster\nnearer by a margin", "loss"),
            "W": Node(2, -0.1, "codes of all points:\nneighbour graph $W$", "held"),
            "c": Node(3.8, -0.1, "clusters, merged\ntwo by two", "held"),
        },
        [("x", "view"), ("view", "f"), ("f", "z"), ("z", "L"), ("x", "W", "stop"), ("W", "c", "stop"),
         ("c", "L", "stop")],
        "Views of points go through an encoder to codes of length one. The loss compares triplets: two points of one"
        " cluster should be nearer than a third of another, by a margin. Once a period the codes of all points give a"
        " graph of neighbours, on which clusters are merged two by two; no gradient flows through graph or merges.",
    ),
    "deepcluster": Diagram(
        {
            "x": Node(0, 1, "points\n$x$"),
            "view": Node(1, 1, "view\n$\\tilde{x}$"),
            "f": Node(2, 1, "encoder\n$f_\\theta$", "module"),
            "h": Node(3.3, 1, "head, made anew\neach epoch", "module"),
            "L": Node(4.9, 1, "cross entropy", "loss"),
            "z": Node(1.4, -0.1, "features of all points,\nwhitened, length one", "held"),
            "c": Node(3.6, -0.1, "k-means:\nk groups", "held"),
        },
        [("x", "view"), ("view", "f"), ("f", "h"), ("h", "L"), ("x", "z", "stop"), ("z", "c", "stop"),
         ("c", "L", "stop")],
        "Before each epoch the features of all points are whitened, brought to length one and parted into k groups by"
        " k-means; no gradient flows through that. Views of the points then go through the encoder and a head, which is"
        " made anew each epoch, and the loss is the cross entropy of the groups.",
    ),
    "pretrained-features": Diagram(
        {
            "x": Node(0, 1, "images\n$x$"),
            "c": Node(1, 1, "three colours,\none size"),
            "f": Node(2.15, 1, "stages of\nthe network", "held"),
            "a": Node(3.2, 1, "maps\n$A_{rp}$"),
            "z": Node(4.3, 1, "mean over places,\nlength one: $z$"),
            "k": Node(5.5, 1, "any clusterer", "held"),
            "I": Node(2.15, 0, "ImageNet:\nphotographs and labels"),
        },
        [("x", "c", "stop"), ("c", "f", "stop"), ("I", "f", "stop"), ("f", "a", "stop"), ("a", "z", "stop"),
         ("z", "k", "stop")],
        "Images get three colours and one size, and go through the stages of a network that was trained on the"
        " photographs and labels of ImageNet and is held fixed. The mean of each map over its places, at length one,"
        " is a row of features, which any clusterer takes. No gradient flows anywhere.",
    ),
    "dac": Diagram(
        {
            "x": Node(0, 1, "points\n$x$"),
            "view": Node(0.9, 1.7, "view\n$\\tilde{x}$"),
            "f": Node(1.9, 1.7, "encoder,\nbatch norm", "module"),
            "I": Node(2.9, 1.7, "$I$: length 1,\nno minus"),
            "s": Node(3.9, 1.7, "cosines $s_{ij}$\nof all pairs"),
            "L": Node(5.3, 1.7, "cross-entropy of $s$ and $r$\nwhere $v=1$", "loss"),
            "clean": Node(1.9, 0.3, "same weights", "held"),
            "s0": Node(2.9, 0.3, "cosines", "held"),
            "r": Node(4.0, 0.3, "$s\\geq u$: together,\n$s<l$: apart", "held"),
            "ul": Node(5.3, 0.3, "$u$ falls, $l$ rises\nonce an epoch", "held"),
        },
        [("x", "view"), ("view", "f"), ("f", "I"), ("I", "s"), ("s", "L"), ("x", "clean", "stop"),
         ("clean", "s0", "stop"), ("s0", "r", "stop"), ("ul", "r", "stop"), ("r", "L", "stop")],
        "Augmented points go through an encoder that ends in batch normalisation to answers of length one without a"
        " negative entry, and their inner products are the cosines of all pairs. The points as they are go through the"
        " same weights without a gradient; cosines from a threshold u on are labelled together, those below l apart."
        " The loss is the cross-entropy of cosines and labels over the labelled pairs. The thresholds move once an"
        " epoch.",
    ),
    "iic": Diagram(
        {
            "x": Node(0, 1.6, "points\n$x$"),
            "view": Node(0, 0.2, "views\n$x'=T(x)$"),
            "f": Node(1.2, 0.9, "one encoder\n$f_\\theta$", "module"),
            "h": Node(2.6, 1.6, "heads:\n$p(\\cdot|x), p(\\cdot|x')$", "module"),
            "a": Node(2.6, 0.2, "auxiliary heads,\nmore clusters", "module"),
            "P": Node(3.9, 1.6, "tables $P$\nof pairs"),
            "Q": Node(3.9, 0.2, "their tables\nof pairs"),
            "I": Node(5.4, 1.6, "$-I(Y;Y')$, mean over\nheads; odd steps", "loss"),
            "J": Node(5.4, 0.2, "$-I(Y;Y')$, mean over\nthese; even steps", "loss"),
            "c": Node(3.9, 2.6, "the head with the most\n$I$ on all points", "held"),
            "y": Node(5.4, 2.6, "clusters"),
        },
        [("x", "view", "stop"), ("x", "f"), ("view", "f"), ("f", "h"), ("f", "a"), ("h", "P"), ("a", "Q"), ("P", "I"),
         ("Q", "J"), ("h", "c", "stop"), ("c", "y", "stop")],
        "Points and altered views of them go through one encoder. Several heads answer with clusters, and for each"
        " head a table counts which cluster in one view goes with which in the other. The loss is minus the mutual"
        " information of the tables. Auxiliary heads with more clusters take every other step. At the end the head with"
        " the most information on all points answers.",
    ),
    "recurrent-autoencoder": Diagram(
        {
            "x": Node(0, 1, "sequence\n$x_1, \\dots, x_T$"),
            "f": Node(1.2, 1, "LSTM or GRU,\nstep by step", "module"),
            "h": Node(2.4, 1, "last state\n$h_T$"),
            "z": Node(3.4, 1, "code\n$z=W_z\\,h_T+b_z$", "module"),
            "g": Node(4.5, 1.7, "LSTM or GRU,\n$z$ at each step", "module"),
            "L_R": Node(5.9, 1.7, "$L_R$: squared error to\n$x_T, \\dots, x_1$", "loss"),
            "k": Node(4.5, 0.3, "k-means\non all codes", "held"),
            "c": Node(5.9, 0.3, "clusters"),
        },
        [("x", "f"), ("f", "h"), ("h", "z"), ("z", "g"), ("g", "L_R"), ("z", "k", "stop"), ("k", "c", "stop")],
        "A recurrent network reads a sequence step by step. Its last state goes through a linear layer to the code. A"
        " second recurrent network gets the code at every step and writes the sequence from its end to its beginning;"
        " the squared error is the only loss. k-means looks at the codes afterwards; no gradient comes back from it.",
    ),
    "dtc": Diagram(
        {
            "x": Node(0, 1, "sequence\n$x$: $T$ steps"),
            "conv": Node(1.05, 1, "filters,\npooling of $P$", "module"),
            "f": Node(2.15, 1, "two LSTMs,\nboth ways", "module"),
            "z": Node(3.2, 1, "code $z$:\n$T/P$ steps"),
            "g": Node(4.4, 2, "repeat $P$ times,\nfilters", "module"),
            "L_R": Node(5.9, 2, "$L_R$: squared error\nto $x$", "loss"),
            "q": Node(4.4, 1, "$q$: Student t of\n$d(z,\\mu_j)$", "module"),
            "L_C": Node(5.9, 1, "$L_C$: KL($P\\Vert Q$)", "loss"),
            "all": Node(4.4, 0, "$q$ of all points,\nsquared, over $f_j$", "held"),
            "p": Node(5.9, 0, "target $p$,\nonce an epoch", "held"),
        },
        [("x", "conv"), ("conv", "f"), ("f", "z"), ("z", "g"), ("g", "L_R"), ("z", "q"), ("q", "L_C"),
         ("all", "p", "stop"), ("p", "L_C", "stop"), ("z", "all", "stop")],
        "A sequence goes through filters and max pooling, and then through two LSTMs that read in both directions; the"
        " code is a sequence that is shorter by the pooling length. It is repeated and filtered to a reconstruction,"
        " with a squared error. A Student t of a dissimilarity between the code and centroids, short sequences as well,"
        " gives the soft assignment. Its divergence from a target is the second loss; the target is made once an epoch"
        " from the assignments of all points, and no gradient flows through it.",
    ),
    "sc-deep-cluster": Diagram(
        {
            "x": Node(0, 1, "counts\n$x$"),
            "n": Node(1.1, 1, "over $s$, log,\nstandardised"),
            "e": Node(1.1, 2, "noise"),
            "f": Node(2.25, 1, "encoder\n$f$", "module"),
            "z": Node(3.2, 1, "code\n$z$"),
            "g": Node(4.2, 2, "decoder:\n$\\mu,\\,\\theta,\\,\\pi$", "module"),
            "s": Node(4.2, 2.9, "size factor\n$s$", "held"),
            "L_R": Node(5.7, 2, "$L_R=-\\log$ ZINB\nof the counts", "loss"),
            "q": Node(4.2, 1, "$q$: Student t to\ncentroids", "module"),
            "L_C": Node(5.7, 1, "$\\gamma\\, L_C=\\gamma\\, KL(P\\|Q)$", "loss"),
            "all": Node(4.2, 0, "$q$ of all cells,\nwithout noise", "held"),
            "p": Node(5.7, 0, "target $p$,\nonce an epoch", "held"),
        },
        [("x", "n"), ("n", "f"), ("e", "f"), ("f", "z"), ("z", "g"), ("g", "L_R"), ("s", "L_R", "stop"), ("z", "q"),
         ("q", "L_C"), ("all", "p", "stop"), ("p", "L_C", "stop"), ("z", "all", "stop")],
        "Counts are divided by size factors, and their logarithms are standardised. An encoder, with noise on its input"
        " and hidden layers, makes the code. A decoder returns a mean, a dispersion and a probability of an extra zero"
        " for each gene; with the size factor they give the likelihood of the counts themselves, the first loss. Codes"
        " without noise go to soft assignments, whose divergence from a target is the second loss. The target is made"
        " once an epoch from the assignments of all cells, and no gradient flows through it.",
    ),
}  # fmt: skip


@drawn((8.4, 3.1))
def diagram(what: str | Diagram, *, ax: Axes) -> None:
    """Draw how a method is wired: solid arrows carry a gradient back, dashed ones do not.

    Parameters
    ----------
    what
        A key of ``DIAGRAMS``, the name that the command line knows the method by, or a diagram of your own.

    Raises
    ------
    ValueError
        If there is no diagram of this name.
    """
    found = DIAGRAMS[one_of(what, DIAGRAMS, "diagram")] if isinstance(what, str) else what
    boxes = {name: _box(node, ax) for name, node in found.nodes.items()}
    for start, end, *stopped in found.arrows:
        _arrow(boxes[start], boxes[end], bool(stopped), ax)
    columns, rows = ([getattr(node, side) for node in found.nodes.values()] for side in ("column", "row"))
    ax.set(xlim=(WIDTH * min(columns) - 0.7, WIDTH * max(columns) + 1.2), ylim=(min(rows) - 0.45, max(rows) + 0.45))
    ax.set_axis_off()


def _box(node: Node, ax: Axes) -> Text:
    colour = {"data": "none", "module": PALETTE[0], "held": HELD, "loss": PALETTE[6]}[node.kind]
    style = {"boxstyle": "round,pad=0.35", "facecolor": "none", "edgecolor": colour, "linewidth": 1.6}
    style |= {"linestyle": "--"} if node.kind == "held" else {}
    place = (WIDTH * node.column, node.row)
    return ax.text(*place, node.text, ha="center", va="center", size=9.5, color=INK, bbox=style)


def _arrow(start: Text, end: Text, stopped: bool, ax: Axes) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 11, "linewidth": 1.4, "shrinkA": 2, "shrinkB": 2}
    look |= {"color": HELD, "linestyle": (0, (3, 2))} if stopped else {"color": INK}
    ends = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch()}
    ax.annotate("", end.get_position(), start.get_position(), arrowprops=look | ends, annotation_clip=False)
