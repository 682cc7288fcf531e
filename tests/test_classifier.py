"""A user's fine-tuned classifier as a network of a pair: it says of the task's classes what it said before."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import tiny_project
import torch
import yaml
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from test_architectures import SUPPORTED
from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

from lgtm.config import parse
from lgtm.errors import UserError
from lgtm.networks.heads import order_of_classes, put_in_order
from lgtm.networks.models import classifier, load_tokenizer, starting_network
from lgtm.networks.pairs import Network, PairCard
from stages.artifacts import INIT, cell, read_matrix, read_role

FIELD = "pairs/x.yaml: teacher"
CLASSES = ["low", "middle", "high", "Ångström"]
SHUFFLED = ["middle", "high", "Ångström", "low"]  # a cycle: its inverse is another order


def save(folder, kind="bert", labels=SHUFFLED, **fields):
    """A tiny fine-tuned classifier as transformers writes it."""
    torch.manual_seed(0)
    sizes = SUPPORTED[kind] | fields
    config = AutoConfig.for_model(
        kind, **sizes, vocab_size=100, pad_token_id=0, num_labels=len(labels), id2label=dict(enumerate(labels))
    )
    model = AutoModelForSequenceClassification.from_config(config)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokenizer = tiny.tokenizer()
    if kind == "mpnet":
        tokenizer.pad_token = "[UNK]"
    tokenizer.save_pretrained(folder)
    return folder


def start(folder, classes=CLASSES, **fields):
    # A test's checkpoint lies in a temporary folder, which the card's own rule would refuse.
    network = Network.model_construct(classifier=str(folder), learning_rate=1e-3, **fields)
    return starting_network(network, None, classes, 16, FIELD)


def write_start(folder, out, **fields):
    for part in start(folder, **fields):
        part.save_pretrained(out)
    return out


# FNet, MobileBERT, ConvBERT, Nyströmformer: plain transformers pads as it likes, so one text at a time.
@pytest.mark.parametrize("kind", sorted(SUPPORTED))
def test_logits_are_those_of_the_classifier_in_the_task_s_order(kind, tmp_path):
    folder = save(tmp_path / "classifier", kind)
    out = write_start(folder, tmp_path / "start")
    before, after = AutoModelForSequenceClassification.from_pretrained(folder).eval(), classifier(out, CLASSES).eval()
    tokens = {"input_ids": torch.tensor([[2, 9, 8, 7, 12, 11, 30, 3]]), "attention_mask": torch.ones(1, 8).long()}
    if kind == "fnet":
        del tokens["attention_mask"]
    with torch.no_grad():
        said, says = (
            dict(zip(names, model(**tokens).logits[0], strict=True))
            for names, model in ((SHUFFLED, before), (CLASSES, after))
        )
    assert len({round(value.item(), 3) for value in said.values()}) == len(CLASSES)
    for name in CLASSES:
        torch.testing.assert_close(says[name], said[name], atol=1e-5, rtol=1e-5)
    assert json.loads((out / "config.json").read_text())["id2label"] == {str(i): c for i, c in enumerate(CLASSES)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A task of three classes whose teacher is a fine-tuned classifier with its classes in another order."""
    tiny_project.write_cards(tmp_path)
    monkeypatch.chdir(tmp_path)
    save(Path("checkpoints/mine"), labels=["HIGH", " low", "middle"])
    words = {"low": "bad", "middle": "day", "high": "good"}
    rows = [(f"{words[label]} {text}", label) for label in words for text in tiny_project.texts(40, 0, 6)]
    pd.DataFrame(rows, columns=["text", "label"]).drop_duplicates("text").to_csv("tasks/tiny/train.csv", index=False)
    task = tiny_project.TASK | {
        "files": {"train": "train.csv"},
        "labels": ["low", "middle", "high"],
        "label_noise": 0.0,
    }
    Path("tasks/tiny/task.yaml").write_text(yaml.safe_dump({k: v for k, v in task.items() if k != "leaderboard"}))
    write_settings()
    yield tmp_path
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)


def write_settings(teacher=None, **changes):
    params = tiny_project.settings()
    tiny_project.edit(params, {"teacher_warmup.epochs": 0, "arms": ["kd"]} | changes)
    Path("params.yaml").write_text(yaml.safe_dump(params))
    teacher = teacher or {"classifier": "checkpoints/mine", "learning_rate": 1e-3}
    Path("pairs/tiny.yaml").write_text(yaml.safe_dump(tiny_project.PAIR | {"teacher": teacher}))


