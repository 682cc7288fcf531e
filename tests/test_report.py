"""The report stage on a synthetic workspace: what it says, what it must refuse, and what must leave no trace."""

import json
import re
import shutil
from contextlib import chdir
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lgtm import inputs
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.params import ARMS as ARMS_BY_NAME
from lgtm.report import influence_plots, plots
from lgtm.report import page as pages
from lgtm.report.cautions import clean_feedback, differing, mixed_environments
from lgtm.report.pictures import Picture
from lgtm.report.recommendation import TO_LEARN
from lgtm.report.scores import extremes, join_scores, rank_samples, share_helpful, subset_losses
from lgtm.report.statistics import CORRELATION, SHARE, crossed_test, holm, interval, smallest_shown
from lgtm.report.tables import (
    by_round,
    headline,
    right_answers,
    select_cells,
    summarise,
    summarise_choices,
    summarise_rounds,
)
from lgtm.report.text import escape, show, show_p
from lgtm.report.verdicts import decisions, pairs, significance, verdict
from stages import gathered
from stages import report as stage
from stages.artifacts import DATA, VALIDATION, cell, evaluation, later_rounds, read_curve, write_json
from stages.gathered import read_predictions, read_results
from tests.reported import ARMS, MAJORITY, MEANS, SEEDS, relist, write_evaluation, write_workspace

UNDRAWN = Picture(b"", b"", "", "", "", "")
FIGURES = {
    f"{name}.png"
    for name in ("arms", "calibration", "confusion", "cost", "curves", "differences", "influence", "validation")
}


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A function that writes a workspace with these settings and makes it the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(**settings):
        write_workspace(tmp_path, **settings)
        return tmp_path

    return write


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A function that gives the workspace of these settings with its report: written once, to be left as it is."""

    @cache
    def report(**settings):
        root = tmp_path_factory.mktemp("reported")
        write_workspace(root, **settings)
        with chdir(root):
            stage.main()
        return root

    return report


@pytest.fixture
def reported(reports, monkeypatch):
    """A function that makes a workspace with its report the current folder."""
    return lambda **settings: monkeypatch.chdir(reports(**settings))


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures take most of the stage's time."""
    monkeypatch.setattr(stage.pictures, "picture", lambda name, figure: UNDRAWN)


def read_reports():
    metrics = json.loads((stage.REPORTS / "metrics.json").read_text())
    summary = json.loads((stage.REPORTS / "summary.json").read_text())
    return metrics, summary, "\n".join((stage.REPORTS / f"{name}.md").read_text() for name in stage.PAGES)


def written():
    return {str(path): path.read_bytes() for path in stage.REPORTS.rglob("*") if path.is_file()}


def test_the_report(reported):
    reported()
    metrics, summary, page = read_reports()

    assert list(metrics["arms"]) == ARMS
    assert list(metrics["teachers"]) == ["warmup", "control", "tailored"]
    assert list(metrics["arms"]["kd"]) == ["accuracy", "nll", "ece", "agreement", "parameters", "megabytes"]
    assert "agreement" not in metrics["teachers"]["warmup"]
    assert list(metrics["differences"]) == [
        "ce-kd", "control-kd", "tailored-kd", "ce-control", "tailored-control"
    ]  # fmt: skip
    results = read_results(SEEDS, ARMS)
    kd = results.query("arm == 'kd' and metric == 'accuracy'")["value"]
    assert metrics["arms"]["kd"]["accuracy"]["mean"] == pytest.approx(kd.mean())
    taught = results.query("model == 'teacher' and arm == 'tailored' and metric == 'accuracy'")["value"]
    assert metrics["teachers"]["tailored"]["accuracy"]["mean"] == pytest.approx(taught.mean())
    difference = metrics["differences"]["tailored-kd"]["accuracy"]
    means = [metrics["arms"][arm]["accuracy"]["mean"] for arm in ("tailored", "kd")]
    assert difference["mean"] == pytest.approx(means[0] - means[1])
    assert difference["n"] == 3

    figures = ["metric", "majority", "warm", *ARMS, "tailored-kd", "tailored-control", "ship"]
    assert list(summary) == ["of", *figures, "recommendation", "cautions"]
    assert summary["kd"] == round(100 * kd.mean(), 2)
    assert {role: share["n"] for role, share in metrics["influence"]["share_helpful"].items()} == {"train": 3}
    mean, margin, p = map(float, re.split(" ± |, p ", summary["tailored-kd"].replace("−", "-")))
    assert p == pytest.approx(metrics["tests"]["tailored-kd"]["p_holm"], abs=0.005)
    assert mean == pytest.approx(100 * difference["mean"], abs=0.005)
    assert margin == pytest.approx(50 * (difference["high"] - difference["low"]), abs=0.005)

    assert {path.name for path in stage.FIGURES.iterdir()} == FIGURES
    assert set(re.findall(r"\]\(figures/(.*?)\)", page)) == FIGURES
    assert "Seeds: 1, 2, 3; 1,000 test rows" in page
    assert {path.name for path in stage.VECTORS.iterdir()} == {name.replace(".png", ".svg") for name in FIGURES}
    curves = pd.read_csv(stage.REPORTS / "curves.csv")
    assert list(curves) == ["step", *ARMS]
    assert curves["step"].tolist() == [0, 40, 80, 120, 160, 200, 240]
    kd = [read_curve(cell(seed, "kd", "student"), "accuracy").set_index("step")["value"] for seed in SEEDS]
    assert curves["kd"].tolist() == pytest.approx(pd.concat(kd).groupby("step").mean().tolist())


def test_the_samples_are_the_extremes_with_their_texts(reported):
    reported()
    page = read_reports()[2]
    scores = pd.concat(pd.read_parquet(cell(seed, "influence") / "influence.parquet") for seed in SEEDS)
    mean = scores.groupby("sample_id")["influence"].mean().sort_values()
    train = pd.read_parquet(DATA / "train.parquet").set_index("sample_id")
    sections = [re.findall(r"review&lt;/b&gt; (\d+) ", part) for part in page.split("### ")[1:]]
    numbers = [[int(sample.removeprefix("train-")) for sample in ids] for ids in (mean.index[:-6:-1], mean.index[:5])]
    assert [[int(number) for number in section] for section in sections] == numbers
    worst = train.loc[mean.index[:5]]
    names = ["bad", "good"]
    for label, true in worst[worst["label"] != worst["true_label"]][["label", "true_label"]].to_numpy():
        assert f"| {names[label]} (planted flip; true: {names[true]}) |" in page
    assert page.count("planted flip; true:") >= (worst["label"] != worst["true_label"]).sum() > 0


def test_a_planted_flip_is_a_label_that_is_not_true_and_what_has_no_label_is_none():
    train = pd.DataFrame({"sample_id": ["a", "b"], "label": [1, 0], "true_label": [1, 1]})
    scored = pd.DataFrame({"seed": [1, 1, 1, 2, 2], "sample_id": list("bcaab"), "influence": [0.1, 0.5, 0.2, 0.3, 0.4]})
    joined = join_scores(scored, train, pd.DataFrame({"sample_id": ["c"]}))
    assert joined["planted"].tolist() == [True, False, False, False, True]
    assert joined["role"].tolist() == ["train", "transfer", "train", "train", "train"]
    assert joined["influence"].tolist() == scored["influence"].tolist()


