"""A teacher that is a file of answers, and one that is several networks, through the stages."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny_project
import torch
import yaml

from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.networks.teachers import mean_logits
from stages import (
    distill,
    evaluate,
    evaluate_warmup,
    influence,
    prepare,
    report,
    student_warmup,
    teacher_tailored,
    teacher_warmup,
    validation,
)
from stages.artifacts import INIT, cell, evaluation, read_json, read_matrix, read_role, read_roles
from stages.network import Network

ROLES = ("train", "transfer", "selection", "test")
ANSWERS = {"file": "answers.jsonl", "id": "id", "kind": "logits", "scores": "said"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_project.write_cards(tmp_path)
    write_params()
    yield tmp_path
    torch.use_deterministic_algorithms(False)


def write_params(**changes) -> None:
    params = tiny_project.settings(seeds=[1], arms=["kd", "tilted"])
    tiny_project.edit(params, {"evaluate.leaderboard": False} | {k.replace("__", "."): v for k, v in changes.items()})
    Path("params.yaml").write_text(yaml.safe_dump(params))


def write_pair(**teacher) -> None:
    Path("pairs/tiny.yaml").write_text(yaml.safe_dump(tiny_project.PAIR | {"teacher": teacher}))


def require_what_dvc_plots() -> None:
    """Hold that every curve of a warm-up that dvc.yaml's plots name is there, with its column."""
    named = [
        file
        for plot in read_yaml(tiny_project.ROOT / "dvc.yaml")["plots"]
        for each in plot.values()
        for file in each["y"].items()
    ]
    curves = {file.replace("${seeds[0]}", "1"): column for file, column in named if file.startswith("work/")}
    assert len(curves) == 4
    for file, column in curves.items():
        assert list(pd.read_csv(file, sep="\t")) == ["step", column]


def run(arm: str = "kd") -> None:
    """From the raw rows to an arm's student and its evaluation."""
    shutil.rmtree("work", ignore_errors=True)  # as DVC does
    prepare.main()
    for stage in (teacher_warmup, student_warmup, influence):
        stage.main(1)
    for stage in (teacher_tailored, distill):
        stage.main(1, arm)
    evaluate_warmup.main(1)
    evaluate.main(1, arm)


# Another process, which knows of this project the model folder and the tables alone.
ASK = """
import json, sys
import pandas as pd, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, *roles = sys.argv[1:]
torch.set_num_threads(1)
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
with open("tasks/tiny/answers.jsonl", "w") as file, torch.inference_mode():
    for role in roles:
        rows = pd.read_parquet(f"work/data/{role}.parquet")
        for sample, text in zip(rows["sample_id"], rows["text"]):
            logits = model(**tokenizer(text, return_tensors="pt")).logits[0]
            said = {model.config.id2label[place]: float(value) for place, value in enumerate(logits)}
            file.write(json.dumps({"id": sample, "said": said}) + "\\n")
"""


@pytest.mark.parametrize("arm", ["kd", "tilted"])
def test_answers_of_the_same_teacher_give_the_same_student_byte_for_byte(home, arm):
    """Whose logits are the same; a batch of one may differ from a batch of many in the last digit."""
    run(arm)
    student = cell(1, arm, "student") / "model.safetensors"
    before = student.read_bytes()
    said = {role: Network(cell(1, "teacher")).predict(role, 16) for role in ROLES}
    rows = pd.concat([read_role(role) for role in ROLES])
    answers = pd.DataFrame({"id": rows["sample_id"], "said": list(np.concatenate(list(said.values())))})
    answers.sample(frac=1.0, random_state=0).to_json(
        "tasks/tiny/answers.jsonl", orient="records", lines=True, double_precision=15
    )
    write_pair(predictions=ANSWERS)
    run(arm)
    assert np.array_equal(
        read_matrix(cell(1, "teacher") / "targets.parquet", "logits"), np.concatenate([said["train"], said["transfer"]])
    )
    assert student.read_bytes() == before
    found = pd.read_parquet(evaluation(1, "warmup") / "results.parquet").set_index(["model", "metric"])["value"]
    right = said["test"].argmax(-1) == read_role("test")["label"]
    assert found["teacher", "accuracy"] == pytest.approx(right.mean())
    assert ("teacher", "parameters") not in found and ("student", "parameters") in found


def test_answers_are_reported_like_any_teacher(home):
    run()
    rows = pd.concat([read_role(role) for role in ROLES])
    answers = pd.DataFrame(
        {"id": rows["sample_id"], "said": ["fine" if "good" in text else "awful" for text in rows["text"]]}
    )
    answers.to_csv("tasks/tiny/answers.csv", index=False)
    write_pair(predictions={"file": "answers.csv", "id": "id", "kind": "label", "label": "said", "smoothing": 0.1})
    write_params(arms=["kd"], validation__subsets=0)
    run()
    validation.main(1)
    require_what_dvc_plots()
    report.main()
    page = Path("reports/details.md").read_text()
    assert "| student | " in page and "| teacher | 1," not in page
    assert "or the mean of\nseveral): Teacher, warm-up.\n\n## Calibration" in page
    assert "a teacher of which only the answers are known" in " ".join(
        Path("reports/report.html").read_text().replace("<dfn>", "").replace("</dfn>", "").split()
    )
    assert read_json(Path("reports/metrics.json"))["teachers"]["warmup"]["accuracy"]["mean"] == 1.0