def test_a_teacher_that_is_not_trained_says_what_transformers_own_pipeline_says(home):
    from stages import prepare, teacher_warmup

    prepare.main()
    teacher_warmup.main(1)
    own = pipeline("text-classification", model="checkpoints/mine", top_k=None, function_to_apply="none")
    train = read_role("train")
    expected = [{each["label"].strip().lower(): each["score"] for each in own([text])[0]} for text in train["text"]]
    found = read_matrix(cell(1, "teacher") / "targets.parquet", "logits")
    wanted = np.array([[row[name] for name in ("low", "middle", "high")] for row in expected])
    assert np.abs(found - wanted).max() < 1e-5
    assert np.abs(found - wanted[:, [2, 0, 1]]).max() > 0.1
    given, kept = (load_file(folder / "model.safetensors") for folder in (INIT / "teacher", cell(1, "teacher")))
    assert all(torch.equal(value, kept[name]) for name, value in given.items())


def test_a_student_that_is_not_trained_has_moments_of_zero(home):
    from stages import prepare, student_warmup

    classifier_card = {"classifier": "checkpoints/mine", "layers": [2], "learning_rate": 1e-3}
    write_settings(**{"student_warmup.epochs": 0})
    card = {"description": "two classifiers", "teacher": classifier_card, "student": classifier_card}
    Path("pairs/tiny.yaml").write_text(yaml.safe_dump(card))
    prepare.main()
    student_warmup.main(1)
    given, kept = (load_file(folder / "model.safetensors") for folder in (INIT / "student", cell(1, "student")))
    assert all(torch.equal(value, kept[name]) for name, value in given.items())
    moments = load_file(cell(1, "student") / "second_moments.safetensors")
    assert moments.keys() == dict(classifier(cell(1, "student"), ["low", "middle", "high"]).named_parameters()).keys()
    assert not any(value.any() for value in moments.values())


@pytest.mark.parametrize("stage", ["prepare", "teacher_warmup"])
def test_without_a_warm_up_only_a_classifier_is_of_use(home, stage):
    import importlib

    write_settings({"checkpoint": "checkpoints/mine", "learning_rate": 1e-3})
    with pytest.raises(
        UserError, match=r"^params.yaml: teacher_warmup.epochs: 0 passes the pair's teacher on .* checkpo"
    ):
        importlib.import_module(f"stages.{stage}").main(*([] if stage == "prepare" else [1]))


def order(labels, classes, names=None, **config):
    shown = AutoConfig.for_model("bert", num_labels=len(labels), id2label=dict(enumerate(labels)), **config)
    return order_of_classes(shown, classes, names, FIELD)


def test_labels_are_matched_by_name():
    assert order(["b", "c", "a"], ["a", "b", "c"]) == [2, 0, 1]
    assert order(["No", " yes "], ["YES", "no"]) == [1, 0]
    assert order(["A\u030angstro\u0308m", "x"], ["x", "Ångström"]) == [1, 0]
    assert order(["a", "A"], ["A", "a"]) == [1, 0]  # exact, where both spellings are there
    assert order(["LABEL_0", "LABEL_1", "c"], ["a", "c", "b"], {"LABEL_1": "a", "LABEL_0": "b"}) == [1, 2, 0]


