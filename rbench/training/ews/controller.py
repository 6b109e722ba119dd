"""The controller: a recurrent policy over subnets that learns to find weak ones."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rbench.rng import Draws
from rbench.training.ews.choosing import choose
from rbench.training.ews.subnets import PATHS, Choice, kept


class Sampled(NamedTuple):
    """A subnet as choices, with the scalars that the policy gradient needs."""

    choices: list[Choice]
    log_prob: Tensor
    entropy: Tensor


class Controller(nn.Module):
    """An LSTM that decides block by block which paths and then which channels to keep.

    Each decision samples without replacement from a softmax; the mean embedding of what was chosen is the next input.
    Every block has a table of embeddings: PATHS rows for the paths, then one for each channel of the residual branch.
    A shortcut has no channels, hence no decision: the authors' program takes one among a single dummy channel there.
    Guo, Stutz and Schiele, ECCV 2022, appendix A.
    """

    def __init__(self, widths: Sequence[int], rho: float, hidden: int, *, paths: bool = True) -> None:
        super().__init__()
        self.widths, self.rho, self.paths = tuple(widths), rho, paths
        self.cell = nn.LSTMCell(hidden, hidden)
        self.path_head = nn.Linear(hidden, PATHS)
        self.channel_head = nn.Linear(hidden, max(widths))
        self.tables = nn.ModuleList(nn.Embedding(PATHS + width, hidden) for width in widths)

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw every weight from U(-0.1, 0.1) and zero both heads' biases: all subnets are about as likely."""
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 0.2 - 0.1)
        self.path_head.bias.zero_()
        self.channel_head.bias.zero_()

    def forward(self, rng: Draws) -> Sampled:
        """Sample one subnet; `rng` holds one sample, whose stream is used up decision by decision.

        log_prob sums log softmax over everything chosen, without renormalising after a draw, and entropy sums
        -p log p over the same; both as in the authors' program.
        """
        given = self.path_head.weight.new_zeros(1, self.cell.hidden_size)
        state = (given, given)
        choices: list[Choice] = []
        terms: list[Tensor] = []  # log softmax of everything chosen
        draw = 0
        for width, table in zip(self.widths, self.tables, strict=True):
            if self.paths:
                state = self.cell(given, state)
                paths, logs = choose(self.path_head(state[0])[0], kept(self.rho, PATHS), rng, draw)
                terms.append(logs)
                draw += 1
            else:
                paths = list(range(PATHS))
            given = table(torch.tensor(paths)).mean(0, keepdim=True)
            channels: list[int] = []
            if 0 in paths:  # the shortcut alone has no channels, hence no decision
                state = self.cell(given, state)
                channels, logs = choose(self.channel_head(state[0])[0, :width], kept(self.rho, width), rng, draw)
                terms.append(logs)
                draw += 1
                given = table(torch.tensor(channels) + PATHS).mean(0, keepdim=True)
            choices.append((paths, channels))
        logs = torch.cat(terms)
        return Sampled(choices, logs.sum(), -(logs.exp() * logs).sum())
