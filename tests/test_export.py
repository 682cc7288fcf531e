"""`lgtm export`: what is in the folder is the student, in every form, and the card says of it what is known."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import shipped
import tiny
import torch
import workspace
import yaml
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from lgtm.cli.export import export
from lgtm.errors import UserError
from lgtm.networks.models import classes, classifier, suited
from lgtm.networks.pooling import heed_pooling
from lgtm.shipping import onnx
from lgtm.shipping.forms import Comparison, require_parity
from lgtm.shipping.student import Student
from stages.artifacts import read_role, role_path, save_model
from stages.network import Network

KD = Path("work/runs/2/kd/student")
USUAL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2}
POSITIONS = {"max_position_embeddings": 34}  # of which RoBERTa uses 33
KINDS = {
    "bert": (USUAL | POSITIONS, "mean"),
    "distilbert": ({"dim": 16, "n_heads": 2, "hidden_dim": 32, "n_layers": 2, **POSITIONS}, None),
    "roberta": (USUAL | POSITIONS, None),
    "modernbert": (USUAL | POSITIONS | {"global_attn_every_n_layers": 2, "local_attention": 4}, "mean"),
}
needs_onnx = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, onnx.NEEDED)), reason="the extra onnx is not installed"
)


@pytest.fixture
def project(recommending, tmp_path, monkeypatch) -> Path:
    """Without the test's rows: nothing here may read them."""
    shutil.copytree(recommending, tmp_path / "project")
    (tmp_path / "project/dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path / "project")
    role_path("test").unlink()
    return Path.cwd()


def write_student(folder: Path, kind: str, fields: dict, pooling: str | None) -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **fields, vocab_size=100, pad_token_id=0, **classes(tiny.LABELS))
    config.pooling = pooling
    model = AutoModelForSequenceClassification.from_config(config)
    heed_pooling(model)
    for parameter in model.parameters():  # far from the start, where all logits are nearly the same
        parameter.data += 0.2 * torch.randn_like(parameter)
    save_model(folder, model, suited(tiny.tokenizer(), config))


