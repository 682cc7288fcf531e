"""Which student to ship, and what to try next: rules on the metrics of a run, as sentences."""

from collections.abc import Iterable
from typing import TypedDict

from lgtm.report.cautions import OTHER_ANSWERS, nothing_learnt, teacher_named
from lgtm.report.names import WARMUP, Metrics
from lgtm.report.scores import AHEAD
from lgtm.report.statistics import FEWEST_SEEDS, Interval, exceeds
from lgtm.report.text import listed, show, show_points
from lgtm.report.verdicts import BASELINES, BETTER, MIXED, WORSE, decisions, reversed_interval, with_p

NOTHING, WARM_STUDENT = "nothing", "warm student"
FEW_ERRORS = 0.02  # of the rows: a teacher that errs on fewer leaves next to nothing to tailor
ROLES = {"teacher_error": "train", "teacher_error_transfer": "transfer"}  # in which the teacher errs
FEW, HARM, SOME = "few errors", "the influence finds them no better", "it finds them better"
TAILORING = ("tailored", "tilted", "online")  # the arms that move what the teacher says along the influence

NO_TRANSFER = (
    "The task has no rows without labels: if there are texts of the same kind, give them to the teacher to speak on"
    " first (`transfer` in the task's card)."
)
# What a student that learns nothing may lack.
TO_LEARN = [
    "More labelled rows: in the files of the task's card, or those that `prepare.max_train` leaves out.",
    "A student with more layers, or a pretrained one: another card of `pairs/` (`pair`).",
    "A higher learning rate of the student (`student.learning_rate` in the pair's card), or more"
    " `student_warmup.epochs` and `distill.epochs`, above all where its learning curve still rises.",
]
UNTAUGHT = "without, tailoring has the credit for what more steps of the teacher, or more labels, do alone"
UNTILTED = "without, nothing says what tailoring adds to the same answers"


class Recommendation(TypedDict):
    """The student to ship (an arm, the warm student or nothing), why, and what to try next, a sentence each."""

    ship: str
    why: str
    next: list[str]


def recommend(metrics: Metrics, official: str, transfer: int, *, answers: bool) -> Recommendation:
    """What a practitioner should do after this run.

    metrics: all that reports/metrics.json has besides; transfer: the number of rows without labels; answers: whether
    the teacher is a file of answers, so that no advice is to train it.
    """
    ship, why = choose(metrics, official)
    return {"ship": ship, "why": why, "next": next_steps(metrics, official, transfer, answers=answers)}


def choose(metrics: Metrics, official: str) -> tuple[str, str]:
    """The student to ship, and why: first what the verdicts say, then what costs least.

    A student has to be shown above the majority class, and some arm better than the warm student that it starts from;
    where none is, the warm student. Of those, the arms that are better than the baseline (`kd` where it is listed);
    where none is, the baseline, though its own gain be not shown, unless another of those is not shown to be worse and
    costs less: at equal compute `ce`, which needs no teacher.
    """
    warm, majority = metrics["warm_student"][official], metrics["majority"][official]
    if (seeds := warm["n"]) < FEWEST_SEEDS:
        few = "One seed" if seeds == 1 else f"{seeds} seeds"
        return NOTHING, f"{few} can recommend nothing: list {FEWEST_SEEDS} or more in params.yaml."
    if metrics["environments"]:
        return NOTHING, f"These are {MIXED}: make all of them anew with `dvc repro --force`."
    able = [arm for arm, values in metrics["arms"].items() if exceeds(values[official], majority)]
    above = exceeds(warm, majority)
    if not able and not above:
        return NOTHING, "No student is shown to be above the majority class."

    gained = decisions(metrics["from_warm"] | {"environments": {}}, official)
    proven = [arm for arm in able if not above or gained[f"{arm}-{WARMUP}"] == BETTER]
    if not proven:
        arms = metrics["arms"]
        best = max(arms, key=lambda arm: arms[arm][official]["mean"])
        return WARM_STUDENT, (
            "No arm is shown to be better than the warm student, which all start from; the highest is"
            f" `{best}`, {_difference(metrics['from_warm'], best, WARMUP, official)}."
        )
    said = decisions(metrics, official)
    baseline = next((arm for arm in BASELINES if arm in able and gained[f"{arm}-{WARMUP}"] != WORSE), None)
    winners = [arm for arm in proven if _better(said, arm, baseline)]
    candidates = winners or [arm for arm in able if arm in (baseline, *proven)]
    pool = [arm for arm in candidates if not any(_better(said, other, arm) for other in candidates)]
    cost = {arm: metrics["cost"][arm]["compute"] for arm in pool}
    ship = min(pool, key=lambda arm: (cost[arm], arm != "ce", arm != baseline))

    if winners:
        why = f"It is shown to be better than `{baseline}`, {_difference(metrics, ship, baseline, official)}"
    elif ship == baseline:
        why = "No arm is shown to be better than it"
    elif baseline:
        why = f"No arm is shown to be better than `{baseline}`, nor `{ship}` to be worse"
    elif any(arm in metrics["arms"] for arm in BASELINES):
        why = "The baselines that are listed are at chance, or worse than the warm student"
    else:
        why = "No baseline is listed"
    gain = _difference(metrics["from_warm"], ship, WARMUP, official)
    return ship, f"{why}; from the warm student it is {gain}.{_others(ship, cost)}"


