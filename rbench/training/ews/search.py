"""Learning which subnets are weak, and enhancing one of them in every training step."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rbench.models.preact_resnet import Subnet
from rbench.recipe import Ews
from rbench.rng import Draws
from rbench.training.ews.controller import Controller, Sampled
from rbench.training.ews.subnets import block_widths, distillation, subnet_logits, subnet_of

State = dict[str, Any]


class Enhancer:
    """The controller with its optimiser and baseline: what enhancing subnets keeps between epochs.

    It stays on the CPU whatever the network runs on: its steps are many and tiny.
    """

    def __init__(self, model: nn.Module, ews: Ews, seed: int) -> None:
        self.ews, self.seed = ews, seed
        self.device = next(model.parameters()).device
        self.widths = block_widths(model)
        with torch.random.fork_rng(devices=[]):  # the constructors draw weights, which reset() then replaces
            self.controller = Controller(self.widths, ews.rho, ews.hidden, paths=ews.paths)
        self.controller.reset(seed)
        self.optimiser = torch.optim.Adam(self.controller.parameters(), lr=ews.lr, betas=(0.5, 0.999))
        self.baseline: float | None = None

    def due(self, epoch: int) -> bool:
        """Whether the controller learns before this epoch, counted from 0: at every multiple of `every` but 0."""
        return epoch > 0 and epoch % self.ews.every == 0

    def subnet(self, epoch: int, iteration: int) -> Subnet:
        """The subnet of one training iteration, sampled from the controller as it is."""
        with torch.no_grad():
            sampled: Sampled = self.controller(_stream(self.seed, f"ews/train/{epoch}", iteration))
        return subnet_of(self.widths, sampled.choices, self.device)

    def loss(self, whole: Tensor, student: Tensor) -> Tensor:
        """The loss lam KL(f(x) || subnet(x)) of the logits of the full network and of a subnet for one view."""
        return self.ews.lam * distillation(whole, student)

    def search(self, model: nn.Module, x: Tensor, y: Tensor, epoch: int, iteration: int) -> float:
        """One update of the controller on images that the full network sees; returns its subnets' mean accuracy.

        The controller is to find subnets of low accuracy (the paper's equation 1), so reward = -accuracy. The sign in
        the paper's algorithm 1 would find strong ones.
        """
        sampled, rewards = [], []
        for index in range(self.ews.subnets):
            stream = _stream(self.seed, f"ews/search/{epoch}", iteration * self.ews.subnets + index)
            sampled.append(self.controller(stream))
            with torch.no_grad():
                predicted = subnet_logits(model, x, subnet_of(self.widths, sampled[-1].choices, self.device)).argmax(1)
            rewards.append(-float((predicted == y).float().mean()))
        self.update(sampled, rewards)
        return -sum(rewards) / len(rewards)

    def update(self, sampled: Sequence[Sampled], rewards: Sequence[float]) -> None:
        """One policy gradient step on mean(-log_prob (reward - baseline) - entropy bonus), then the baseline moves.

        The baseline starts at the first mean reward and averages rewards, not (as in the authors' program) advantages.
        Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992.
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
        self.baseline = self.ews.decay * baseline + (1 - self.ews.decay) * mean

    def state(self) -> State:
        """Everything that a resumed run needs."""
        return {
            "controller": self.controller.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "baseline": self.baseline,
        }

    def restore(self, state: State) -> None:
        """Take up a saved state."""
        self.controller.load_state_dict(state["controller"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.baseline = state["baseline"]


def _stream(seed: int, name: str, index: int) -> Draws:
    return Draws(seed, name, torch.tensor([index]))
