"""What a reader is told before any figure about the models: harm, a weak teacher, chance."""

import pytest

from lgtm.report.cautions import (
    MORE_TRAINING,
    OTHER_ANSWERS,
    at_chance,
    failed_checks,
    few_rows,
    harm,
    of_models,
    weak_teacher,
)


def value(mean, half=0.01):
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": 3}


ALONE = {"low": None, "high": None, "n": 1}


def test_an_arm_that_ends_below_its_start_harms():
    changes = {"ce": value(0.02), "kd": value(-0.05), "tailored": value(-0.03), "control": value(-0.002)}
    assert harm(changes, "accuracy", "last") == [
        "`kd` (−5.0 points [−6.0, −4.0]) and `tailored` (−3.0 points [−4.0, −2.0]) harm: on accuracy, below the warm"
        " student that every arm starts from.",
        "`control` (−0.2 points [−1.2, +0.8]) is not above the warm student that every arm starts from, on accuracy;"
        " set `distill.keep: best`, lower the student's learning rate, or take fewer `distill.epochs`.",
    ]
    assert harm({"kd": value(0.001)}, "accuracy", "last") == []


def test_what_is_already_set_is_no_advice():
    (said,) = harm({"kd": value(-0.05)}, "accuracy", "best")
    assert "`kd` (−5.0 points [−6.0, −4.0]) harms:" in said
    assert "keep" not in said
    assert "`prepare.selection`" in said


def test_a_single_seed_shows_no_harm():
    (said,) = harm({"kd": {"mean": -0.05} | ALONE}, "accuracy", "best")
    assert "`kd` (−5.0 points) is not above the warm student" in said


def test_a_student_that_is_as_it_came_is_not_above_its_start():
    (said,) = harm({"kd": value(0.0, 0.0)}, "accuracy", "best")
    assert said.startswith("`kd` (kept as it came, or as good in every seed) is not above the warm student")


def test_a_teacher_below_its_own_students():
    assert weak_teacher({"warmup": value(0.05), "kd": value(0.001)}, answers=False) == []
    (said,) = weak_teacher({"warmup": value(0.05), "kd": value(-0.02)}, answers=False)
    assert said.startswith(
        "The warmed-up teacher is below its own students, teacher − student: `kd` (−2.0 points [−3.0, −1.0]); train it"
    )
    (said,) = weak_teacher({"warmup": value(-0.002), "kd": value(-0.001)}, answers=False)
    assert "is not above its own students" in said
    assert "the warm student (−0.2 points [−1.2, +0.8]), `kd` (−0.1" in said


def test_answers_below_the_students_are_not_to_be_trained():
    (said,) = weak_teacher({"warmup": value(0.05), "kd": value(-0.02)}, answers=True)
    assert said == (
        "The teacher is below its own students, teacher − student: `kd` (−2.0 points [−3.0, −1.0]); its answers cannot"
        " be trained: take other answers, the mean of several votes a row, probabilities in place of names alone"
        " (`kind` in the pair's card) or a teacher that is trained here (`pair`)."
    )


def models(**students):
    return {
        "majority": {"accuracy": 0.665},
        "warm_student": {"accuracy": students.pop("warmup", value(0.9))},
        "teachers": {"warmup": {"accuracy": students.pop("teacher", value(0.9))}},
        "arms": {arm: {"accuracy": accuracy} for arm, accuracy in students.items()},
        "from_warm": {"differences": {f"{arm}-warmup": {"accuracy": value(0.05)} for arm in students}},
        "behind_teacher": {name: {"accuracy": value(0.05)} for name in ("warmup", *students)},
    }


def test_models_that_are_not_shown_above_the_majority_class_are_named():
    assert at_chance(models(kd=value(0.68)), "accuracy", "accuracy", answers=False) == []
    metrics = models(kd=value(0.67), ce=value(0.68), warmup=value(0.6), teacher=value(0.665))
    (said,) = at_chance(metrics, "accuracy", "accuracy", answers=False)
    assert said.startswith(
        "Not shown above the majority class (66.5 accuracy): the students `warmup` 60.0 [59.0, 61.0] and `kd` 67.0"
        " [66.0, 68.0]; the teachers `warmup` 66.5 [65.5, 67.5]; a constant"
        " may be as good, and more warm-up epochs, another learning rate or more rows come first."
    )


