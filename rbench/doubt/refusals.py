"""The diagnostics that end an evaluation without a number, since none of its numbers would mean anything.

They are raised as errors with their code, by the referee, the bench and the twin.
"""

from rbench.doubt.diagnostics import Diagnostic

ATHALYE = "Athalye et al., Obfuscated gradients give a false sense of security, ICML 2018"
CARLINI = "Carlini et al., On evaluating adversarial robustness, 2019; threshold ours"
AUTOATTACK = "the flags of AutoAttack's code, Croce and Hein, ICML 2020"
OURS = "ours"

REFUSALS = (
    Diagnostic(
        "RB101",
        "io.range",
        "the range of the images that a dataset loads",
        "Images outside [0, 1] make eps mean something else than it says.",
        "normalise inside the model and hand out uint8, or floats in [0, 1]",
        CARLINI,
        refuses=True,
    ),
    Diagnostic(
        "RB102",
        "io.ball",
        "shape, dtype, range and distance of everything that an attack returns",
        "An attack that leaves the ball or the box counts successes that the threat does not allow.",
        "project in the attack; the referee clips nothing on its behalf",
        OURS,
        refuses=True,
    ),
    Diagnostic(
        "RB104",
        "io.nan",
        "whether all logits are finite, on clean images and on everything that an attack tried",
        "NaN compares as neither right nor wrong: it passes for robustness in one attack and for success in another.",
        "find the division, logarithm or overflow that makes it",
        OURS,
        refuses=True,
    ),
    Diagnostic(
        "RB105",
        "det.repeat",
        "two forward passes of the same images, compared to the bit",
        "The model is random. A single draw per image measures luck, and an attack may pick its draws.",
        "fix the randomness, or use a suite with draws > 1, such as digits-rand",
        AUTOATTACK,
        refuses=True,
    ),
    Diagnostic(
        "RB106",
        "det.batch",
        "logits of 16 images alone and in a batch; relative difference above 1e-3",
        "What the model says of an image depends on its company: an attacked batch defends, or betrays, itself.",
        "put batch norm in eval mode, with running statistics",
        OURS,
        refuses=True,
    ),
    Diagnostic(
        "RB107",
        "det.state",
        "parameters, buffers and training flags before and after",
        "The model learns from being asked, or an attack edits it: no two samples meet the same model.",
        "freeze its state in eval mode",
        OURS,
        refuses=True,
    ),
    Diagnostic(
        "RB109",
        "out.softmax",
        "whether all rows of the output are probabilities that sum to 1 within 1e-5",
        "Losses apply a softmax of their own; a second one flattens every gradient.",
        "return the logits",
        AUTOATTACK,
        refuses=True,
    ),
    Diagnostic(
        "RB111",
        "grad.none",
        "whether the logits carry a gradient with respect to the images when an attack asks for it",
        "Gradient attacks cannot even begin, so that their failure says nothing.",
        "remove no_grad and detach, or use a suite of attacks that ask for logits only",
        ATHALYE,
        refuses=True,
    ),
)
