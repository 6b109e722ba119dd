"""One run to scores, findings and a verdict; pure but for reading the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature

from rbench.catalog import bind, resolve
from rbench.doubt import flags
from rbench.doubt.stand_ins import of_view
from rbench.errors import UndefinedError, UsageError
from rbench.metrics.baseline import Baseline
from rbench.store import Run
from rbench.types import Call, Finding, ModelCard, Outcomes, Reported, Score, ScoreSpec, Suite, Verdict, verdict_of


@dataclass(frozen=True)
class Assessment:
    """The scores of a run by name, None where a probe is not complete, and all that was found about them.

    `undefined` says of scores that can have no value why.
    """

    scores: Mapping[str, Score | None]
    undefined: Mapping[str, str]
    findings: tuple[Finding, ...]
    diagnosed: bool

    @property
    def verdict(self) -> Verdict:
        """Unreliable, suspect or reliable, by the worst of the findings."""
        return verdict_of(self.findings)

    @property
    def shown(self) -> Verdict | None:
        """The verdict that a report may print: nothing is called reliable that was not diagnosed."""
        return self.verdict if self.diagnosed or self.verdict != "reliable" else None


def assess(suite: Suite, run: Run, card: ModelCard | None = None, baseline: Baseline | None = None) -> Assessment:
    """Every score of a suite that a run is complete for, with the findings that concern it.

    What concerns the model, or the diagnosis as a whole, concerns every score of an attack. `card` is what the model
    claims about itself, `baseline` what some scores compare with.
    """
    evidence = {p.name: found for p in suite.probes if (found := run.outcomes(p.name)) is not None}
    attacked = {probe.name for probe in suite.probes if probe.attack is not None}
    general = flags.of_run(suite, evidence, run.measurements()) if attacked else ()
    views = (run.manifest() or {}).get("views", {})
    published = baseline is not None and baseline.published
    findings = {
        name: (
            *(run.findings(name) or ()),
            *flags.of_probe(suite, name, evidence),
            *general * (name in attacked),
            *of_view(views.get(name, {}), published=published),
        )
        for name in evidence
    }
    scores: dict[str, Score | None] = {}
    undefined: dict[str, str] = {}
    for spec in suite.scores:
        try:
            scores[spec.name] = _score(suite, spec, evidence, findings, card, baseline)
        except UndefinedError as error:
            scores[spec.name], undefined[spec.name] = None, str(error)
    every = (*general, *(f for name in evidence for f in findings[name]), *_of_scores(scores))
    diagnosed = suite.diagnose and run.measurements() is not None and evidence.keys() >= {p.name for p in suite.probes}
    return Assessment(scores, undefined, tuple(dict.fromkeys(every)), diagnosed)


def _score(
    suite: Suite,
    spec: ScoreSpec,
    evidence: Mapping[str, Outcomes],
    findings: Mapping[str, tuple[Finding, ...]],
    card: ModelCard | None,
    baseline: Baseline | None,
) -> Score | None:
    given = {"names": spec.of, "baseline": baseline}
    wanted = given.keys() & signature(resolve(spec.use)).parameters
    if any(name not in evidence for name in spec.of) or ("baseline" in wanted and baseline is None):
        return None
    metric = bind(Call(spec.use, spec.args), given=("probes", *wanted))
    try:
        score: Score = metric([evidence[name] for name in spec.of], **{name: given[name] for name in wanted})
    except UndefinedError:
        raise
    except ValueError as error:
        raise UsageError(f"{spec.use} cannot score the probes {', '.join(spec.of)}: {error}.") from error
    own = [finding for name in spec.of for finding in findings[name]]
    clean = {probe.name for probe in suite.probes if probe.attack is None and probe.data is None}
    if clean.issuperset(spec.of):
        own += flags.of_claim(score, _claim(suite, spec, card))
    return Score(score.value, score.interval, score.n, tuple(dict.fromkeys(own)))


def _claim(suite: Suite, spec: ScoreSpec, card: ModelCard | None) -> Reported | None:
    """What a card reports of a score."""
    claims = card.reported if card is not None else ()
    return next((claim for claim in claims if (claim.suite, claim.score) == (suite.name, spec.name)), None)


def _of_scores(scores: Mapping[str, Score | None]) -> list[Finding]:
    return [finding for score in scores.values() if score is not None for finding in score.findings]
