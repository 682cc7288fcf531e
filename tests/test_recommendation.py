"""What the report recommends, case by case: which student to ship, and what to try next."""

from itertools import product

import pytest

from lgtm.report.cautions import OTHER_ANSWERS
from lgtm.report.recommendation import NO_TRANSFER, NOTHING, TO_LEARN, WARM_STUDENT, choose, next_steps, recommend
from lgtm.report.verdicts import pairs, reversed_interval, starts

ARMS = ("ce", "kd", "control", "tailored")
COMPUTE = {
    "ce": 1.0,
    "kd": 1.0,
    "control": 4.4,
    "tailored": 4.9,
    "online": 13.0,
    "filtered": 1.5,
    "tilted": 1.5,
    "kd_train": 1.0,
}
CLEAR, UNCLEAR = 0.01, 0.03  # half of an interval


def value(mean, half=CLEAR, n=3):
    alone = n == 1
    return {"mean": mean, "low": None if alone else mean - half, "high": None if alone else mean + half, "n": n}


def compared(names, better, worse):
    """Differences and tests of which those named are shown, the others not."""
    sign = {name: 1 if name in better else -1 for name in (*better, *worse)}
    assert set(sign) <= set(names)
    differences = {name: {"f1": value(0.02 * sign.get(name, 1), CLEAR if name in sign else UNCLEAR)} for name in names}
    tests = {
        name: {"p_holm": 0.01 if name in sign else 0.5, "accuracy": {"mean": 0.02 * sign.get(name, 1)}}
        for name in names
    }
    return {"differences": differences, "tests": tests}


def run(better=(), worse=(), gains=ARMS, arms=ARMS, *, chance=(), n=3, harms=(), environments=None):
    """The metrics of a run. better, worse: comparisons a-b; gains, harms: arms against the warm student, so shown.

    chance: students, the warm one among them, that are not shown to be above the majority class.
    """

    def student(name):
        return {"f1": value(0.5 if name in chance else 0.7, n=n)}

    between = compared(["-".join(pair) for pair in pairs(list(arms))], better, worse)
    from_warm = compared(
        ["-".join(pair) for pair in starts(list(arms))],
        [f"{arm}-warmup" for arm in gains if arm in arms],
        [f"{arm}-warmup" for arm in harms],
    )
    return between | {
        "arms": {arm: student(arm) for arm in arms},
        "warm_student": student("warmup"),
        "teachers": {"warmup": student("teacher")},
        "majority": {"f1": 0.495},
        "from_warm": from_warm,
        "environments": environments or {},
        "cost": {arm: {"compute": COMPUTE[arm]} for arm in arms},
        "behind_teacher": {name: {"f1": value(0.05)} for name in ("warmup", *arms)},
        "validation": validity(),
    }


def validity(errs=0.2, influence=0.82, confidence=0.73, flips=0.2, ahead=None, likelihood=0.77):
    def found(auc):
        return {"auc": value(auc)}

    return {
        "shares": {"mislabel": value(flips, 0), "teacher_error": value(errs, 0)},
        "teacher_error": (
            {"influence": found(influence), "confidence": found(confidence), "likelihood": found(likelihood)}
            if errs
            else {}
        ),
        "influence_ahead": value(influence - confidence) if ahead is None else ahead,
    }