def test_where_no_student_is_above_the_majority_class_nothing_else_is_said():
    metrics = models(kd=value(0.67), ce=value(0.64), warmup=value(0.6), teacher=value(0.8))
    metrics["from_warm"]["differences"]["ce-warmup"]["accuracy"] = value(-0.05)
    metrics["behind_teacher"]["kd"]["accuracy"] = value(-0.05)
    assert of_models(metrics, "accuracy", "best", answers=False) == [
        "No student is shown above the majority class (66.5 accuracy): the students `warmup` 60.0 [59.0, 61.0], `kd`"
        " 67.0 [66.0, 68.0] and `ce` 64.0 [63.0, 65.0]. None of them is worth shipping, and what lies between the arms"
        " says nothing; more labelled rows, a student with more layers or a pretrained one (`pair`), a higher learning"
        " rate or longer training come first."
    ]
    metrics["teachers"]["warmup"]["accuracy"] = value(0.5)
    (said,) = of_models(metrics, "accuracy", "best", answers=True)
    assert "`ce` 64.0 [63.0, 65.0]; the teachers `warmup` 50.0 [49.0, 51.0]. None of them" in said
    metrics["warm_student"]["accuracy"] = value(0.7)
    *_, chance = of_models(metrics, "accuracy", "best", answers=False)
    assert chance.startswith("Not shown above the majority class (66.5 accuracy): the students `kd` 67.0")


def test_answers_at_chance_are_not_to_be_trained():
    (said,) = at_chance(models(kd=value(0.68), teacher=value(0.665)), "accuracy", "accuracy", answers=True)
    assert said.endswith(f"a constant may be as good, and {OTHER_ANSWERS} come first.")
    assert "epochs" not in said
    metrics = models(kd=value(0.67), teacher=value(0.665))
    (said,) = at_chance(metrics, "accuracy", "accuracy", answers=True)
    assert f"for the students {MORE_TRAINING}, for the teachers {OTHER_ANSWERS} come first." in said


@pytest.mark.parametrize(("mean", "told"), [(0.67, False), (0.66, True)])
def test_a_single_seed_is_held_against_it_by_itself(mean, told):
    assert bool(at_chance(models(kd={"mean": mean} | ALONE), "accuracy", "accuracy", answers=False)) == told


def test_only_the_teachers_own_students_count_against_it():
    metrics = models(kd=value(0.9), online=value(0.9))
    assert of_models(metrics, "accuracy", "best", answers=False) == []
    metrics["behind_teacher"]["online"]["accuracy"] = value(-0.05)
    assert of_models(metrics, "accuracy", "best", answers=False) == []
    metrics["behind_teacher"]["kd"]["accuracy"] = value(-0.05)
    metrics["from_warm"]["differences"]["online-warmup"]["accuracy"] = value(-0.05)
    harmed, weak = of_models(metrics, "accuracy", "best", answers=False)
    assert harmed.startswith("`online`")
    assert weak.startswith("The warmed-up teacher is below")


def test_a_held_out_role_with_next_to_nothing_of_a_class():
    roles = {role: {"rows": 40, "classes": {"a": 35, "b": 5}} for role in ("selection", "feedback")}
    roles |= {"train": {"rows": 3, "classes": {"a": 2, "b": 1}}, "test": {"rows": 4, "classes": {"a": 4, "b": 0}}}
    assert few_rows(roles) == ["Few test rows of some classes, on which all figures are: `a` 4 and `b` 0."]
    roles["feedback"] = {"rows": 9, "classes": {f"c{n}": n % 5 for n in range(7)}}
    assert few_rows(roles)[0] == (
        "Few feedback rows of some classes, which gives the influence its direction: `c0` 0, `c1` 1, `c2` 2, `c3` 3,"
        " `c4` 4 and 2 classes more."
    )
    roles["feedback"] = {"rows": 0, "classes": {"a": 0, "b": 0}}  # folds of train in its place
    assert len(few_rows(roles)) == 1


def test_a_finite_difference_that_is_off():
    checks = {"1": {"disagreement": 0.004, "tolerance": 0.01}, "2": {"disagreement": 0.123, "tolerance": 0.01}}
    (said,) = failed_checks(checks)
    assert said.startswith(
        "The influence's check fails (seed 2): the finite difference is up to 12.3 % off forward mode;"
    )
    assert failed_checks({"1": checks["1"]}) == []