def test_a_subset_has_the_mean_loss_of_its_students():
    found = {
        1: {"subsets": [{"influence": 0.5, "losses": [0.1, 0.3]}, {"influence": -0.5, "losses": [0.5, 0.7]}]},
        2: {"subsets": [{"influence": 0.25, "losses": [0.2, 0.6]}]},
    }
    rows = subset_losses(found).itertuples(index=False)
    assert [tuple(row) for row in rows] == [
        (1, 0.5, pytest.approx(0.2)),
        (1, -0.5, pytest.approx(0.6)),
        (2, 0.25, pytest.approx(0.4)),
    ]


def test_samples_are_ranked_by_their_mean_over_seeds():
    """Against a loop; two samples tie, one is at zero, and every seed brings the rows in another order."""
    random = np.random.default_rng(0)
    influence = {sample: random.normal(size=3) for sample in "abcdefgh"} | {"i": np.zeros(3)}
    influence["h"] = influence["a"][::-1]
    scores = pd.DataFrame(
        [
            {"seed": seed, "sample_id": sample, "influence": influence[sample][seed]}
            for seed in range(3)
            for sample in random.permutation(list(influence))
        ]
    )
    roles = {sample: "transfer" if sample in "bdfh" else "train" for sample in influence}
    train = pd.DataFrame({"sample_id": list("acegi"), "label": [1, 1, 0, 0, 1], "true_label": [1, 0, 0, 0, 1]})
    scores = join_scores(scores, train, pd.DataFrame({"sample_id": list("bdfh")}))
    naive = [(sample, values.mean(), sum(value > 0 for value in values)) for sample, values in influence.items()]
    naive = sorted(naive, key=lambda row: -row[1])
    found = rank_samples(scores)
    assert found["sample_id"].tolist() == [sample for sample, *_ in naive]
    assert found["influence"].tolist() == pytest.approx([mean for _, mean, _ in naive])
    assert found["helps"].tolist() == [helps for *_, helps in naive]
    assert found["role"].tolist() == [roles[sample] for sample, *_ in naive]
    assert found.loc[found["planted"], "sample_id"].tolist() == ["c"]
    own = {role: [sample for sample, *_ in naive if roles[sample] == role] for role in ("train", "transfer")}
    most, least = extremes(found, 2)
    assert most["sample_id"].tolist() == own["train"][:2] + own["transfer"][:2]
    assert least["sample_id"].tolist() == own["train"][:-3:-1] + own["transfer"][:-3:-1]
    assert share_helpful(scores) == {
        role: interval([np.mean([influence[each][seed] > 0 for each in samples]) for seed in range(3)], SHARE)
        for role, samples in own.items()
    }


def test_what_is_not_listed_leaves_no_trace(workspace, undrawn):
    workspace(seeds=[1, 2], arms=["ce", "kd"])
    stage.main()
    expected = written()
    # The same cells with others beside them.
    results = read_results([1], ["kd"]).query("arm == 'kd'")
    stale = [results.assign(seed=seed, arm=arm, value=0.0) for seed, arm in ((9, "kd"), (1, "tailored"))]
    write_evaluation(Path(), pd.concat(stale).to_dict("records"), "accuracy")
    cell(9, "influence").mkdir(parents=True)
    stage.main()
    assert written() == expected


def test_a_dropped_seed_and_arm_vanish_from_every_output(reports, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(reports(), tmp_path / "copy"))
    relist(seeds=[1, 3], arms=["ce", "kd", "control"])
    stage.main()
    metrics, summary, page = read_reports()
    # But for what the arm `control` is.
    assert "tailored" not in json.dumps(metrics) + json.dumps(summary) + page.replace("control of `tailored`", "")
    assert all(values["n"] == 2 for arm in metrics["arms"].values() for values in arm.values())
    assert "Seeds: 1, 3;" in page
    assert "of 2 |" in page
    assert page.count("too few seeds for a verdict") == 3 + 3  # with each other, and from the warm student
    assert "No winner is called below 3 seeds." in page
    assert "## Tests" not in page
    assert metrics["tests"] == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": [1, 2, 3, 4]}, "work/evaluation/4/warmup/results.parquet: not there"),
        ({"arms": ["ce", "kd", "tailored"]}, "work/evaluation/1/tailored/results.parquet: not there"),
    ],
)
def test_a_listed_cell_that_is_missing_is_an_error(workspace, change, message):
    workspace(arms=["ce", "kd"])
    relist(**change)
    with pytest.raises(UserError, match=message) as error:
        stage.main()
    assert "\n" not in str(error.value)
    assert not stage.REPORTS.exists()


@pytest.mark.parametrize(
    "path",
    [
        evaluation(2, "kd") / "results.parquet",
        evaluation(2, "kd") / "student.parquet",
        cell(2, "influence") / "influence.parquet",
        VALIDATION / "2/validation.json",
        cell(3, "kd", "student") / "live/plots/metrics/selection/accuracy.tsv",
    ],
)
def test_a_missing_file_is_named_and_nothing_is_written(workspace, path):
    workspace()
    path.unlink()
    with pytest.raises(UserError, match=str(path)):
        stage.main()
    assert not stage.REPORTS.exists()


def test_a_teacher_missing_for_one_seed_is_an_error(workspace):
    workspace()
    results = read_results(SEEDS, ARMS)
    gone = (results["model"] == "teacher") & (results["arm"] == "tailored") & (results["seed"] == 2)
    with pytest.raises(UserError, match="no teacher of tailored, seed 2"):
        select_cells(results[~gone], SEEDS, ARMS)


def test_it_writes_the_same_bytes_again(reported):
    reported()
    first = written()
    stage.main()
    assert written() == first


def test_a_template_that_changes_under_the_stage_is_noticed(workspace, undrawn, tmp_path, monkeypatch):
    workspace()
    monkeypatch.setattr(inputs, "_read", {})
    monkeypatch.setattr(pages, "TEMPLATES", shutil.copytree(pages.TEMPLATES, tmp_path / "templates"))
    stage.main()
    assert inputs.altered() == []
    for template in sorted(pages.TEMPLATES.iterdir()):
        template.write_text("{{ task }}")
        assert template in inputs.altered()


def test_one_seed_one_arm_no_flips(workspace):
    workspace(seeds=[7], arms=["ce"], flips=0.0, text_pair=True)
    stage.main()
    metrics, summary, page = read_reports()
    assert metrics["arms"]["ce"]["accuracy"]["low"] is None
    assert list(metrics["influence"]) == ["share_helpful", "checks"]
    assert list(summary) == ["of", "metric", "majority", "warm", "ce", "ship", "recommendation", "cautions"]
    assert {path.name for path in stage.FIGURES.iterdir()} == FIGURES
    assert "nothing to compare" in page
    assert "**/** a second text" in page
    assert "None" not in page.replace("None of the arms", "")