@needs_onnx
@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_what_the_network_says(kind, tmp_path):
    """Texts of one to sixteen tokens and cut ones, in ragged batches of any size, against one by one in PyTorch."""
    fields, pooling = KINDS[kind]
    write_student(tmp_path / "student", kind, fields, pooling)
    student, path = Student(tmp_path / "student", 16), tmp_path / "model.onnx"
    frame = tiny.table(20)
    frame["text"] = [" ".join([text, *["night sun"] * (i // 2)]) for i, text in enumerate(frame["text"])]
    onnx.write_onnx(student, frame.drop(columns="label"), path)
    session = onnx.Session(path)
    assert {tuple(each.shape) for each in session.session.get_inputs()} == {("batch", "length")}

    model = classifier(tmp_path / "student", tiny.LABELS, "eager").eval()
    rows = [student.tokenizer(text, truncation=True, max_length=16, return_tensors="pt") for text in frame["text"]]
    with torch.no_grad():
        wanted = np.concatenate([model(**row).logits.numpy() for row in rows])
    assert wanted.std(0).min() > 100 * 1e-4
    for size in (1, 3, 20):
        found = []
        for first in range(0, 20, size):
            texts = frame["text"].iloc[first : first + size].tolist()
            found.append(session(dict(student.tokenizer(texts, padding=True, truncation=True, max_length=16,
                                                        return_tensors="pt"))))  # fmt: skip
        np.testing.assert_allclose(np.concatenate(found), wanted, rtol=0, atol=1e-4)

    compared = Comparison(student, frame[["text"]], frame["label"].to_numpy(), ["accuracy"])
    require_parity(compared.difference(kind, session)[0], kind)
    if kind == "bert":
        # Without its pooling it is another network, and the comparison sees it.
        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "student").eval()
        difference, _ = compared.difference(kind, lambda inputs: plain(**inputs).logits.detach().numpy())
        assert difference > 1e-2
        # Of 8 bits: another file, nearly the same answers, and its own accuracy.
        onnx.write_int8(path, tmp_path / "model.int8.onnx")
        difference, values = compared.difference(kind, onnx.Session(tmp_path / "model.int8.onnx"))
        assert 1e-5 < difference < 0.5
        assert values["agreement"] > 0.8
        assert {"accuracy", "nll", "ece"} <= values.keys()


def test_the_folder_is_the_student_for_anyone(project, capsys):
    wanted = Network(KD).predict("selection", 5)
    export(Path("out"))
    model, tokenizer = (kind.from_pretrained("out") for kind in (AutoModelForSequenceClassification, AutoTokenizer))
    selection = read_role("selection")
    with torch.no_grad():
        said = model(**tokenizer(selection["text"].tolist(), padding=True, truncation=True, return_tensors="pt")).logits
    np.testing.assert_allclose(said.numpy(), wanted, atol=1e-5)
    assert model.config.id2label == dict(enumerate(workspace.LABELS))
    assert len(tokenizer("sun " * 100, truncation=True)["input_ids"]) == 16  # the task's max_length
    assert not list(Path("out").glob("*.onnx"))
    found = capsys.readouterr()
    right = 100 * (wanted.argmax(1) == selection["label"]).mean()
    assert f"PyTorch: 0.0 MB, accuracy {right:.2f} on selection, largest difference in logits 0.0e+00" in found.out
    assert found.err == "student: work/ship/student\n"
    with pytest.raises(UserError, match="out: is there already; name a folder that is not, or remove it"):
        export(Path("out"))


def test_the_card_says_where_the_student_comes_from_and_how_it_does(project):
    export(Path("out"))
    card = Path("out/README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["model-index"][0]["results"][0]["metrics"] == [{"type": "accuracy", "value": 0.92}]
    assert "| accuracy | 91.0 [87.3, 94.4] | 92.0 | 91.0 [87.3, 94.4] | 91.0 [87.3, 94.4] | 50.0 |" in card
    assert "This file is seed 2, the best of 3 on selection (accuracy there 90.00" in card
    assert "arm kd, seed 2" in card
    counts = read_role("train")["label"].value_counts()
    assert f"| train | 40 | {counts[0]} | {counts[1]} |" in card
    assert "10 % of the labels it learnt from were flipped on purpose, those of selection too." in card
    assert "2 of 26 test rows are nearly the same as a row of another role." in card
    assert "Unknown: no stage in dvc.lock wrote this folder" in card
    # Figures of other settings, or none, are no results.
    workspace.settings(seeds=[1, 2], arms=["kd"])
    export(Path("other"), model=KD)
    assert "None: this folder is not among the students" in Path("other/README.md").read_text()


def test_a_students_lineage_is_dvcs(project, monkeypatch):
    lock = {"stages": {"distill@2-kd": {"cmd": "x", "deps": [{"path": "work/data/train.parquet", "md5": "aa"}],
            "outs": [{"path": str(KD), "md5": "bb.dir"}]}}}  # fmt: skip
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    asked = []
    verified = type("Verified", (), {"problems": ["src/x.py: has other bytes than dvc.lock says"]})
    monkeypatch.setattr("lgtm.runner.integrity.verify", lambda paths: asked.extend(paths) or verified)
    export(Path("out"))
    card = Path("out/README.md").read_text()
    assert asked == [str(KD), "work/ship"]
    assert "`distill@2-kd` of dvc.lock" in card
    assert "| work/data/train.parquet | aa |" in card
    assert f"| {KD} | bb.dir |" in card
    assert "- src/x.py: has other bytes than dvc.lock says" in card


def test_a_hostile_name_is_text_on_the_card(project):
    card = Path("tasks/tiny/task.yaml")
    card.write_text(
        yaml.safe_dump(yaml.safe_load(card.read_text()) | {"description": "---\n# <b>x</b> [l](javascript:x)|"})
    )
    shipped.write_reports("kd")
    export(Path("out"))
    text = Path("out/README.md").read_text()
    assert set(yaml.safe_load(text.split("---")[1])) == {"library_name", "pipeline_tag", "tags", "model-index"}
    assert "<b>" not in text and "](javascript" not in text.replace("\\](", "")
    assert text.count("\n# ") == 1


def test_pooling_that_transformers_does_not_know_is_told(project):
    config = Path(KD, "config.json")
    config.write_text(config.read_text().replace('"pad_token_id"', '"pooling": "mean", "pad_token_id"', 1))
    export(Path("out"), model=KD)
    card = Path("out/README.md").read_text()
    assert "**Not with transformers alone:**" in card
    assert "pipeline(" not in card


def fake(monkeypatch, error: float) -> None:
    """Graphs that are the network itself, but for an error in one logit."""

    def session(path):
        model = classifier(KD, workspace.LABELS).eval()

        def say(inputs):
            logits = model(**inputs).logits.detach().numpy()
            logits[0, 0] += error
            return logits

        return say

    monkeypatch.setattr(onnx, "require_onnx", lambda: None)
    monkeypatch.setattr(onnx, "write_onnx", lambda student, frame, path: path.write_bytes(b"graph" * 10**5))
    monkeypatch.setattr(onnx, "Session", session)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (2e-4, r"ONNX: its logits differ from PyTorch's by up to 2\.0e-04 on the task's texts, more than 0\.0001"),
        (float("nan"), "ONNX: its logits are not finite on the task's texts"),
    ],
)
def test_a_form_that_says_something_else_is_not_written(project, monkeypatch, error, line):
    fake(monkeypatch, error)
    before = set(project.rglob("*"))
    with pytest.raises(UserError, match=f"^{line}; nothing was written$"):
        export(Path("out"), onnx=True)
    assert set(project.rglob("*")) == before


def test_a_form_that_says_the_same_is_on_the_card(project, monkeypatch, capsys):
    fake(monkeypatch, 5e-5)
    export(Path("out"), onnx=True)
    assert Path("out/model.onnx").is_file()
    assert "ONNX: 0.5 MB, accuracy" in capsys.readouterr().out
    (row,) = (line for line in Path("out/README.md").read_text().splitlines() if line.startswith("| ONNX |"))
    assert "| 0.5 |" in row and "| 5.0e-05 |" in row


def test_what_cannot_be_exported_is_one_line(project, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"ONNX needs onnx, .*; pip install -e '\.\[onnx\]'"):
            export(Path("out"), int8=True)
    foreign = Path(shutil.copytree(KD, "foreign"))
    shipped.name_classes(foreign, ["fine", "awful"])
    with pytest.raises(UserError, match="foreign: its classes are fine, awful, the task's awful, fine; export it in"):
        export(Path("out"), model=foreign)
    with pytest.raises(UserError, match=r"encoder/config\.json: its architectures are \['BertModel'\]; expected one"):
        tiny.encoder("bert").save_pretrained("encoder")
        export(Path("out"), model=Path("encoder"))
    shutil.rmtree("work/ship")
    with pytest.raises(UserError, match=r"work/ship/choice\.json: not there"):
        export(Path("out"))
    assert not Path("out").exists()