def test_what_another_process_asked_of_the_teacher_is_what_the_student_hears(home):
    run()
    roles = ("train", "transfer", "selection", "test")
    subprocess.run([sys.executable, "-c", ASK, str(cell(1, "teacher")), *roles], check=True)
    own = read_matrix(cell(1, "teacher") / "targets.parquet", "logits")
    write_pair(predictions=ANSWERS)
    run()
    np.testing.assert_allclose(read_matrix(cell(1, "teacher") / "targets.parquet", "logits"), own, atol=1e-5)


def test_what_answers_cannot_do_is_one_line_before_anything_trains(home):
    write_pair(predictions=ANSWERS)
    for arm in ("control", "tailored", "pooled", "crossfit", "online", "early"):
        write_params(arms=["kd", "tilted", arm])
        with pytest.raises(UserError, match=f"the arm '{arm}' does; leave in params.yaml's arms: kd, tilted"):
            prepare.main()
        with pytest.raises(UserError, match=f"the arm '{arm}' does"):
            teacher_tailored.main(1, arm)
    write_params(teacher_tailored__tilted={"base": "crossfit", "teachers": 2, "lambda": 0.5})
    with pytest.raises(UserError, match=r"the arm 'tilted' does; leave in params.yaml's arms: kd"):
        prepare.main()
    write_params(distill__hidden_weight=0.5)
    with pytest.raises(UserError, match=r"distill.hidden_weight: the hidden states are of one network"):
        prepare.main()
    write_params()
    with pytest.raises(UserError, match=r"answers.jsonl: no such file"):
        prepare.main()
    Path("tasks/tiny/answers.jsonl").write_text('{"id": "train-0", "said": {"fine": 1.0, "awful": 2.0}}\n')
    with pytest.raises(UserError, match="rows of train"):
        prepare.main()
    write_pair(predictions=ANSWERS, learning_rate=1e-3)
    with pytest.raises(UserError, match="learning_rate is of one network, and not for predictions"):
        prepare.main()


def test_mistakes_in_answers_are_told_in_the_order_of_their_price(home, monkeypatch):
    """The card's before the task is read, the file's before roles are made, a row without one before transfer's."""
    labelled = pd.concat([pd.read_csv(f"tasks/tiny/{split}.csv").assign(split=split) for split in ("train", "test")])
    rows = labelled["split"] + "-" + labelled.groupby("split").cumcount().astype(str)
    lines = [f'{{"id": "{row}", "said": {{"fine": 1.0, "awful": 2.0}}}}' for row in rows]

    def told(stage: str, answers: list[str], **card) -> str:
        Path("tasks/tiny/answers.jsonl").write_text("\n".join(answers) + "\n")
        write_pair(predictions=ANSWERS | card)
        with monkeypatch.context() as patched, pytest.raises(UserError) as error:
            patched.setattr(prepare, stage, lambda *arguments: pytest.fail(f"{stage} was called"))
            prepare.main()
        return str(error.value)

    assert told("read_splits", lines, kind="odds").startswith("pairs/tiny.yaml: teacher.predictions.kind: input should")
    assert told("assign_roles", [*lines, '{"id": "x", "said": {"fine": 1.0}}']).endswith("give every class one")
    assert "2 of 24 rows of test have no answer, the first is test-22" in told("write_transfer", lines[:-2])
    assert "none of 20 rows of transfer is there by its id" in told("plant_noise", lines)


def test_several_teachers_are_their_weighted_mean_and_are_trained_each_at_its_rate(home):
    one = tiny_project.PAIR["teacher"]
    write_pair(mean=[one | {"weight": 3.0}, one | {"learning_rate": 2e-3}])
    write_params(arms=["control"])
    run("control")
    require_what_dvc_plots()
    folders = [cell(1, "teacher", "members", name) for name in ("1", "2")]
    weights = [3.0, 1.0]
    for teacher, roles in (
        (cell(1, "teacher"), ("train", "transfer")),
        (cell(1, "control", "teacher"), ("train", "transfer")),
    ):
        members = [Network(teacher / "members" / name).predict(roles, 16) for name in ("1", "2")]
        assert not np.allclose(members[0], members[1], atol=1e-3)
        found = read_matrix(teacher / "targets.parquet", "logits")
        np.testing.assert_allclose(found, mean_logits(members, weights), atol=1e-4)
    assert read_json(INIT / "teacher/weights.json") == weights
    said = mean_logits([Network(folder).predict("test", 16) for folder in folders], weights)
    found = np.stack(pd.read_parquet(evaluation(1, "warmup") / "teacher.parquet")["logits"])
    np.testing.assert_allclose(found, said, atol=1e-4)
    costs = read_json(cell(1, "control", "teacher") / "cost.json")
    rows = len(read_roles(("train", "transfer")))
    assert {name: cost["backward"] for name, cost in costs.items()} == {"teacher_1": rows, "teacher_2": rows}
    write_params(arms=["online"])
    with pytest.raises(
        UserError, match="the arm 'online' trains one network beside the student, and these are several"
    ):
        prepare.main()
    write_pair(mean=[one])
    with pytest.raises(UserError, match=r"teacher.mean: list should have at least 2 items"):
        prepare.main()


def test_a_warm_up_that_is_none_cannot_be_repeated(home):
    for arm in ("pooled", "crossfit", "bagged", "early"):
        write_params(arms=[arm], teacher_warmup__epochs=0)
        write_pair(classifier="checkpoints/none", learning_rate=1e-3)
        with pytest.raises(UserError, match=f"teacher_warmup.epochs: 0, but the arm '{arm}' warms teachers up"):
            prepare.main()