def rewrite_validation(seed, change):
    """Change what the validation stage wrote for a seed."""
    path = VALIDATION / str(seed) / "validation.json"
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)


def test_what_retraining_said_is_paired_by_seed(reported):
    reported()
    metrics, _, page = read_reports()
    contents = [json.loads((VALIDATION / str(seed) / "validation.json").read_text()) for seed in SEEDS]
    changes = [
        np.mean(removal["losses"]) - np.mean(content["nothing_dropped"])
        for content in contents
        for removal in content["removals"]
        if (removal["dropped"], removal["fraction"]) == ("most harmful", 0.3)
    ]
    validation = metrics["validation"]
    assert validation["removals"]["most harmful"]["0.3"] == pytest.approx(interval(changes))
    assert f" {show(interval(changes), 'nll', signed=True)} |" in page.split("| dropped | most helpful")[1]
    assert validation["lds"] == pytest.approx(
        interval([content["lds"]["correlation"] for content in contents], CORRELATION)
    )
    aucs = [content["mislabel"]["influence"]["auc"] for content in contents]
    assert validation["mislabel"]["influence"]["auc"] == pytest.approx(interval(aucs, SHARE))
    section = page.split("## Does the influence mean something?")[1].split("## Sizes")[0]
    assert f"| planted flips | influence under the label | {show(interval(aucs, SHARE))} |" in section
    assert f"Linear datamodeling score: {show(validation['lds'])}." in section
    assert re.findall(r"^\| (\d+ %) ", section, re.MULTILINE) == ["10 %", "30 %"]


def test_no_share_runs_past_100(workspace, undrawn):
    workspace(arms=["kd"], metrics=("accuracy", "matthews"))
    for seed, value in zip(SEEDS, (0.9, 1.0, 1.0), strict=True):
        path = evaluation(seed, "kd") / "results.parquet"
        results = pd.read_parquet(path)
        shares = results["metric"].isin(["accuracy", "matthews", "ece", "agreement"])
        results.assign(value=results["value"].where(~shares, value)).to_parquet(path)
        rewrite_validation(seed, lambda found, value=value: found["teacher_error"]["confidence"].update(auc=value))
        rewrite_validation(seed, lambda found, value=value: found["lds"].update(correlation=value))
        scores = pd.read_parquet(cell(seed, "influence") / "influence.parquet")
        helpful = np.arange(len(scores)) < value * len(scores)
        scores.assign(influence=np.where(helpful, 0.01, -0.01)).to_parquet(
            cell(seed, "influence") / "influence.parquet"
        )
    stage.main()
    metrics, _, page = read_reports()
    kd, validation = metrics["arms"]["kd"], metrics["validation"]
    shares = [kd[name] for name in ("accuracy", "matthews", "ece", "agreement")]
    shares += [validation["lds"], validation["teacher_error"]["confidence"]["auc"]]
    for share in [*shares, metrics["influence"]["share_helpful"]["train"]]:
        assert 0.9 < share["mean"] < share["high"] <= 1
        assert share["high"] - share["mean"] < share["mean"] - share["low"]
    assert not re.search(r", 1\d\d\.\d\]", page.replace(", 100.0]", ""))


def test_what_was_not_measured_is_not_shown(workspace, undrawn):
    workspace(flips=0.0, arms=["kd"])
    stage.main()
    metrics, _, page = read_reports()
    assert metrics["validation"]["mislabel"] == {}
    assert "planted flips" not in page.split("## Does the influence")[1]
    # A teacher without an error on train in one seed; no student retrained in any.
    rewrite_validation(2, lambda found: found["teacher_error"].update(influence={}, likelihood={}, confidence={}))
    for seed in SEEDS:
        for measure in ("lds", "subsets", "nothing_dropped", "removals"):
            rewrite_validation(seed, lambda found, measure=measure: found.pop(measure))
    stage.main()
    metrics, _, page = read_reports()
    assert metrics["validation"]["teacher_error"]["influence"]["auc"]["n"] == 2
    assert "No student was retrained" in page
    assert "validation.png" not in page


@pytest.mark.parametrize("left", [["lds", "subsets"], ["nothing_dropped", "removals"]])
def test_either_kind_of_retraining_is_drawn_alone(workspace, undrawn, left):
    workspace(arms=["kd"])
    for seed in SEEDS:
        for measure in {"lds", "subsets", "nothing_dropped", "removals"} - set(left):
            rewrite_validation(seed, lambda found, measure=measure: found.pop(measure))
    stage.main()
    page = read_reports()[2]
    assert ("datamodeling" in page, "dropped before the warm student" in page) == ("lds" in left, "removals" in left)
    assert (stage.FIGURES / "validation.png").is_file()


TWO_PARTS = {"parts": ("matched", "mismatched"), "metrics": ("f1", "accuracy")}


def test_several_parts_and_metrics(reported):
    reported(**TWO_PARTS)
    metrics, summary, page = read_reports()
    names = list(metrics["arms"]["kd"])
    assert names[:4] == ["f1", "accuracy", "nll", "ece"]
    assert {"f1_mismatched", "nll_mismatched", "agreement_mismatched"} <= set(names)
    assert sum(name.startswith("parameters") for name in names) == 1
    assert summary["metric"] == "f1"
    assert "matched, mismatched" in page
    assert "| difference | F1, over seeds | accuracy, over seeds and rows |" in page
    assert "(not F1)" in page


def test_every_pair_is_compared_once_with_each_baseline():
    assert pairs(["tailored", "control", "kd"]) == [("tailored", "kd"), ("control", "kd"), ("tailored", "control")]
    assert pairs(["ce", "tailored"]) == []
    assert pairs(["kd", "pooled", "tailored"]) == [("pooled", "kd"), ("tailored", "kd"), ("tailored", "pooled")]


def test_the_tests_are_those_of_the_first_part_and_corrected_together(reported):
    reported(**TWO_PARTS)
    metrics, _, page = read_reports()
    tests = metrics["tests"]
    assert list(tests) == list(metrics["differences"])
    predictions = read_predictions(SEEDS, ARMS).query("part == 'matched'")
    right = predictions.assign(right=predictions["predicted"] == predictions["label"]).set_index(["seed", "sample_id"])
    tailored, kd = (right.loc[right["arm"] == arm, "right"].astype(float) for arm in ("tailored", "kd"))
    accuracy, p = crossed_test(tailored - kd)
    assert tests["tailored-kd"]["accuracy"] == pytest.approx(accuracy)
    assert tests["tailored-kd"]["p"] == pytest.approx(p)
    f1 = read_results(SEEDS, ARMS).query("model == 'student' and part == 'matched' and metric == 'f1'")
    f1 = f1.pivot(index="seed", columns="arm", values="value")
    smallest = smallest_shown(f1["tailored"] - f1["kd"])
    assert tests["tailored-kd"]["smallest_shown"] == pytest.approx(smallest)
    row = page.split("## Tests")[1].split("| tailored − kd |")[1].splitlines()[0]
    corrected = tests["tailored-kd"]["p_holm"]
    assert corrected > p
    assert row.endswith(f"| {show_p(p)} | {show_p(corrected)} | {100 * smallest:.1f} |")
    assert [test["p_holm"] for test in tests.values()] == holm([test["p"] for test in tests.values()])
    assert page.split("## Tests")[1].split("## Teachers")[0].count("| ce − ") == 2