@pytest.mark.parametrize(
    ("labels", "classes", "names", "message"),
    [
        (["LABEL_0", "LABEL_1"], ["no", "yes"], None,
         r"labels \(LABEL_0, LABEL_1\) are not the task's classes \(no, yes\); say .* labels: {<its label>"),
        (["a", "b", "c"], ["a", "b"], None, r"has 3 classes \(a, b, c\), the task 2 \(a, b\)"),
        (["a", "A"], ["a", "b"], None, r"labels \(a, A\) are not the task's classes"),
        (["a", "b"], ["A", "ａ"], None, "are not the task's classes"),
        (["x", "A"], ["a", "A"], {"x": "A"}, "are not the task's classes"),
        (["x", "y"], ["a", "b"], {"z": "a"}, "labels: 'z' is no label of the classifier; it has x, y"),
        (["x", "y"], ["a", "b"], {"x": "c"}, "labels: 'c' is no class of the task; it has a, b"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_matched_are_one_line(labels, classes, names, message):
    with pytest.raises(UserError, match=f"^{FIELD}.*{message}") as error:
        order(labels, classes, names)
    assert "\n" not in str(error.value)


def test_a_classifier_of_several_classes_at_once_is_refused():
    with pytest.raises(UserError, match="says any number of classes of a text"):
        order(["a", "b"], ["a", "b"], problem_type="multi_label_classification")


def test_a_layer_as_wide_as_there_are_classes_is_not_taken_for_the_output(tmp_path):
    model = tiny.model("roberta", num_labels=16)  # as wide as its hidden layer
    before = model(torch.tensor([[5, 6, 7]]), attention_mask=torch.ones(1, 3)).logits
    wanted = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    put_in_order(model, wanted.tolist(), FIELD)
    after = model(torch.tensor([[5, 6, 7]]), attention_mask=torch.ones(1, 3)).logits
    torch.testing.assert_close(after, before[:, wanted])


def test_an_output_layer_that_is_not_found_is_one_line():
    model = tiny.model("bert", num_labels=3)
    output = model.classifier
    model.classifier = torch.nn.Sequential(torch.nn.Linear(16, 4), torch.nn.Flatten(1), torch.nn.LazyLinear(4))
    model.classifier = type("Other", (torch.nn.Module,), {"forward": lambda self, state: output(state)})()
    with pytest.raises(UserError, match=f"^{FIELD}: found no output layer in a bert classifier"):
        put_in_order(model, [1, 2, 0], FIELD)


def test_layers_of_a_classifier_keep_its_head(tmp_path):
    folder = save(tmp_path / "classifier")
    found = classifier(write_start(folder, tmp_path / "start", layers=[0, 2]), CLASSES)
    given = load_file(folder / "model.safetensors")
    assert found.config.num_hidden_layers == 2
    rows = [SHUFFLED.index(name) for name in CLASSES]
    torch.testing.assert_close(found.classifier.weight, given["classifier.weight"][rows])
    name = "bert.encoder.layer.{}.output.dense.weight"
    torch.testing.assert_close(found.get_parameter(name.format(1)), given[name.format(2)])


def test_a_classifier_without_its_head_is_refused(tmp_path):
    folder = save(tmp_path / "classifier")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if "classifier" not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        UserError, match=rf"^{FIELD}.classifier: {folder}: 2 of 57 weights are missing .*classifier.bias"
    ):
        start(folder)


def test_its_tokenizer_comes_along(tmp_path):
    out = write_start(save(tmp_path / "classifier"), tmp_path / "start")
    assert load_tokenizer(out)("good day").input_ids == tiny.tokenizer()("good day").input_ids


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"classifier": "a/b"}, "a hub classifier needs the revision"),
        ({"classifier": "checkpoints/x", "revision": "0" * 40}, "a local classifier has no revision"),
        ({"classifier": "checkpoints/x", "checkpoint": "checkpoints/x"}, "give one of checkpoint, "),
        ({"checkpoint": "checkpoints/x", "labels": {"a": "b"}}, "labels go with a classifier"),
        ({"checkpoint": "checkpoints/x", "freeze": "all"}, "teacher.freeze: input should be 'embeddings'"),
        ({"config": {"model_type": "bert"}, "freeze": "embeddings"}, "freeze goes with a checkpoint or a classifier"),
        ({"checkpoint": "checkpoints/x", "pooling": "max"}, "teacher.pooling: input should be 'cls' or 'mean'"),
    ],
)
def test_a_wrong_card_is_one_line(teacher, message):
    student = {"checkpoint": "checkpoints/x", "learning_rate": 1e-3}
    card = {"description": "a pair", "teacher": teacher | {"learning_rate": 1e-3}, "student": student}
    with pytest.raises(UserError, match=message) as error:
        parse(PairCard, card, "pairs/mine.yaml")
    assert "\n" not in str(error.value)


def test_numbers_may_be_classes_and_labels():
    card = {"classifier": "checkpoints/x", "labels": {"LABEL_0": 1, 1: "0"}, "learning_rate": 1e-3}
    assert Network(**card).labels == {"LABEL_0": "1", "1": "0"}