def _others(ship: str, cost: dict[str, float]) -> str:
    """That other arms may be as good, and what they cost; cost: compute of those and of the one to ship."""
    others = [f"`{arm}` ({value:.1f})" for arm, value in cost.items() if arm != ship]
    if not others:
        return ""
    return f" Not shown to be better or worse than it, at no less compute ({cost[ship]:.1f}): {listed(others)}."


def _better(said: dict[str, str], a: str, b: str | None) -> bool:
    """Whether a verdict says that a is better than b."""
    return said.get(f"{a}-{b}") == BETTER or said.get(f"{b}-{a}") == WORSE


def _difference(compared: Metrics, a: str, b: str, official: str) -> str:
    """A difference with its corrected p."""
    name = f"{a}-{b}"
    return f"{show_points(compared['differences'][name][official])}{with_p(compared['tests'].get(name))}"


def next_steps(metrics: Metrics, official: str, transfer: int, *, answers: bool) -> list[str]:
    """What is worth trying next, each with the figures that say so where there are any; arguments as of recommend."""
    if nothing_learnt(metrics, official):
        return _to_learn(metrics, official, transfer, answers)
    arms = metrics["arms"]
    steps = [
        _unlabelled(metrics, official) if transfer else NO_TRANSFER,
        *_tailoring(metrics["validation"], arms, answers),
    ]
    # The other baselines train their teacher.
    absent = [f"`{arm}`" for arm in BASELINES if arm not in arms and (arm == "kd" or not answers)]
    if absent and any(arm in arms for arm in TAILORING):
        steps.append(f"List {listed(absent)} too: {UNTILTED if answers else UNTAUGHT}.")
    student = next((arm for arm in BASELINES if arm in arms), next(iter(arms)))
    return [*steps, _room(student, metrics["behind_teacher"][student][official], answers)]


def _to_learn(metrics: Metrics, official: str, transfer: int, answers: bool) -> list[str]:
    """What to change where no student is shown to be above the majority class; arguments as of recommend."""
    majority = metrics["majority"][official]
    teacher = metrics["teachers"][WARMUP][official]
    steps = list(TO_LEARN)
    if any(values[official]["mean"] > majority for values in (metrics["warm_student"], *metrics["arms"].values())):
        steps.append("More `seeds`: some students are above it in the mean, though not shown to be.")
    if not exceeds(teacher, majority):
        better = "more `teacher_warmup.epochs`, a higher learning rate or a pretrained one (`pair`)"
        steps.append(
            f"{teacher_named(answers)} is not shown above it either, {show(teacher, official)}, and has nothing to"
            f" teach: {OTHER_ANSWERS if answers else better} come first."
        )
    elif not transfer:
        steps.append(NO_TRANSFER)
    return steps