def test_a_phase_without_training_has_no_panel(workspace, monkeypatch):
    workspace(arms=["kd"])
    for seed in SEEDS:
        curve = cell(seed, "teacher") / "live/plots/metrics/selection/accuracy.tsv"
        pd.read_csv(curve, sep="\t")[:1].to_csv(curve, sep="\t", index=False)
    drawn = []
    monkeypatch.setattr(stage.pictures, "picture", lambda name, figure: drawn.append(figure) or UNDRAWN)
    stage.main()
    titles = [axes.get_title(loc="left") for figure in drawn for axes in figure.axes]
    assert "Student, warm-up" in titles and "Student, distillation" in titles
    assert "Teacher, warm-up" not in titles
    assert "several): Teacher, warm-up.\n\n## Calibration" in read_reports()[2]


def test_a_missing_prediction_is_an_error(workspace):
    workspace()
    predictions = read_predictions(SEEDS, ARMS)
    chosen = (predictions["arm"] == "kd") & (predictions["seed"] == 2)
    one = predictions[chosen].index[:1]
    for lacking in (predictions[~chosen], predictions[~(chosen & predictions.index.isin(one))]):
        with pytest.raises(UserError, match="lacks predictions") as error:
            right_answers(lacking, SEEDS, ARMS, "test")
        assert "\n" not in str(error.value)


def test_two_seeds_have_no_test():
    students = pd.DataFrame({"kd": [0.7, 0.7], "tailored": [0.8, 0.8]}, index=[1, 2])
    assert significance(students, pd.DataFrame(), [("tailored", "kd")]) == {}


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "accuracy", "decision"),
    [
        (0.001, 0.015, 0.049, 0.01, "better"),
        (-0.015, -0.001, 0.049, -0.01, "worse"),
        (0.001, 0.015, 0.05, 0.01, "not distinguishable"),  # the corrected p denies what the interval claims
        (-0.015, -0.001, 0.05, -0.01, "not distinguishable"),
        (-0.001, 0.015, 0.01, 0.01, "not distinguishable"),  # the interval denies what p claims
        (0.001, 0.015, 0.01, -0.01, "not distinguishable"),  # F1 rises and accuracy falls
    ],
)
def test_a_winner_needs_the_interval_and_the_test(low, high, p_holm, accuracy, decision):
    metrics = {
        "differences": {"a-b": {"f1": {"mean": (low + high) / 2, "low": low, "high": high, "n": 3}}},
        "tests": {"a-b": {"p_holm": p_holm, "accuracy": {"mean": accuracy}}},
        "environments": {},
    }
    assert decisions(metrics, "f1") == {"a-b": decision}
    mixed = metrics | {"environments": {"torch": {"2.13.0": "seeds 1, 2", "2.14.0": "seed 3"}}}
    assert decisions(mixed, "f1") == {"a-b": "cells of different environments"}
    assert decisions(metrics | {"tests": {}}, "f1") == {"a-b": "too few seeds for a verdict"}


@pytest.mark.parametrize(
    ("n", "test", "decision", "end"),
    [
        (3, {"p_holm": 0.0312}, "better", "3 seeds, p 0.031: a is better"),
        (3, {"p_holm": 0.21}, "not distinguishable", "3 seeds, p 0.21: not distinguishable"),
        (2, None, "too few seeds for a verdict", "2 seeds: too few seeds for a verdict"),
        (1, None, "too few seeds for a verdict", "1 seed: too few seeds for a verdict"),
    ],
)
def test_verdicts(n, test, decision, end):
    sentence = verdict("a-b", {"mean": 0.008, "low": -0.001, "high": 0.017, "n": n}, test, decision)
    assert sentence == f"a − b: +0.8 points [−0.1, +1.7], {end}"


def test_p_as_text():
    shown = [show_p(p) for p in (0.0002, 0.0123, 0.0499, 0.0999, 0.21, 1.0)]
    assert shown == ["<0.001", "0.012", "0.050", "0.10", "0.21", "1.00"]


def test_numbers_as_text():
    value = {"mean": 0.008, "low": -0.0031, "high": 0.019, "n": 3}
    assert show(value, "accuracy", signed=True) == "+0.8 [−0.3, +1.9]"
    assert show(value, "nll_mismatched") == "0.008 [−0.003, 0.019]"
    assert show({"mean": -1e-9, "low": None, "high": None, "n": 1}) == "0.0"


def test_a_text_cannot_break_the_table():
    assert escape("a | b\n*c* <img> `d`") == r"a \| b \*c\* &lt;img&gt; \`d\`"
    assert len(escape("x" * 5000)) == 240


def test_one_seed_has_no_margin_in_the_summary():
    cells = pd.DataFrame(
        {"accuracy": [0.9, 0.7, 0.8, 0.81, 0.6, 0.79]},
        index=pd.MultiIndex.from_tuples(
            [
                ("teacher", "warmup", 1),
                ("student", "warmup", 1),
                ("student", "kd", 1),
                ("student", "tailored", 1),
                ("majority", "warmup", 1),
                ("student", "pooled", 1),
            ],
            names=["model", "arm", "seed"],
        ),
    ).sort_index()
    known = {"tests": {}, "environments": {}, "recommendation": {"ship": "nothing"}}
    summary = headline(summarise(cells, ["kd", "tailored", "pooled"]) | known, "accuracy")
    assert summary == {
        "metric": "accuracy",
        "majority": 60.0,
        "warm": 70.0,
        "kd": 80.0,
        "tailored": 81.0,
        "pooled": 79.0,
        "tailored-kd": "+1.00",
        "tailored-pooled": "+2.00",
        "ship": "nothing",
    }


def test_what_an_arm_costs(reported):
    reported()
    metrics, _, page = read_reports()
    costs = metrics["cost"]
    assert costs["tailored"]["teacher_forward"] == 300
    assert costs["tailored"]["student_backward"] == 100
    assert costs["kd"]["compute"] == 1
    assert costs["tailored"]["compute"] == pytest.approx((9 * (300 + 200) + 3 * (200 + 200)) / (3 * (200 + 200)))
    assert "| tailored | 300 | 100 | 200 | 100 | 4.75 |" in page


def first_lines(page):
    return page.split("## Recommendation")[0]


def write_environments(seeds, arms, changes=None):
    """Let every network say what it was made with, alike but for `changes`: by (seed, folder)."""
    alike = {"torch": "2.13.0+cpu", "device": "cpu", "threads": 2}
    for seed, name in product(seeds, ["teacher", "student", *(f"{arm}/student" for arm in arms), "tailored/teacher"]):
        write_json(cell(seed, name) / "config.json", {})
        if (made := (changes or {}).get((seed, name), alike)) is not None:
            write_json(cell(seed, name) / "environment.json", made)


