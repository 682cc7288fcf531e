"""What a reader has to know before any figure, as sentences."""

from typing import Any

from lgtm.report.names import NAMES, WARMUP, Metrics
from lgtm.report.statistics import Interval, exceeds
from lgtm.report.text import listed, show, show_points

Network = tuple[int, str]  # a seed, and the folder in it: teacher, student, kd/student
Environment = dict[str, Any]

# What roles do for which a class has to have rows; of fewer than so many, little is to be said.
HELD_OUT = {
    "selection": "which chooses checkpoints",
    "feedback": "which gives the influence its direction",
    "test": "on which all figures are",
}
FEWEST_OF_A_CLASS = 5
SHOWN = 5  # of them

# What comes first where a model is poor. Answers cannot be trained.
MORE_TRAINING = "more warm-up epochs, another learning rate or more rows"
MORE_STUDENT = (
    "more labelled rows, a student with more layers or a pretrained one (`pair`), a higher learning rate or longer"
    " training"
)
OTHER_ANSWERS = (
    "other answers, the mean of several votes a row, probabilities in place of names alone (`kind` in the pair's card)"
    " or a teacher that is trained here (`pair`)"
)


def differing(environments: dict[Network, Environment]) -> dict[str, dict[str, str]]:
    """What of the environments is not the same for all networks: by entry and value, where it holds.

    environments: by network, what it was made with; empty where unknown. Where all are unknown, nothing differs.
    """
    if not any(environments.values()):
        return {}
    found = {}
    for entry in dict.fromkeys(entry for environment in environments.values() for entry in environment):
        networks: dict[str, list[Network]] = {}
        for network, environment in environments.items():
            networks.setdefault(str(environment.get(entry, "unknown")), []).append(network)
        if len(networks) > 1:
            found[entry] = _places(networks)
    return found


def _places(networks: dict[str, list[Network]]) -> dict[str, str]:
    """By value, its networks in words: whole seeds where they are whole, and the most as the others."""
    every = [network for some in networks.values() for network in some]
    whole = {seed: {network for network in every if network[0] == seed} for seed, _ in every}
    most = max(networks, key=lambda value: len(networks[value]))
    places = {}
    for value, own in networks.items():
        parts: dict[tuple[str, ...], list[int]] = {}
        for seed in dict.fromkeys(seed for seed, _ in own):
            inside = [network for network in own if network[0] == seed]
            parts.setdefault(() if set(inside) == whole[seed] else tuple(name for _, name in inside), []).append(seed)
        others = value == most and list(parts) != [()]
        places[value] = "all others" if others else "; ".join(_of_seeds(*part) for part in parts.items())
    return places


def _of_seeds(names: tuple[str, ...], seeds: list[int]) -> str:
    where = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
    return f"{', '.join(names)} of {where}" if names else where


def mixed_environments(different: dict[str, dict[str, str]]) -> list[str]:
    """That networks of several environments are compared. different: of differing."""
    if not different:
        return []
    said = "; ".join(
        f"{entry} {listed(f'{value} ({where})' for value, where in places.items())}"
        for entry, places in different.items()
    )
    return [
        f"Cells of different environments are mixed in these figures: {said}. No winner is called; to compare like with"
        " like, make all of them anew with `dvc repro --force`."
    ]


def clean_feedback(label_noise: dict[str, Any], heard: list[str]) -> list[str]:
    """That some arms had labels without planted noise.

    label_noise: of prepare's summary; heard: the arms that heard of the feedback labels.
    """
    if not label_noise["fraction"] or "feedback" not in label_noise["clean_roles"] or not heard:
        return []
    arms = listed(f"`{arm}`" for arm in heard)
    return [
        f"{100 * label_noise['fraction']:g} % of the train labels are planted flips, and none of the feedback labels."
        f" Only what follows the influence or learns from the feedback rows ({arms}) had those clean labels, which the"
        " other arms never saw: its gain includes them."
    ]


def crossing_roles(summary: dict[str, Any]) -> list[str]:
    """That roles share groups, or rows that are nearly the same. summary: of prepare."""
    crossing = summary["crossing"]
    said = [
        f"{count:,} of the {summary['roles'][role]['rows']:,} {role} rows"
        for role, count in crossing["near_duplicates"].items()
        if count
    ]
    found = [f"Groups of rows that stand in more than one role: {crossing['groups']:,}."] if crossing["groups"] else []
    return found + ([f"Nearly the same as a row of another role: {listed(said)}."] if said else [])


def few_rows(roles: dict[str, dict[str, Any]]) -> list[str]:
    """That a role which directs, chooses or judges has next to nothing of some classes. roles: of prepare's summary."""
    said = []
    for role, counted in roles.items():
        few = {name: rows for name, rows in counted["classes"].items() if rows < FEWEST_OF_A_CLASS}
        if role in HELD_OUT and counted["rows"] and few:
            shown = [f"`{name}` {rows}" for name, rows in list(few.items())[:SHOWN]]
            rest = [f"{len(few) - SHOWN} classes more"] if len(few) > SHOWN else []
            said.append(f"Few {role} rows of some classes, {HELD_OUT[role]}: {listed([*shown, *rest])}.")
    return said


def failed_checks(checks: dict[str, dict[str, float]]) -> list[str]:
    """That the finite difference is not what forward mode says. checks: by seed, what the influence stage found."""
    far = {seed: found for seed, found in checks.items() if found["disagreement"] > found["tolerance"]}
    if not far:
        return []
    worst, seeds = max(found["disagreement"] for found in far.values()), "seed" if len(far) == 1 else "seeds"
    return [
        f"The influence's check fails ({seeds} {', '.join(far)}): the finite difference is up to"
        f" {100 * worst:.1f} % off forward mode; set `influence.method: forward` or another `influence.step_size`."
    ]