TO_SHIP = {
    "no arm is better than kd, ce is worse": (dict(worse=["ce-kd"]), "kd"),
    "ce is not shown to be worse and needs no teacher": (dict(), "ce"),
    "ce is no gain over the warm student": (dict(gains=["kd", "control", "tailored"]), "kd"),
    "an arm is better than kd": (dict(worse=["ce-kd"], better=["tailored-kd"]), "tailored"),
    "two are: the cheaper one": (dict(worse=["ce-kd"], better=["tailored-kd", "control-kd"]), "control"),
    "two are, one better than the other": (
        dict(worse=["ce-kd"], better=["tailored-kd", "control-kd", "tailored-control"]),
        "tailored",
    ),
    "better than kd, but not than the warm student": (
        dict(better=["tailored-kd"], gains=(), harms=["kd"]),
        WARM_STUDENT,
    ),
    "nothing is better than the warm student": (dict(gains=()), WARM_STUDENT),
    "another arm is a gain over it, but not shown to be better than kd": (dict(gains=["tailored"]), "kd"),
    "kd harms, so it is not what an arm has to beat": (
        dict(gains=["control", "tailored"], harms=["kd"], better=["tailored-kd", "control-kd"]),
        "control",
    ),
    "without kd, control is the baseline": (
        dict(arms=("control", "tailored"), better=["tailored-control"]),
        "tailored",
    ),
    "nothing to compare with": (dict(arms=("tailored", "filtered"), gains=["tailored", "filtered"]), "filtered"),
    "the only arm above chance": (dict(chance=["warmup", "ce", "kd", "control"], gains=()), "tailored"),
    "the warm student alone is above chance": (dict(chance=ARMS), WARM_STUDENT),
    "all at chance": (dict(chance=[*ARMS, "warmup"]), NOTHING),
    "two seeds": (dict(n=2), NOTHING),
    "one seed": (dict(n=1), NOTHING),
    "mixed environments": (dict(environments={"torch": {"2.13": "seed 1", "2.14": "seed 2"}}), NOTHING),
}


@pytest.mark.parametrize("case", TO_SHIP)
def test_which_student_to_ship(case):
    settings, expected = TO_SHIP[case]
    ship, why = choose(run(**settings), "f1")
    assert ship == expected
    assert why.endswith(".")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            dict(worse=["ce-kd"]),
            "No arm is shown to be better than it; from the warm student it is +2.0 points [+1.0, +3.0], p 0.010."
            " Not shown to be better or worse than it, at no less compute (1.0): `control` (4.4) and `tailored` (4.9).",
        ),
        (
            dict(worse=["ce-kd"], better=["tailored-kd"]),
            "It is shown to be better than `kd`, +2.0 points [+1.0, +3.0], p 0.010; from the warm student it is +2.0"
            " points [+1.0, +3.0], p 0.010.",
        ),
        (
            dict(gains=()),
            "No arm is shown to be better than the warm student, which all start from; the highest is `ce`, +2.0 points"
            " [−1.0, +5.0], p 0.50.",
        ),
        (dict(n=1), "One seed can recommend nothing: list 3 or more in params.yaml."),
        (dict(n=2), "2 seeds can recommend nothing: list 3 or more in params.yaml."),
        (dict(chance=[*ARMS, "warmup"]), "No student is shown to be above the majority class."),
    ],
)
def test_why(settings, why):
    assert choose(run(**settings), "f1")[1] == why


def test_where_the_baselines_are_at_chance_none_of_them_is_what_an_arm_beats():
    found = choose(run(chance=["warmup", "ce", "kd", "control"], gains=()), "f1")[1]
    assert found.startswith("The baselines that are listed are at chance, or worse than the warm student; from the")
    alone = run(arms=("tailored", "filtered"), gains=["tailored", "filtered"])
    assert choose(alone, "f1")[1].startswith("No baseline is listed; ")


def test_students_that_learn_nothing_need_something_else_than_another_arm():
    above = next_steps(run(chance=[*ARMS, "warmup"]), "f1", 0, answers=False)
    assert above == [
        *TO_LEARN,
        "More `seeds`: some students are above it in the mean, though not shown to be.",
        NO_TRANSFER,
    ]
    metrics = run(chance=[*ARMS, "warmup", "teacher"], n=1)
    metrics["majority"] = {"f1": 0.52}
    assert choose(metrics, "f1")[0] == NOTHING
    below = next_steps(metrics, "f1", 0, answers=False)
    assert below[:-1] == TO_LEARN
    assert below[-1].startswith(
        "The warmed-up teacher is not shown above it either, 50.0, and has nothing to teach: more"
    )
    assert OTHER_ANSWERS in next_steps(metrics, "f1", 0, answers=True)[-1]
    learnt = next_steps(run(chance=ARMS), "f1", 0, answers=False)
    assert not set(TO_LEARN) & set(learnt)