def test_cells_of_different_environments_are_told_and_no_winner_is_called(workspace, monkeypatch):
    # Without them there would be one: every seed alike, and far apart.
    monkeypatch.setitem(MEANS, "kd", 0.7)
    monkeypatch.setitem(MEANS, "tailored", 0.85)
    arms = ["kd", "tailored"]
    workspace(arms=arms)
    write_environments(SEEDS, arms)
    stage.main()
    metrics, summary, page = read_reports()
    assert metrics["environments"] == {}
    assert "environments" not in page
    assert re.search(r"tailored − kd: .*: tailored is better$", page, re.MULTILINE)
    assert ", p " in summary["tailored-kd"]
    filled = (stage.FIGURES / "differences.png").read_bytes()

    newer = {"torch": "2.14.0+cpu", "device": "cpu", "threads": 2}
    write_environments(SEEDS, arms, {(3, name): newer for name in ("teacher", "student", "kd/student")})
    write_json(cell(3, "tailored", "student") / "environment.json", newer)
    write_json(cell(3, "tailored", "teacher") / "environment.json", newer)
    stage.main()
    metrics, summary, page = read_reports()
    assert metrics["environments"] == {"torch": {"2.13.0+cpu": "seeds 1, 2", "2.14.0+cpu": "seed 3"}}
    assert (
        "**Cells of different environments are mixed in these figures: torch 2.13.0+cpu (seeds 1, 2) and 2.14.0+cpu"
        " (seed 3). No winner is called; to compare like with like, make all of them anew with `dvc repro --force`.**"
    ) in first_lines(page)
    assert re.search(r"tailored − kd: .*: cells of different environments$", page, re.MULTILINE)
    assert "tailored is better" not in page
    assert summary["tailored-kd"].endswith(", cells of different environments")
    assert (stage.FIGURES / "differences.png").read_bytes() != filled


@pytest.mark.parametrize(("kd", "settled"), [(0.7, True), (0.95, True), (0.85, False)])
def test_the_figure_fills_what_the_verdict_settles(workspace, undrawn, monkeypatch, kd, settled):
    monkeypatch.setitem(MEANS, "kd", kd)
    monkeypatch.setitem(MEANS, "tailored", 0.85)
    workspace(arms=["kd", "tailored"])
    drawn = []
    monkeypatch.setattr(plots, "differences_figure", lambda *arguments: drawn.append(arguments))
    stage.main()
    pairs, filled = drawn[0][1:3]
    assert pairs == [("kd", "warmup"), ("tailored", "warmup"), ("tailored", "kd")]
    assert filled[2] == settled
    assert filled[0] == (kd != 0.7)


def test_an_environment_that_is_unknown_is_another_one(workspace, undrawn):
    workspace(arms=["kd", "tailored"])
    unknown = {(seed, name): None for seed in SEEDS for name in ("tailored/student", "tailored/teacher")}
    write_environments(SEEDS, ["kd", "tailored"], unknown)
    stage.main()
    where = "tailored/teacher, tailored/student of seeds 1, 2, 3"
    assert f"torch 2.13.0+cpu (all others) and unknown ({where}); device cpu (all" in first_lines(read_reports()[2])
    # As cells of before environments were written do: nothing is known, so nothing differs.
    for path in stage.REPORTS.parent.glob("work/runs/**/environment.json"):
        path.unlink()
    stage.main()
    assert "environments" not in first_lines(read_reports()[2])


def test_teachers_that_were_not_kept_and_further_rounds_have_their_environments(workspace):
    arms = ["kd", "crossfit", "tailored"]
    workspace(arms=arms)
    write_environments(SEEDS, arms)
    alike = gathered.read_environments(SEEDS, arms, ["kd"], 3)
    assert differing(alike) == {}
    assert (1, "crossfit/teacher") not in alike and (1, "kd/rounds/2/student") not in alike
    newer = {"torch": "2.14.0+cpu", "device": "cpu", "threads": 2}
    write_json(cell(2, "crossfit", "teacher") / "environment.json", newer)  # and no network
    for number in ("2", "3", "4"):
        further = cell(3, "kd", "rounds", number, "student")
        write_json(further / "config.json", {})
        write_json(further / "environment.json", newer)
    found = differing(gathered.read_environments(SEEDS, arms, ["kd"], 3))
    named = "crossfit/teacher of seed 2; kd/rounds/2/student, kd/rounds/3/student of seed 3"
    assert found == {"torch": {"2.13.0+cpu": "all others", "2.14.0+cpu": named}}
    assert differing(gathered.read_environments([1, 3], arms)) == {}


def test_where_environments_differ_in_words():
    names = ("teacher", "student", "kd/student")
    alike = {(seed, name): {"torch": "2.13", "threads": 2} for seed in (1, 2, 3) for name in names}
    assert differing(alike) == {}
    assert differing({network: {} for network in alike}) == {}
    changed = alike | {(2, "kd/student"): {"torch": "2.14", "threads": 2}, (3, "student"): {"torch": "2.13"}}
    assert differing(changed) == {
        "torch": {"2.13": "all others", "2.14": "kd/student of seed 2"},
        "threads": {"2": "all others", "unknown": "student of seed 3"},
    }
    by_seed = {network: {"torch": f"2.1{network[0]}"} for network in alike}
    assert differing(by_seed) == {"torch": {"2.11": "seed 1", "2.12": "seed 2", "2.13": "seed 3"}}
    assert "torch 2.11 (seed 1), 2.12 (seed 2) and 2.13 (seed 3)." in mixed_environments(differing(by_seed))[0]


def test_chance_is_told_first_with_what_to_change_and_nothing_is_shipped(workspace, undrawn, monkeypatch):
    monkeypatch.setitem(MEANS, "warmup", 0.535)
    monkeypatch.setitem(MEANS, "kd", 0.47)
    monkeypatch.setitem(MEANS, "tailored", 0.535)
    workspace(arms=["kd", "tailored"])
    results = read_results(SEEDS, ["kd", "tailored"])
    weak = (results["model"] == "teacher") & (results["metric"] == "accuracy")
    write_evaluation(Path(), results.assign(value=results["value"].where(~weak, 0.44)).to_dict("records"), "accuracy")
    stage.main()
    metrics, summary, page = read_reports()
    told = first_lines(page)
    assert metrics["from_warm"]["differences"]["kd-warmup"]["accuracy"]["high"] < 0
    assert f"**No student is shown above the majority class ({100 * MAJORITY:.1f} accuracy): the students " in told
    assert "None of them is worth shipping" in told and "more labelled rows" in told
    assert "harms" not in told and "below its own students" not in told
    assert summary["ship"] == metrics["recommendation"]["ship"] == "nothing"
    assert "**Ship: nothing.** No student is shown to be above the majority class." in page
    assert metrics["recommendation"]["next"][: len(TO_LEARN)] == TO_LEARN