def of_models(metrics: Metrics, official: str, keep: str, *, answers: bool) -> list[str]:
    """What is wrong with a run's models: harm, weak_teacher and at_chance; the last alone where no student has learnt.

    keep: distill's setting; answers: whether the teacher is a file of answers.
    """
    metric = NAMES[official]
    chance = at_chance(metrics, official, metric, answers=answers)
    if nothing_learnt(metrics, official):
        return chance  # what is harm among such students is noise, and its cure, fewer steps, the wrong one
    changes = {arm: metrics["from_warm"]["differences"][f"{arm}-{WARMUP}"][official] for arm in metrics["arms"]}
    behind = {name: values[official] for name, values in metrics["behind_teacher"].items() if name in (WARMUP, "kd")}
    return [*harm(changes, metric, keep), *weak_teacher(behind, answers=answers), *chance]


def harm(changes: dict[str, Interval], metric: str, keep: str) -> list[str]:
    """That students end below the warm student that they start from, or not above it.

    changes: by arm, its student minus the warm one, of the metric, named as in a sentence; keep: distill's setting.
    """
    below = {arm: change for arm, change in changes.items() if change["high"] is not None and change["high"] < 0}
    level = {arm: change for arm, change in changes.items() if change["mean"] <= 0 and arm not in below}
    said = []
    if below:
        verb = "harms" if len(below) == 1 else "harm"
        said.append(f"{_named(below)} {verb}: on {metric}, below the warm student that every arm starts from")
    if level:
        verb = "is" if len(level) == 1 else "are"
        said.append(f"{_named(level)} {verb} not above the warm student that every arm starts from, on {metric}")
    if not said:
        return []
    # With best, step 0 may be kept: what is below the start on the test was not below it on selection.
    tried = "choose on more rows (`prepare.selection`)" if keep == "best" else "set `distill.keep: best`"
    said[-1] += f"; {tried}, lower the student's learning rate, or take fewer `distill.epochs`"
    return [f"{sentence}." for sentence in said]


def weak_teacher(behind: dict[str, Interval], *, answers: bool) -> list[str]:
    """That the teacher, warmed up or a file of answers, is not above its own students.

    behind: by student, teacher minus student on the official metric; of the warm student, and of kd's if there is one.
    """
    ahead = {_student(name): value for name, value in behind.items() if value["mean"] < 0}
    if not ahead:
        return []
    shown = any(value["high"] is not None and value["high"] < 0 for value in ahead.values())
    said = ", ".join(f"{name} ({show_points(value)})" for name, value in ahead.items())
    cure = "train it for more `teacher_warmup.epochs`, at another learning rate, or take a larger one (`pair`)"
    if answers:
        cure = f"its answers cannot be trained: take {OTHER_ANSWERS}"
    return [
        f"{teacher_named(answers)} is {'below' if shown else 'not above'} its own students, teacher − student: {said};"
        f" {cure}."
    ]


def teacher_named(answers: bool) -> str:
    """The teacher that precedes the arms, as a sentence begins with it."""
    return "The teacher" if answers else "The warmed-up teacher"


def nothing_learnt(metrics: Metrics, official: str) -> bool:
    """Whether no student, the warm one among them, is shown to be above the majority class."""
    students = (metrics["warm_student"], *metrics["arms"].values())
    return not any(exceeds(values[official], metrics["majority"][official]) for values in students)


def at_chance(metrics: Metrics, official: str, metric: str, *, answers: bool) -> list[str]:
    """That models are not shown to be above the majority class, and what comes first.

    metric: the official one, named as in a sentence; answers: as of of_models.
    """
    majority = metrics["majority"][official]
    students = {WARMUP: metrics["warm_student"], **metrics["arms"]}
    groups = {"students": students, "teachers": metrics["teachers"]}
    said = {}
    for kind, models in groups.items():
        low = {name: values[official] for name, values in models.items() if not exceeds(values[official], majority)}
        if low:
            figures = (f"`{name}` {show(value, official)}" for name, value in low.items())
            said[kind] = f"the {kind} {listed(figures)}"
    if not said:
        return []
    where = f"above the majority class ({100 * majority:.1f} {metric}): {'; '.join(said.values())}"
    if nothing_learnt(metrics, official):
        return [
            f"No student is shown {where}. None of them is worth shipping, and what lies between the arms says nothing;"
            f" {MORE_STUDENT} come first."
        ]
    cures = {kind: OTHER_ANSWERS if answers and kind == "teachers" else MORE_TRAINING for kind in said}
    if len(set(cures.values())) > 1:
        cures = {kind: f"for the {kind} {cure}" for kind, cure in cures.items()}
    return [f"Not shown {where}; a constant may be as good, and {', '.join(dict.fromkeys(cures.values()))} come first."]


def _named(changes: dict[str, Interval]) -> str:
    return listed(f"`{arm}` ({_shown(change)})" for arm, change in changes.items())


def _shown(change: Interval) -> str:
    # With keep: best, step 0 may be kept in every seed.
    same = change["mean"] == change["low"] == change["high"] == 0
    return "kept as it came, or as good in every seed" if same else show_points(change)


def _student(name: str) -> str:
    return "the warm student" if name == WARMUP else f"`{name}`"