def _unlabelled(metrics: Metrics, official: str) -> str:
    """What the rows without labels bring: kd against kd_train, which is pairs' difference the other way round."""
    name = "kd_train-kd"
    if name not in metrics["differences"]:
        return "List `kd` and `kd_train`: what lies between them is what the rows without labels bring."
    difference = reversed_interval(metrics["differences"][name][official])
    said = f"What the rows without labels bring, `kd` − `kd_train`: {show_points(difference)}"
    said += with_p(metrics["tests"].get(name))
    decision = decisions(metrics, official)[name]
    if decision == WORSE:
        return f"{said}: `kd` is better; more such rows may bring more."
    if decision == BETTER:
        return f"{said}: `kd` is worse; leave them out, or see whether they are texts of the same kind."
    return f"{said}: {decision}."


def _tailoring(validity: Metrics, arms: Iterable[str], answers: bool) -> list[str]:
    """Whether there is something to tailor, as docs/results.md found it ("When to try it"): a text for each outcome.

    A text is of all the roles in which the teacher's errors have that outcome.
    """
    outcomes: dict[str, list[str]] = {}
    for errors in AHEAD:
        if errors in validity["shares"]:
            outcomes.setdefault(_outcome(validity, errors), []).append(errors)
    texts = []
    for outcome, kinds in outcomes.items():
        said = listed(_errs(validity, errors) for errors in kinds)
        if outcome != FEW:
            said = ". It errs on ".join(_found(validity, errors) for errors in kinds)
        advice = _advice(outcome, kinds, validity, arms, answers)
        texts.append(f"{teacher_named(answers)} errs on {said}: {advice}.")
    return texts


def _outcome(validity: Metrics, errors: str) -> str:
    """What there is to tailor in the teacher's errors; errors: of ROLES."""
    if validity["shares"][errors]["mean"] < FEW_ERRORS or not validity[errors]:
        return FEW
    ahead = validity[AHEAD[errors]]
    if ahead["mean"] <= 0:
        return HARM
    return SOME


def _errs(validity: Metrics, errors: str) -> str:
    """On how many rows the teacher errs."""
    given = (
        " (by the labels as given)" if ROLES[errors] == "train" and not validity["shares"]["mislabel"]["mean"] else ""
    )
    return f"{show(validity['shares'][errors])} % of the {ROLES[errors]} rows{given}"


def _found(validity: Metrics, errors: str) -> str:
    """The same, and what finds these errors."""
    found = validity[errors]
    return (
        f"{_errs(validity, errors)}; a low influence finds them with AUC {show(found['influence']['auc'])}, the"
        f" teacher's own confidence with {show(found['confidence']['auc'])}, the student's probability of the teacher's"
        f" class with {show(found['likelihood']['auc'])}"
    )


def _advice(outcome: str, kinds: list[str], validity: Metrics, arms: Iterable[str], answers: bool) -> str:
    """What to do about errors that have the same outcome; kinds: of ROLES."""
    if outcome == FEW:
        return "there is next to nothing to tailor in them"
    both = " in both roles" if len(kinds) > 1 else ""
    if outcome == HARM:
        return f"tailoring has little to go by{both} and may do harm; leave it, or lower `lambda`"
    unshown = [ROLES[errors] for errors in kinds if not exceeds(validity[AHEAD[errors]], 0)]
    doubt = ", though these seeds do not show it" if unshown else ""
    if 0 < len(unshown) < len(kinds):
        doubt += f" on {unshown[0]}"
    if any(arm in arms for arm in TAILORING):
        tried = "try another `lambda`" + ("" if answers else ", more epochs of retraining")
    else:
        tried = f"list `{'tilted' if answers else 'tailored'}`"
    return f"tailoring has something to do{both}{doubt}; {tried}"


def _room(student: str, behind: Interval, answers: bool) -> str:
    """Whether the teacher has more to teach than the student has learnt."""
    if exceeds(behind, 0):
        return (
            f"`{student}` is behind its teacher on the test, {show_points(behind)}: there is more to learn from it; try"
            " more `distill.epochs`, another `distill.temperature`, or a larger student."
        )
    better = f"{OTHER_ANSWERS} come first" if answers else "a better teacher comes first, larger or trained longer"
    return (
        f"`{student}` is not shown to be behind its teacher on the test, {show_points(behind)}: more distillation has"
        f" little to gain; {better}."
    )