def test_harm_and_a_weak_teacher_are_told_first(workspace, undrawn, monkeypatch):
    monkeypatch.setitem(MEANS, "kd", 0.6)
    workspace(arms=["kd", "tailored"])
    results = read_results(SEEDS, ["kd", "tailored"])
    weak = (results["model"] == "teacher") & (results["metric"] == "accuracy")
    write_evaluation(Path(), results.assign(value=results["value"].where(~weak, 0.44)).to_dict("records"), "accuracy")
    stage.main()
    metrics, _, page = read_reports()
    told = first_lines(page)
    change = metrics["from_warm"]["differences"]["kd-warmup"]["accuracy"]
    assert change["high"] < 0
    assert f"**`kd` ({show(change, signed=True, unit=' points')}) harms: on accuracy, below the warm student" in told
    assert "**The warmed-up teacher is below its own students, teacher − student: the warm student (" in told
    assert f"**Not shown above the majority class ({100 * MAJORITY:.1f} accuracy): the teachers " in told
    assert "train it for more `teacher_warmup.epochs`" in told
    assert "The warmed-up teacher errs on" in page

    path = Path("pairs") / f"{read_yaml('params.yaml')['pair']}.yaml"
    card = read_yaml(path) | {"teacher": {"predictions": {"file": "answers.csv"}}}
    path.write_text(yaml.safe_dump(card))
    stage.main()
    page = read_reports()[2]
    assert "its answers cannot be trained" in first_lines(page)
    assert "teacher_warmup" not in first_lines(page)
    assert "The teacher errs on" in page


def test_what_to_ship_stands_on_the_page_and_in_the_figures(reported):
    reported()
    metrics, summary, page = read_reports()
    found = metrics["recommendation"]
    assert summary["ship"] == found["ship"] == "kd"
    section = page.split("## Recommendation")[1].split("##")[0]
    assert f"**Ship: kd.** {found['why']}" in section
    assert [line[2:] for line in section.splitlines() if line.startswith("- ")] == found["next"]
    shares = metrics["validation"]["shares"]
    assert shares["teacher_error"]["mean"] == pytest.approx(0.1)
    contents = [json.loads((VALIDATION / str(seed) / "validation.json").read_text()) for seed in SEEDS]
    errors = [content["teacher_error"] for content in contents]
    ahead = interval([each["influence"]["auc"] - each["confidence"]["auc"] for each in errors])
    assert metrics["validation"]["influence_ahead"] == pytest.approx(ahead)


def test_the_warm_student_and_the_majority_class_stand_beside_the_arms(reported):
    reported()
    metrics, summary, page = read_reports()
    results = read_results(SEEDS, ARMS).query("model == 'student' and metric == 'accuracy'")
    table = results.pivot(index="seed", columns="arm", values="value")
    change = interval(table["kd"] - table["warmup"])
    assert metrics["from_warm"]["differences"]["kd-warmup"]["accuracy"] == pytest.approx(change)
    assert metrics["majority"] == {"accuracy": MAJORITY}
    assert (summary["majority"], summary["warm"]) == (100 * MAJORITY, round(100 * table["warmup"].mean(), 2))
    students = page.split("## Students")[1].split("## ")[0]
    rows = re.findall(r"^\| (\w+) \| ", students, re.MULTILINE)
    assert rows == ["student", "majority", "warmup", *ARMS]
    shown = show(metrics["arms"]["kd"]["accuracy"])
    assert f"| kd | {shown} | {show(change, signed=True)} |" in students
    assert f"| majority | {100 * MAJORITY:.1f} | – |" in students
    assert f"| majority | {100 * MAJORITY:.1f} | – |" in page.split("## Teachers")[1]
    # A family of its own: its corrections do not weigh on the verdicts between arms, nor theirs on it.
    tests = metrics["from_warm"]["tests"]
    assert list(tests) == [f"{arm}-warmup" for arm in ARMS]
    assert [test["p_holm"] for test in tests.values()] == holm([test["p"] for test in tests.values()])
    teachers = read_results(SEEDS, ARMS).query("model == 'teacher' and metric == 'accuracy'")
    teachers = teachers.pivot(index="seed", columns="arm", values="value")
    behind = {"warmup": "warmup", "kd": "warmup", "tailored": "tailored"}
    for arm, teacher in behind.items():
        expected = interval(teachers[teacher] - table[arm])
        assert metrics["behind_teacher"][arm]["accuracy"] == pytest.approx(expected)
    assert "agreement" not in metrics["behind_teacher"]["kd"]


@pytest.mark.parametrize(("majority", "told"), [(0.52, "majority class, 52.0"), (0.1, "majority class, 10.0: left of")])
def test_a_majority_class_far_below_does_not_press_the_arms_together(majority, told):
    students = pd.DataFrame({"warmup": [0.69, 0.7, 0.71], "kd": [0.74, 0.75, 0.76]}, index=SEEDS)
    figure = plots.arms_figure(students, pd.Series([0.9, 0.9, 0.91], index=SEEDS), majority, "accuracy", "test")
    (axes,) = figure.axes
    (line,) = [line for line in axes.lines if line.get_label().startswith(told)]
    low, high = axes.get_xlim()
    assert low <= line.get_xdata()[0] <= high
    assert high - low < 0.5
    assert [label.get_text() for label in axes.get_yticklabels()] == ["warm student", "kd"]


def rewrite_summary(**changes):
    summary = json.loads((DATA / "summary.json").read_text())
    write_json(DATA / "summary.json", summary | changes)


def test_clean_feedback_is_told_with_the_arms_that_had_it(workspace, undrawn):
    workspace(arms=["kd", "control", "tailored", "online", "dml", "pooled", "disagreeing"])
    scored = {"student_scored": {"forward": 60, "backward": 6, "weights": 3}}
    write_json(cell(2, "tailored", "teacher") / "cost.json", scored)
    write_json(cell(2, "disagreeing", "teacher") / "cost.json", {"student_asked": scored["student_scored"]})
    rewrite_summary(label_noise={"fraction": 0.2, "clean_roles": ["selection", "feedback"]})
    stage.main()
    page = read_reports()[2]
    assert (
        "**20 % of the train labels are planted flips, and none of the feedback labels. Only what follows the influence"
        " or learns from the feedback rows (`tailored`, `online` and `pooled`) had those clean labels, which the other"
        " arms never saw: its gain includes them.**"
    ) in first_lines(page)
    assert "Planted flips: 20 % of the labels of every role but\nselection and feedback and test." in page
    # The folds of train are as noisy as it is: who follows them heard of no clean label.
    relist(influence=read_yaml("params.yaml")["influence"] | {"folds": 5})
    stage.main()
    assert "feedback rows (`online` and `pooled`) had" in first_lines(read_reports()[2])


@pytest.mark.parametrize(
    ("fraction", "clean", "followers"),
    [
        (0.2, [], ["tailored"]),
        (0.2, ["selection"], ["tailored"]),
        (0.0, ["feedback"], ["tailored"]),
        (0.2, ["feedback"], []),
    ],
)
def test_feedback_as_noisy_as_train_is_no_caution(fraction, clean, followers):
    assert clean_feedback({"fraction": fraction, "clean_roles": clean}, followers) == []