def on_transfer(**found):
    """As validity, with the truth of transfer known too."""
    measures, more = validity(), validity(**found)
    measures["shares"]["teacher_error_transfer"] = more["shares"]["teacher_error"]
    return measures | {
        "teacher_error_transfer": more["teacher_error"],
        "influence_ahead_transfer": more["influence_ahead"],
    }


def first_step(**found):
    return next_steps(run() | {"validation": validity(**found)}, "f1", 0, answers=False)[1]


def test_tailoring_has_something_to_do_where_the_influence_finds_what_confidence_does_not():
    said = first_step()
    assert said.startswith(
        "The warmed-up teacher errs on 20.0 [20.0, 20.0] % of the train rows; a low influence finds them with AUC 82.0"
        " [81.0, 83.0], the teacher's own confidence with 73.0 [72.0, 74.0], the student's probability of the teacher's"
        " class with 77.0 [76.0, 78.0]: tailoring has something to do;"
    )
    assert "though these seeds do not show it" not in said
    assert "though these seeds do not show it" in first_step(ahead=value(0.01, UNCLEAR))
    assert "list `tailored`" not in said
    assert next_steps(run(arms=("ce", "kd")), "f1", 0, answers=False)[1].endswith("list `tailored`.")


def test_tailoring_may_do_harm_where_confidence_finds_more():
    assert "may do harm" in first_step(influence=0.6, confidence=0.98)
    assert "may do harm" in first_step(influence=0.7, confidence=0.7)


@pytest.mark.parametrize("errs", [0.0, 0.019])
def test_a_teacher_that_hardly_errs_leaves_nothing_to_tailor(errs):
    assert first_step(errs=errs).endswith("there is next to nothing to tailor in them.")


def test_whose_truth_it_is():
    assert "of the train rows (by the labels as given); a low influence" in first_step(flips=0.0)
    assert "as given" not in first_step()


def test_what_tailoring_has_to_be_compared_with():
    _, _, absent, _ = next_steps(run(arms=("kd", "tailored")), "f1", 0, answers=False)
    assert absent.startswith("List `control` and `pooled` too:")
    assert not any(step.startswith("List") for step in next_steps(run(arms=("ce", "kd")), "f1", 0, answers=False))


def test_no_advice_is_to_train_answers():
    for arms, errs in product([("ce", "kd"), ("tilted",), ("kd", "tilted")], (0.2, 0.01)):
        metrics = run(arms=arms) | {"validation": validity(errs=errs)}
        for behind in (0.05, 0.002):
            metrics["behind_teacher"][arms[-1]] = metrics["behind_teacher"]["kd"] = {"f1": value(behind)}
            said = " ".join(next_steps(metrics, "f1", 0, answers=True))
            for impossible in ("longer", "retrain", "warmed-up", "`tailored`", "`control`", "`pooled`"):
                assert impossible not in said
            assert (OTHER_ANSWERS in said) == (behind == 0.002)
    steps = next_steps(run(arms=("tilted",)), "f1", 0, answers=True)
    assert steps[1].endswith("tailoring has something to do; try another `lambda`.")
    assert steps[2] == "List `kd` too: without, nothing says what tailoring adds to the same answers."
    assert next_steps(run(arms=("ce", "kd")), "f1", 0, answers=True)[1].endswith("list `tilted`.")


def test_the_room_below_the_teacher():
    metrics = run()
    assert (
        "`kd` is behind its teacher on the test, +5.0 points [+4.0, +6.0]"
        in next_steps(metrics, "f1", 0, answers=False)[-1]
    )
    metrics["behind_teacher"]["kd"] = {"f1": value(0.002)}
    assert "a better teacher comes first" in next_steps(metrics, "f1", 0, answers=False)[-1]


def test_all_of_it():
    found = recommend(run(worse=["ce-kd"]), "f1", 0, answers=False)
    assert found["ship"] == "kd"
    assert found["next"] == next_steps(run(), "f1", 0, answers=False)


