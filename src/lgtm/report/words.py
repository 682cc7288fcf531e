"""Whether tailoring helped, in words, for a reader who reads nothing else."""

from typing import TypedDict

from lgtm.report.names import Metrics
from lgtm.report.recommendation import TAILORING
from lgtm.report.text import listed, show_points
from lgtm.report.verdicts import BASELINES, BETTER, EVEN, MIXED, TOO_FEW, WORSE, decisions, with_p


class Answer(TypedDict):
    """The arm that tailors, yes, no or in between, and why: a sentence."""

    arm: str
    said: str
    why: str


def tailoring_helped(metrics: Metrics, official: str) -> list[Answer]:
    """Whether each arm that tailors its teacher did better than the baselines; none where no such arm is listed.

    Yes: than all that are listed, by the verdicts. metrics: all that reports/metrics.json has.
    """
    arms = metrics["arms"]
    return [_answer(arm, metrics, official) for arm in TAILORING if arm in arms]


def _answer(arm: str, metrics: Metrics, official: str) -> Answer:
    said = decisions(metrics, official)
    found = {b: said[f"{arm}-{b}"] for b in BASELINES if f"{arm}-{b}" in said}
    if not found:
        return Answer(arm=arm, said="Not to be said", why=f"No baseline ({', '.join(BASELINES)}) is listed beside it.")
    by_decision = {
        decision: listed(_against(arm, b, metrics, official) for b, own in found.items() if own == decision)
        for decision in dict.fromkeys(found.values())
    }
    for unknown in (TOO_FEW, MIXED):
        if unknown in by_decision:
            return Answer(arm=arm, said="Not to be said", why=f"`{arm}` beside {by_decision[unknown]}: {unknown}.")
    phrases = {BETTER: "is better than", WORSE: "is worse than", EVEN: "is not distinguishable from"}
    why = "; ".join(f"`{arm}` {phrases[kind]} {by_decision[kind]}" for kind in phrases if kind in by_decision)
    if WORSE in by_decision:
        answer = "No"
    elif EVEN not in by_decision:
        answer = "Yes"
    else:
        answer = "In part" if BETTER in by_decision else "Not shown"
    return Answer(arm=arm, said=answer, why=f"{why}.")


def _against(arm: str, baseline: str, metrics: Metrics, official: str) -> str:
    name = f"{arm}-{baseline}"
    p = with_p(metrics["tests"].get(name))
    return f"`{baseline}` ({show_points(metrics['differences'][name][official])}{p})"