def test_what_crosses_roles_is_told(workspace, undrawn):
    workspace()
    rewrite_summary(crossing={"groups": 7, "near_duplicates": {"test": 12, "selection": 0, "feedback": 1}})
    stage.main()
    page = read_reports()[2]
    assert "**Groups of rows that stand in more than one role: 7.**" in first_lines(page)
    said = "12 of the 1,000 test rows and 1 of the 120 feedback rows"
    assert f"**Nearly the same as a row of another role: {said}.**" in first_lines(page)
    assert "| train | 1,200 | 600 |  |\n| feedback | 120 | 60 | 1 |\n| selection | 150 | 75 | 0 |" in page
    assert "Groups that stand in more than one role: 7." in page


def test_nothing_to_be_wary_of_is_no_caution(reported):
    reported()
    page = read_reports()[2]
    assert "**" not in first_lines(page)
    assert "| test | 1,000 | 500 | 0 |" in page
    assert "Groups that stand in more than one role: 0." in page
    assert "Planted flips: 20 % of the labels of every role but\ntest." in page


def test_the_report_by_round(workspace, undrawn):
    workspace(arms=["kd", "tailored"])
    rounds = {"arms": ["kd", "tailored"], "count": 2}
    relist(rounds=rounds)
    for seed, arm in product(SEEDS, rounds["arms"]):
        first = pd.read_parquet(evaluation(seed, arm) / "results.parquet").query("model == 'student'")
        gain = 0.01 * seed * (arm == "tailored")
        later_rounds(seed, arm).mkdir()
        first.assign(model="round 2", value=first["value"] + gain).to_parquet(
            later_rounds(seed, arm) / "results.parquet"
        )
    stage.main()
    metrics, _, page = read_reports()
    kd, tailored = (metrics["rounds"]["arms"][arm] for arm in rounds["arms"])
    assert kd["1"] == kd["2"] == metrics["arms"]["kd"]["accuracy"]
    assert tailored["2"]["mean"] - tailored["1"]["mean"] == pytest.approx(0.02)
    change = metrics["rounds"]["differences"]["tailored-kd"]
    assert change["2"]["mean"] - change["1"]["mean"] == pytest.approx(0.02)
    section = page.split("## Rounds")[1].split("## Learning")[0]
    assert f"| tailored |  | {show(tailored['1'])} | {show(tailored['2'])} |" in section
    assert f"| majority | {100 * MAJORITY:.1f} |  |  |" in section
    assert f"| warmup | {show(metrics['warm_student']['accuracy'])} |  |  |" in section
    assert (stage.FIGURES / "rounds.png").is_file()
    write_environments(SEEDS, ["kd", "tailored"])
    further = cell(3, "kd", "rounds", "2", "student")
    write_json(further / "config.json", {})
    write_json(further / "environment.json", {"torch": "2.14.0+cpu", "device": "cpu", "threads": 2})
    stage.main()
    assert "2.14.0+cpu (kd/rounds/2/student of seed 3). No winner is called" in first_lines(read_reports()[2])


def test_rounds_are_paired_by_seed_and_named_when_missing():
    results = pd.DataFrame(
        [
            (seed, arm, model, "test", "accuracy", 0.5 + 0.1 * step + 0.01 * seed * (arm == "tailored"))
            for seed in (1, 2, 3)
            for arm in ("kd", "tailored")
            for step, model in enumerate(("student", "round 2"))
        ],
        columns=["seed", "arm", "model", "part", "metric", "value"],
    )
    cells = results[results["model"] == "student"].rename(columns={"value": "accuracy"})
    cells = cells.set_index(["model", "arm", "seed"])[["accuracy"]]
    rounds = by_round(results, cells, ["kd", "tailored"], 2, "accuracy")
    found = summarise_rounds(rounds, "accuracy")
    assert found["arms"]["kd"]["2"] == interval([0.6, 0.6, 0.6], SHARE)
    assert found["differences"]["tailored-kd"]["2"]["mean"] == pytest.approx(0.02)
    with pytest.raises(UserError, match="no round 3 of kd, seed 1"):
        by_round(results, cells, ["kd"], 3, "accuracy")


def test_the_rows_of_both_roles_are_told_apart(workspace, undrawn):
    workspace(transfer=900, arms=["kd"])
    rewrite_summary(
        transfer={
            "read": 1500, "rows": 900, "empty": 2, "in_other_role": 0, "group_held_out": 0, "duplicates": 98,
            "left_out": 500,
        }
    )  # fmt: skip
    stage.main()
    metrics, _, page = read_reports()
    scores = pd.concat(pd.read_parquet(cell(seed, "influence") / "influence.parquet") for seed in SEEDS)
    mean = scores.groupby("sample_id")["influence"].mean().sort_values(ascending=False)
    own = {role: mean[mean.index.str.startswith(role)].index for role in ("train", "transfer")}
    for title, ends in {
        "### Most": {role: ids[:5] for role, ids in own.items()},
        "### Least": {role: ids[:-6:-1] for role, ids in own.items()},
    }.items():
        lines = [line for line in page.split(title)[1].split("##")[0].splitlines() if "helps in" not in line]
        lines = [line for line in lines if line.startswith("| ") and "---" not in line]
        assert [line.split(" | ")[-4] for line in lines] == 5 * ["train"] + 5 * ["transfer"]
        for line, sample in zip(lines, [*ends["train"], *ends["transfer"]], strict=True):
            role, number = sample.split("-")
            label = line.split(" | ")[-3]
            if role == "train":
                assert f"review&lt;/b&gt; {number} " in line
                assert label.startswith(("bad", "good"))
            else:
                assert f"&lt;i&gt;unlabelled&lt;/i&gt; number {number} " in line
                assert label == "–"
    shares = metrics["influence"]["share_helpful"]
    helpful = scores[scores["sample_id"].str.startswith("transfer")].groupby("sample_id")["influence"].apply(list)
    assert shares["transfer"]["mean"] == pytest.approx(np.mean([np.array(values) > 0 for values in helpful]))
    said = [f"{show(share)} % of the {role} rows" for role, share in shares.items()]
    assert f"Under the warmed-up teacher,\n{' and '.join(said)} are above zero." in page
    assert list(shares) == ["train", "transfer"]
    assert "| transfer | 900 | – | – |" in page
    assert (
        "transfer: of 1,500 rows without labels, 900 are taught beside train; left out: 2 empty, 98 there before, 500"
        " beyond `prepare.max_transfer`.\n"
    ) in page


def test_only_the_texts_that_are_shown_are_held(workspace, undrawn, monkeypatch):
    workspace(transfer=600, arms=["kd"])
    pieces = [pd.read_parquet(DATA / "train.parquet")[:700]] * 3
    monkeypatch.setattr(gathered, "taught_chunks", lambda: iter(pieces))
    assert len(gathered.read_texts(pd.Series(["train-3", "train-699"]))) == 2 * 3
    assert [list(table) for table in gathered.read_taught()] == [["sample_id", "label", "true_label"], ["sample_id"]]
    monkeypatch.undo()


