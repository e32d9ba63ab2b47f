"""Recurrent networks: an encoder that reads a sequence step by step, and a decoder that writes it again."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.nn.utils.rnn import pack_padded_sequence

from dclib.networks import Autoencoder
from dclib.sequences import at_the_end, lengths_of, steps_of, windows

CELLS: dict[str, type[nn.RNNBase]] = {"gru": nn.GRU, "lstm": nn.LSTM}


def last_state(layers: Sequence[nn.RNNBase], x: Tensor) -> Tensor:
    """Return the top layer's state (m, H) after the last step of each sequence.

    Parameters
    ----------
    layers
        Recurrent layers, each of which reads the states of the one before.
    x
        Sequences (m, T, C), NaN beyond their ends. Those are packed: no layer sees a step that is not there.

    Notes
    -----
    Derived in :doc:`/notebooks/features/recurrent`. The layers multiply in the precision of their weights, also where
    others run in half of it: what is rounded at each step would add up.
    """
    lengths = lengths_of(x)
    steps = x.nan_to_num()
    if (lengths < x.shape[1]).any():
        how = {"batch_first": True, "enforce_sorted": False}
        steps = pack_padded_sequence(steps, lengths.cpu(), **how)
    with torch.autocast(x.device.type, enabled=False):
        for layer in layers:
            steps, state = layer(steps)
    h = state[0] if isinstance(state, tuple) else state  # an LSTM has c beside h
    return h[-1]


class RecurrentEncoder(nn.Module):
    """Reads a sequence; the code is a linear map of the last state.

    Parameters
    ----------
    n_channels
        C, values at each step.
    hidden
        Widths of the recurrent layers.
    latent_dim
        d, the width of the code.
    cell
        ``"gru"`` or ``"lstm"``.
    window
        Steps that are read at once. Of a sequence that ends within a window, the rest of it is read as zeros.
    """

    def __init__(
        self, n_channels: int, hidden: Sequence[int], latent_dim: int, cell: str = "gru", window: int = 1
    ) -> None:
        super().__init__()
        self.window, widths = window, pairwise((n_channels * window, *hidden))
        self.layers = nn.ModuleList(CELLS[cell](n_in, n_out, batch_first=True) for n_in, n_out in widths)
        self.head = nn.Linear(hidden[-1], latent_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes (m, d) of sequences ``x`` (m, T) or (m, T, C)."""
        return self.head(last_state(self.layers, windows(steps_of(x), self.window)))


class RecurrentDecoder(nn.Module):
    """Writes a sequence from a code, which it is given at every step anew.

    Parameters
    ----------
    shape
        (T,) or (T, C), the shape of a point.
    hidden
        Widths of the recurrent layers.
    latent_dim
        d, the width of the code.
    cell
        ``"gru"`` or ``"lstm"``.
    backwards
        Write the last step first, as an encoder has it freshest in mind (Sutskever et al. 2014, Srivastava et al.
        2015). What is returned is in the order of time all the same.
    window
        Steps that are written at once.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: Sequence[int],
        latent_dim: int,
        cell: str = "gru",
        backwards: bool = True,
        window: int = 1,
    ) -> None:
        super().__init__()
        self.shape, self.backwards, self.window = tuple(shape), backwards, window
        self.channels = shape[1] if len(shape) > 1 else 1
        widths = pairwise((latent_dim, *hidden))
        self.layers = nn.ModuleList(CELLS[cell](n_in, n_out, batch_first=True) for n_in, n_out in widths)
        self.out = nn.Linear(hidden[-1], window * self.channels)

    def forward(self, z: Tensor) -> Tensor:
        """Return sequences (m, T) or (m, T, C) of codes ``z`` (m, d), each as long as the longest.

        Written backwards, a shorter one fills the last places; forwards, the first.
        """
        steps = z[:, None].expand(-1, -(-self.shape[0] // self.window), -1)
        with torch.autocast(z.device.type, enabled=False):
            for layer in self.layers:
                steps, _ = layer(steps.to(self.out.weight.dtype))
        drawn = self.out(steps)  # (m, windows, window · C)
        drawn = drawn.flip(1) if self.backwards else drawn
        return drawn.reshape(len(z), -1, self.channels)[:, : self.shape[0]].reshape(-1, *self.shape)


class RecurrentAutoencoderNetwork(Autoencoder):
    """A recurrent encoder and decoder, and the error of what they write of sequences of unequal length."""

    reads_ends = True  # NaN means that a sequence has ended

    def error(self, drawn: Tensor, x: Tensor) -> Tensor:
        """Return the mean squared error over the steps that are there, and then over sequences.

        Parameters
        ----------
        drawn
            What the decoder wrote (m, T) or (m, T, C).
        x
            The sequences (m, T) or (m, T, C), NaN beyond their ends.
        """
        if not x.isnan().any():
            return mse_loss(drawn, x)
        drawn, wanted = (windows(steps_of(each), self.decoder.window) for each in (drawn, x))
        wanted = at_the_end(wanted) if self.decoder.backwards else wanted
        there = ~(wanted.isnan() | drawn.isnan())  # what is beyond T has no step to be compared with
        squares = (drawn - wanted).nan_to_num().square()  # (m, windows, window · C)
        return (squares.sum(dim=(1, 2)) / there.sum(dim=(1, 2))).mean()


def recurrent_autoencoder(
    shape: Sequence[int],
    hidden: Sequence[int] = (64,),
    latent_dim: int = 10,
    cell: str = "gru",
    backwards: bool = True,
    window: int = 1,
) -> RecurrentAutoencoderNetwork:
    """Build an autoencoder of sequences whose decoder mirrors its encoder.

    Parameters
    ----------
    shape
        (T,) or (T, C): steps, and values at each.
    hidden
        Widths of the encoder's recurrent layers.
    latent_dim
        d, the width of the code.
    cell, backwards, window
        As in :class:`RecurrentEncoder` and :class:`RecurrentDecoder`.

    Raises
    ------
    ValueError
        If a point is no sequence, or there is no recurrent layer.
    """
    if len(shape) not in (1, 2):
        raise ValueError(f"a recurrent network reads sequences (T,) or (T, C), not points of shape {tuple(shape)}.")
    if not hidden:
        raise ValueError("a recurrent network needs a layer; hidden is empty.")
    encoder = RecurrentEncoder(shape[1] if len(shape) > 1 else 1, hidden, latent_dim, cell, window)
    decoder = RecurrentDecoder(shape, hidden[::-1], latent_dim, cell, backwards, window)
    return RecurrentAutoencoderNetwork(encoder, decoder)


# What ``network=`` may name: from the shape of a point, widths of the hidden layers and of the code to a network.
NETWORKS = {cell: partial(recurrent_autoencoder, cell=cell) for cell in CELLS}
