"""Which subnet is enhanced in a training step, and how a controller learns which ones are weak."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rbench.models.masks import Subnet
from rbench.recipe import Ews
from rbench.rng import Draws
from rbench.training.ews.choosing import at_random, by_norm
from rbench.training.ews.controller import Controller, Sampled
from rbench.training.ews.subnets import Choice, block_widths, subnet_logits, subnet_of
from rbench.training.ranks import Ranks

State = dict[str, Any]


class Enhancer:
    """The controller with its optimiser and baseline: what enhancing subnets keeps between steps.

    It stays on the CPU whatever the network runs on: its steps are many and tiny. All ranks hold the same one.
    """

    def __init__(self, model: nn.Module, ews: Ews, seed: int) -> None:
        self.ews, self.seed = ews, seed
        self.device = next(model.parameters()).device
        self.widths = block_widths(model)
        with torch.random.fork_rng(devices=[]):  # the constructors draw weights, which reset() then replaces
            self.controller = Controller(self.widths, ews.rho, ews.hidden, paths=ews.paths)
        self.controller.reset(seed)
        self.optimiser = torch.optim.Adam(self.controller.parameters(), lr=ews.lr, betas=(0.5, 0.999))
        self.baseline: float | None = None if ews.baseline == "reward" else 0.0
        self.found: list[tuple[float, float]] = []  # accuracy and images of each update of the epoch

    @property
    def accuracy(self) -> float | None:
        """The mean accuracy, over images, of the subnets that the controller learnt from in this epoch, if it did."""
        total = sum(count for _, count in self.found)
        return sum(accuracy * count for accuracy, count in self.found) / total if total else None

    def begin(self, epoch: int) -> bool:
        """Start an epoch, counted from 0; whether the controller learns first: at every multiple of `every` but 0."""
        if self.ews.baseline == "advantage-restarted":
            self.baseline = 0.0
        self.found = []
        learns = self.ews.strategy == "search" and self.ews.every_steps is None
        return learns and epoch > 0 and epoch % self.ews.every == 0

    def due(self, iteration: int) -> bool:
        """Whether the controller learns on the batch of an iteration of an epoch, counted from 0."""
        return self.ews.every_steps is not None and iteration % self.ews.every_steps == 0

    def subnet(self, model: nn.Module, epoch: int, iteration: int) -> Subnet:
        """The subnet of one training iteration, by the strategy as it stands."""
        rng = _stream(self.seed, f"ews/train/{epoch}", iteration)
        return subnet_of(self.widths, self._choices(model, rng), self.device)

    def _choices(self, model: nn.Module, rng: Draws) -> Sequence[Choice]:
        if self.ews.strategy == "random":
            return at_random(self.widths, self.ews.rho, rng, paths=self.ews.paths)
        if self.ews.strategy == "l1-norm":
            return by_norm(model, self.ews.rho, rng, paths=self.ews.paths)
        with torch.no_grad():
            sampled: Sampled = self.controller(rng)
        return sampled.choices

    def search(
        self, model: nn.Module, parts: Sequence[tuple[Tensor, Tensor]], ranks: Ranks, epoch: int, turn: int
    ) -> None:
        """One update of the controller on images that the full network sees.

        `parts` are this rank's images and labels. The controller is to find subnets of low accuracy (the paper's
        equation 1), so reward = -accuracy. The sign in the paper's algorithm 1 would find strong ones.
        """
        streams = range(turn * self.ews.subnets, (turn + 1) * self.ews.subnets)
        sampled = [self.controller(_stream(self.seed, f"ews/search/{epoch}", index)) for index in streams]
        counts = torch.zeros(len(sampled) + 1, device=self.device)
        for x, y in parts:
            counts[-1] += len(y)
            for index, choice in enumerate(sampled):
                with torch.no_grad():
                    logits = subnet_logits(model, x, subnet_of(self.widths, choice.choices, self.device))
                counts[index] += (logits.argmax(1) == y).sum()
        ranks.total(counts)
        rewards: list[float] = (-counts[:-1] / counts[-1]).tolist()
        self.update(sampled, rewards)
        self.found.append((-sum(rewards) / len(rewards), float(counts[-1])))

    def update(self, sampled: Sequence[Sampled], rewards: Sequence[float]) -> None:
        """One policy gradient step on mean(-log_prob (reward - baseline) - entropy bonus), then the baseline moves.

        The baseline starts at the first mean reward and averages rewards. Otherwise it starts at 0 (if restarted, in
        every epoch) and averages reward - baseline, as in the authors' programs. Williams, "Simple statistical
        gradient-following algorithms for connectionist reinforcement learning", 1992.
        """
        mean = sum(rewards) / len(rewards)
        baseline = mean if self.baseline is None else self.baseline
        terms = [
            -s.log_prob * (reward - baseline) - self.ews.entropy * s.entropy
            for s, reward in zip(sampled, rewards, strict=True)
        ]
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(torch.stack(terms).mean())
        nn.utils.clip_grad_norm_(self.controller.parameters(), self.ews.clip)
        self.optimiser.step()
        moved = mean if self.ews.baseline == "reward" else mean - baseline
        self.baseline = self.ews.decay * baseline + (1 - self.ews.decay) * moved

    def state(self) -> State:
        """Everything that a resumed run needs."""
        return {
            "controller": self.controller.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "baseline": self.baseline,
            "found": self.found,
        }

    def restore(self, state: State) -> None:
        """Take up a saved state."""
        self.controller.load_state_dict(state["controller"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.baseline = state["baseline"]
        self.found = [(accuracy, count) for accuracy, count in state["found"]]


def _stream(seed: int, name: str, index: int) -> Draws:
    return Draws(seed, name, torch.tensor([index]))