def test_each_role_is_judged_by_its_own_errors():
    metrics = run() | {"validation": on_transfer(errs=0.3, influence=0.6, confidence=0.7)}
    train, transfer = next_steps(metrics, "f1", 100, answers=False)[1:3]
    assert train == first_step()
    assert transfer.startswith("The warmed-up teacher errs on 30.0 [30.0, 30.0] % of the transfer rows; a low")
    assert "may do harm" in transfer
    clean = next_steps(metrics | {"validation": on_transfer(errs=0.01, flips=0.0)}, "f1", 100, answers=False)[2]
    assert clean.endswith("% of the transfer rows: there is next to nothing to tailor in them.")


@pytest.mark.parametrize(
    ("train", "transfer", "end"),
    [
        (
            dict(influence=0.6),
            dict(influence=0.7),
            "tailoring has little to go by in both roles and may do harm; leave it, or lower `lambda`.",
        ),
        (
            dict(),
            dict(),
            "tailoring has something to do in both roles; try another `lambda`, more epochs of retraining.",
        ),
        (
            dict(),
            dict(ahead=value(0.01, UNCLEAR)),
            "tailoring has something to do in both roles, though these seeds do not show it on transfer; try another"
            " `lambda`, more epochs of retraining.",
        ),
        (
            dict(ahead=value(0.01, UNCLEAR)),
            dict(ahead=value(0.01, UNCLEAR)),
            "tailoring has something to do in both roles, though these seeds do not show it; try another `lambda`, more"
            " epochs of retraining.",
        ),
    ],
)
def test_what_holds_for_both_roles_is_said_once(train, transfer, end):
    measures = validity(**train) | {
        name: values for name, values in on_transfer(errs=0.3, **transfer).items() if name.endswith("_transfer")
    }
    measures["shares"] = measures["shares"] | {"teacher_error_transfer": value(0.3, 0)}
    steps = next_steps(run() | {"validation": measures}, "f1", 100, answers=False)
    (said,) = (step for step in steps if "errs on" in step)
    assert said.startswith("The warmed-up teacher errs on 20.0 [20.0, 20.0] % of the train rows; a low influence")
    assert ". It errs on 30.0 [30.0, 30.0] % of the transfer rows; a low influence finds them with AUC" in said
    assert said.endswith(f": {end}")


def test_few_errors_in_both_roles_are_said_once():
    measures = validity(errs=0.01) | {"teacher_error_transfer": {}}
    measures["shares"] = measures["shares"] | {"teacher_error_transfer": value(0.0, 0)}
    steps = next_steps(run() | {"validation": measures}, "f1", 100, answers=False)
    (said,) = (step for step in steps if "errs on" in step)
    assert said == (
        "The warmed-up teacher errs on 1.0 [1.0, 1.0] % of the train rows and 0.0 [0.0, 0.0] % of the transfer rows:"
        " there is next to nothing to tailor in them."
    )


def test_without_rows_that_have_no_label_they_are_the_first_thing_to_try():
    with_train = run(arms=("kd", "kd_train"), better=["kd_train-kd"])
    for metrics in (run(), with_train):
        assert next_steps(metrics, "f1", 0, answers=False)[0].startswith("The task has no rows without labels: ")
        assert not any("no rows without labels" in step for step in next_steps(metrics, "f1", 10, answers=False))
    assert next_steps(run(), "f1", 10, answers=False)[0].startswith("List `kd` and `kd_train`:")


@pytest.mark.parametrize(
    ("shown", "end"),
    [
        (dict(worse=["kd_train-kd"]), "+2.0 points [+1.0, +3.0], p 0.010: `kd` is better; more such rows may"),
        (dict(better=["kd_train-kd"]), "−2.0 points [−3.0, −1.0], p 0.010: `kd` is worse; leave them out"),
        (dict(), "−2.0 points [−5.0, +1.0], p 0.50: not distinguishable."),
    ],
)
def test_what_the_rows_without_labels_bring(shown, end):
    said = next_steps(run(arms=("kd", "kd_train"), **shown), "f1", 10, answers=False)[0]
    assert said.startswith(f"What the rows without labels bring, `kd` − `kd_train`: {end}")


def test_a_single_seed_has_no_interval_to_turn_round():
    assert reversed_interval(value(0.02, n=1)) == value(-0.02, n=1)
