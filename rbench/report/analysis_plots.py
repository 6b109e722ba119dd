"""Analyses as figures, one function each, of the analysis' name."""

from typing import TYPE_CHECKING

import numpy as np

from rbench.report.plot import canvas, colour, marker, shade, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def confidence(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """For each condition the subnets' confidence by model, a dot each, and a bar for that of the full network."""
    conditions, models = _unique(frame, "condition"), _unique(frame, "model")
    figure, axes = canvas(3.4 * len(conditions), 3.4, columns=len(conditions))
    for each, condition in zip(axes, conditions, strict=True):
        for index, model in enumerate(models):
            part = frame[(frame.condition == condition) & (frame.model == model)]
            subnets = part[part.subnet >= 0].confidence.to_numpy()
            spread = index + 0.5 * (np.arange(len(subnets)) / max(len(subnets) - 1, 1) - 0.5)
            each.plot(100 * subnets, spread, marker(index), color=colour(index), markersize=4, alpha=0.6)
            whole = 100 * part[part.subnet < 0].confidence.item()
            each.plot([whole] * 2, [index - 0.36, index + 0.36], "-", color="black", linewidth=2)
            each.plot([100 * np.median(subnets)] * 2, [index - 0.36, index + 0.36], ":", color="black", linewidth=2)
        each.set(xlim=(-2, 102), title=condition, xlabel="confidence in the true class (%)")
        each.set_ylim(len(models) - 0.4, -0.6)
        each.set_yticks(range(len(models)), models if each is axes[0] else [""] * len(models))
    text = "a dot a subnet, normalised by its batch; dotted their median; solid the full network in evaluation"
    figure.suptitle(f"{protocol}\n{text}", fontsize=9)
    return figure


def blocks(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """For each condition the error by the block that is reduced: the mean over what is kept of it, and the span."""
    conditions, models = _unique(frame, "condition"), _unique(frame, "model")
    figure, axes = canvas(3.4 * len(conditions), 3.4, columns=len(conditions))
    for each, condition in zip(axes, conditions, strict=True):
        for index, model in enumerate(models):
            part = frame[(frame.condition == condition) & (frame.model == model)]
            errors = 100 * part.groupby("block").error.agg(["mean", "min", "max"])
            whole, reduced = float(errors["mean"][-1]), errors.drop(index=-1)
            places = reduced.index + 0.1 * (index - (len(models) - 1) / 2)
            bars = [reduced["mean"] - reduced["min"], reduced["max"] - reduced["mean"]]
            each.errorbar(
                places, reduced["mean"], bars, color=colour(index), marker=marker(index), linewidth=1.4, capsize=2,
                label=model,
            )  # fmt: skip
            each.axhline(whole, color=colour(index), linestyle=":", linewidth=1.2)
        each.set(title=condition, xlabel="block that is reduced", ylim=(-2, 102))
        each.set_xticks(range(int(frame.block.max()) + 1))
    axes[0].set_ylabel("error (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=len(models))
    text = "mean and span over what is kept of the block; dotted: none reduced; all are normalised by their batch"
    figure.suptitle(f"{protocol}\n{text}", fontsize=9)
    return figure


def detector(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """For each attack the AUC of each model's detector, with its interval; half is chance."""
    attacks, models = _unique(frame, "attack"), _unique(frame, "model")
    figure, (axes,) = canvas(4.6, 3.4)
    for index, model in enumerate(models):
        part = frame[frame.model == model]
        places = np.arange(len(part)) + 0.1 * (index - (len(models) - 1) / 2)
        bars = 100 * np.array([part.auc - part.low, part.high - part.auc])
        axes.errorbar(
            places, 100 * part.auc, bars, fmt=marker(index), color=colour(index), linewidth=1.4, capsize=2, label=model
        )
    axes.axhline(50, color="black", linestyle=":", linewidth=1)
    axes.set(ylabel="AUC, clean against adversarial (%)", ylim=(-2, 102))
    axes.set_xticks(range(len(attacks)), attacks)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=len(models))
    figure.suptitle(f"{protocol}\n95% intervals; dotted: chance", fontsize=9)
    return figure


def fsp(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """The FSP distance by cell, a line a model, whose gap of errors stands in the legend."""
    figure, (axes,) = canvas(5.0, 3.6)
    for index, model in enumerate(_unique(frame, "model")):
        part = frame[frame.model == model]
        gap = 100 * (part.attacked_error.iloc[0] - part.error.iloc[0])
        axes.plot(
            part.cell, part.distance, "-", marker=marker(index), color=colour(index), label=f"{model}, gap {gap:.1f}"
        )
    axes.set(xlabel="cell", ylabel="FSP distance", yscale="log")
    axes.set_xticks(range(int(frame.cell.max()) + 1))
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    figure.suptitle(f"{protocol}\ngap: points of error under PGD-20 over those on clean images", fontsize=9)
    return figure


def filters(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """For each model the distribution of its filters' mean weights, a line a condition, over all layers."""
    models = _unique(frame, "model")
    figure, axes = canvas(3.4 * len(models), 3.4, columns=len(models))
    reach = float(np.quantile(frame.weight.abs(), 0.99)) or 1.0
    edges = np.linspace(-reach, reach, 41).tolist()
    for each, model in zip(axes, models, strict=True):
        own = frame[frame.model == model]
        for index, condition in enumerate(_unique(own, "condition")):
            values = own[own.condition == condition].weight.clip(-reach, reach)
            each.hist(values, bins=edges, histtype="step", density=True, color=colour(index), label=condition)
        each.set(title=model, xlabel="mean weight of a filter")
        each.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("density")
    figure.suptitle(f"{protocol}\nthe outermost 1% stand at the ends", fontsize=9)
    return figure


def dependence(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """For each condition the information of neighbouring layers by layer; hollow where it is not to be trusted."""
    conditions, models = _unique(frame, "condition"), _unique(frame, "model")
    figure, axes = canvas(3.4 * len(conditions), 3.4, columns=len(conditions))
    for each, condition in zip(axes, conditions, strict=True):
        for index, model in enumerate(models):
            part = frame[(frame.condition == condition) & (frame.model == model)]
            each.plot(part.layer, part.bits, "-", color=colour(index), linewidth=1.4, label=model)
            each.plot(part.layer, part.null, ":", color=colour(index), linewidth=1.2)
            for doubted, face in ((False, colour(index)), (True, "white")):
                own = part[(part.doubt != "") == doubted]
                each.plot(own.layer, own.bits, marker(index), color=colour(index), markerfacecolor=face, markersize=5)
        each.set(title=condition, xlabel="layer, and the one before it")
        each.set_ylim(bottom=min(0.0, float(frame.bits.min())) - 0.05)
    axes[0].set_ylabel("information given the class (bits)")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=len(models))
    few = int((frame.doubt != "").sum())
    text = f"hollow: too few images ({few} of {len(frame)}); dotted: what they give where nothing is to be found"
    figure.suptitle(f"{protocol}\n{text}", fontsize=9)
    return figure


def dependence_along(frame: "pd.DataFrame", protocol: str, along: str) -> "Figure":
    """For each condition the information of neighbouring layers along an axis: a colour a layer, a style a model."""
    conditions, models, layers = _unique(frame, "condition"), _unique(frame, "model"), _unique(frame, "layer")
    figure, axes = canvas(3.6 * len(conditions), 3.8, columns=len(conditions))
    for each, condition in zip(axes, conditions, strict=True):
        for place, model in enumerate(models):
            for index, layer in enumerate(layers):
                part = frame[(frame.condition == condition) & (frame.model == model) & (frame.layer == layer)]
                label = f"{model}, layer {layer}" if len(models) > 1 else f"layer {layer}"
                each.plot(
                    part["at"],
                    part.bits,
                    linestyle=style(place),
                    color=shade(index, len(layers)),
                    linewidth=1.4,
                    label=label,
                )
                each.plot(part["at"], part.null, ":", color=shade(index, len(layers)), linewidth=1.2)
                for doubted, face in ((False, colour(index)), (True, "white")):
                    own = part[(part.doubt != "") == doubted]
                    each.plot(
                        own["at"],
                        own.bits,
                        marker(place),
                        color=shade(index, len(layers)),
                        markerfacecolor=face,
                        markersize=5,
                    )
        each.set(title=condition, xlabel=along)
        each.set_ylim(bottom=min(0.0, float(frame.bits.min())) - 0.05)
    axes[0].set_ylabel("information given the class (bits)")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    few = int((frame.doubt != "").sum())
    text = f"hollow: too few images ({few} of {len(frame)}); dotted: what they give where nothing is to be found"
    figure.suptitle(f"{protocol}\n{text}", fontsize=9)
    return figure


def distance(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """The difference of errors by the norm of the difference of weights in f_b, a mark for each model and condition."""
    conditions, models = _unique(frame, "condition"), _unique(frame, "model")
    figure, (axes,) = canvas(5.2, 3.8)
    for place, condition in enumerate(conditions):
        for index, model in enumerate(models):
            part = frame[(frame.condition == condition) & (frame.model == model)]
            label = f"{model}, {condition}"
            axes.plot(part.norm_f_b, 100 * part.difference, marker(place), color=colour(index), label=label)
    axes.axhline(0, color="black", linewidth=0.8)
    against = ", ".join(_unique(frame, "against"))
    axes.set(xlabel="norm of the difference of weights in f_b", ylabel=f"error minus that of\n{against} (points)")
    axes.legend(frameon=False, fontsize=7)
    figure.suptitle(protocol, fontsize=9, wrap=True)  # a heading of all settings is wider than one plot
    return figure


def readout(frame: "pd.DataFrame", protocol: str) -> "Figure":
    """For each attack the accuracy of read-outs by how many layers they read; beside it the network's own."""
    attacks, models = _unique(frame, "attack"), _unique(frame, "model")
    figure, axes = canvas(3.2 * len(attacks), 3.6, columns=len(attacks))
    for each, attack in zip(axes, attacks, strict=True):
        for index, model in enumerate(models):
            for place, how in enumerate(("published", "proper")):
                part = frame[(frame.attack == attack) & (frame.model == model) & (frame.protocol == how)]
                part = part.sort_values("layers")
                bars = 100 * np.array([part.accuracy - part.low, part.high - part.accuracy])
                own = colour(2 * index + place)
                each.errorbar(
                    part.layers, 100 * part.accuracy, bars, color=own, marker=marker(place), linewidth=1.4, capsize=2,
                    label=f"{model}, {how}",
                )  # fmt: skip
                each.plot(part.layers, 100 * part.random, ":", color=own, linewidth=1.2)
                each.plot(part.layers, 100 * part.acc_star, "--", color=own, linewidth=1.2)
        each.set(title=attack, xlabel="convolutions that are read", ylim=(-2, 102))
        each.set_xticks(sorted(set(frame.layers)))
    axes[0].set_ylabel("accuracy (%)")
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2)
    text = "95% intervals; dashed: the network itself; dotted: random read-outs"
    told = "published: fitted to the attacked test images themselves, which are not attacked through the read-out"
    figure.suptitle(f"{protocol}\n{text}\n{told}", fontsize=9)
    return figure


def _unique(frame: "pd.DataFrame", column: str) -> list[str]:
    return list(dict.fromkeys(frame[column]))