def test_the_figure_holds_the_roles_apart_and_draws_no_label_where_there_is_none():
    random = np.random.default_rng(0)
    scores = pd.DataFrame({"seed": 1, "influence": random.normal(size=90), "influence_label": random.normal(size=90)})
    scores = scores.assign(role=["train"] * 60 + ["transfer"] * 30, planted=[True] * 20 + [False] * 70)
    teacher, label = influence_plots.influence_figure(scores).axes
    names = [text for _, text in zip(*teacher.get_legend_handles_labels(), strict=True)]
    assert names == [
        "train, labels as given (40)", "train, planted flips (20)", "transfer (30)"
    ]  # fmt: skip
    assert label.get_legend_handles_labels()[1] == names[:2]
    means = [line.get_xdata()[0] for line in teacher.lines[:3]]
    rows = [slice(20, 60), slice(0, 20), slice(60, 90)]
    assert means == pytest.approx([scores["influence"][part].mean() for part in rows])


def test_errors_on_transfer_stand_beside_those_on_train(reported):
    reported(transfer=900, arms=("kd",))
    metrics, _, page = read_reports()
    validation = metrics["validation"]
    contents = [json.loads((VALIDATION / str(seed) / "validation.json").read_text()) for seed in SEEDS]
    errors = [content["teacher_error_transfer"] for content in contents]
    found = interval([each["influence"]["auc"] for each in errors], SHARE)
    assert validation["teacher_error_transfer"]["influence"]["auc"] == pytest.approx(found)
    ahead = interval([each["influence"]["auc"] - each["confidence"]["auc"] for each in errors])
    assert validation["influence_ahead_transfer"] == pytest.approx(ahead)
    assert validation["influence_ahead"]["mean"] < 0 < validation["influence_ahead_transfer"]["mean"]
    section = page.split("## Does the influence")[1]
    assert f"| its errors on transfer | influence under the teacher | {show(found)} |" in section
    train, transfer = (step for step in metrics["recommendation"]["next"] if step.startswith("The warmed-up teacher"))
    assert "of the train rows; a low" in train
    assert "of the transfer rows; a low influence finds them with AUC " + show(found) in transfer


def choose(seed, arm, chosen, **selection):
    teacher = cell(seed, arm, "teacher")
    (teacher / "trials" / chosen).mkdir(parents=True)
    shutil.copy(teacher / "targets.parquet", teacher / "trials" / chosen)
    write_json(cell(seed, arm, "student") / "choice.json", {"chosen": chosen, "selection": selection})


def test_what_was_chosen_on_selection_and_what_chance_does_there(workspace, undrawn):
    workspace(arms=["kd", "tailored"])
    for seed, shares in zip(SEEDS, ((0.8, 0.7), (0.8, 0.9), (0.5, 0.5)), strict=True):
        selection = {name: {"accuracy": share, "nll": 0.5} for name, share in zip(("0", "2"), shares, strict=True)}
        choose(seed, "tailored", "2" if seed == 2 else "0", **selection)
    stage.main()
    metrics, _, page = read_reports()
    assert list(metrics["choices"]) == ["tailored"]
    choice = metrics["choices"]["tailored"]
    assert choice["rows"] == 150
    assert choice["seeds"]["2"] == {
        "chosen": "2", "selection": {"0": {"accuracy": 0.8, "nll": 0.5}, "2": {"accuracy": 0.9, "nll": 0.5}}
    }  # fmt: skip
    expected = np.mean([np.sqrt(share * (1 - share) / 150) for share in (0.8, 0.9, 0.5)])
    assert choice["standard_error"] == pytest.approx(expected)
    section = page.split("## Choices of λ")[1].split("## Learning")[0]
    assert (
        f"`tailored`, on 150 rows, where chance alone moves a share of right answers by\n{100 * expected:.1f} poi"
        in section
    )
    assert "| seed | chosen | λ 0 | λ 2 |" in section
    assert "| 2 | 2 | 80.0 (0.500) | **90.0 (0.500)** |" in section
    (cell(2, "tailored", "student") / "choice.json").unlink()
    with pytest.raises(UserError, match=r"2/tailored/student/choice\.json"):
        stage.main()


def test_the_teacher_of_an_arm_with_a_choice_is_the_one_that_was_chosen(workspace):
    workspace(arms=["kd", "tailored"])
    for seed in SEEDS:
        choose(seed, "tailored", "2", **{"0": {"accuracy": 0.7, "nll": 0.5}, "2": {"accuracy": 0.8, "nll": 0.5}})
        teacher = cell(seed, "tailored", "teacher")
        (teacher / "live").rename(teacher / "trials/2/live")
        for folder in (teacher / "trials/2", teacher / "trials/0"):
            write_json(folder / "config.json", {})
            write_json(folder / "environment.json", {"torch": folder.name})
    cells = select_cells(read_results(SEEDS, ["kd", "tailored"]), SEEDS, ["kd", "tailored"])
    curves = gathered.read_curves(cells, SEEDS, ["kd", "tailored"], "accuracy")
    assert set(curves.query("phase == 'Teachers of the arms'")["arm"]) == {"tailored"}
    made = gathered.read_environments(SEEDS, ["kd", "tailored"])
    assert made == {(seed, "tailored/teacher"): {"torch": "2"} for seed in SEEDS}


def test_chance_is_at_its_widest_where_the_share_of_right_answers_is_not_known():
    choice = {"chosen": "0", "selection": {"0": {"matthews": -0.1, "nll": 0.6}}}
    assert summarise_choices({"tailored": {1: choice}}, 100)["tailored"]["standard_error"] == pytest.approx(0.05)


def test_without_a_choice_there_is_no_section(reported):
    reported()
    metrics, _, page = read_reports()
    assert metrics["choices"] == {}
    assert "Choices" not in page


def test_what_an_arm_is_and_which_teachers_have_no_row(workspace, undrawn):
    workspace(arms=["kd", "crossfit", "tailored"])
    for seed in SEEDS:
        trained = {"teacher": {"forward": 300, "backward": 100, "weights": 9}}
        write_json(cell(seed, "crossfit", "teacher") / "cost.json", trained)
    stage.main()
    students, teachers = read_reports()[2].split("## Teachers")
    for arm in ("kd", "crossfit", "tailored"):
        assert f"\n- `{arm}`: {ARMS_BY_NAME[arm].__doc__.splitlines()[0]}\n" in students
    assert "- `ce`:" not in students
    assert "\n`crossfit` trained teachers too, but kept what they said, not the networks.\nAny other arm" in teachers


def test_the_rows_without_labels_have_their_verdict(workspace, undrawn, monkeypatch):
    monkeypatch.setitem(MEANS, "kd_train", 0.7)
    workspace(arms=["kd", "kd_train"], transfer=50)
    stage.main()
    metrics, _, page = read_reports()
    difference = metrics["differences"]["kd_train-kd"]["accuracy"]
    mean = (
        f"{-100 * difference['mean']:+.1f} points [{-100 * difference['high']:+.1f}, {-100 * difference['low']:+.1f}]"
    )
    p = show_p(metrics["tests"]["kd_train-kd"]["p_holm"])
    assert f"- What the rows without labels bring, `kd` − `kd_train`: {mean}, p {p}: `kd` is better;" in page
