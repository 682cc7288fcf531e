"""params.yaml and the cards, and what a user sees when they are wrong."""

from pathlib import Path

import pytest
import yaml

from lgtm.config import parse, read_yaml
from lgtm.errors import UserError
from lgtm.networks.pairs import PairCard, load_pair
from lgtm.params import ScoredLoss, load_params

ROOT = Path(__file__).parents[1]


@pytest.fixture
def edited(tmp_path):
    """Write params.yaml with some values changed ("a.b": value), or dropped (None stands for it)."""

    def edit(**changes) -> Path:
        params = read_yaml(ROOT / "params.yaml")
        for key, value in changes.items():
            *parents, last = key.split(".")
            section = params
            for parent in parents:
                section = section[parent]
            if value is None:
                del section[last]
            else:
                section[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(params))
        return path

    return edit


def test_the_shipped_params_and_pairs_are_valid():
    params = load_params(ROOT / "params.yaml")
    assert params.teacher_tailored.tailored.lambda_ > 0
    for card in (ROOT / "pairs").glob("*.yaml"):
        assert load_pair(card.stem, ROOT / "pairs").description


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distill.temprature": 2.0}, "distill.temprature: unknown key"),
        ({"distill.temperature": None}, "distill.temperature: missing"),
        ({"distill.temperature": "hot"}, "distill.temperature: input should be a valid number (found 'hot')"),
        (
            {"distill.temperature": -1.0},
            "distill.temperature: input should be greater than or equal to 0.01 (found -1.0)",
        ),
        ({"influence.scope": "heads"}, "influence.scope: should be head, encoder, all, or a list of layer numbers"),
        ({"influence.scope": [0, -1]}, "influence.scope: should be head, encoder, all, or a list of layer numbers"),
        ({"influence.feedback_loss": "hinge"}, "influence.feedback_loss: input should be 'cross_entropy'"),
        (
            {"influence.temperature": "distil"},
            "influence.temperature: should be a number, or distill, the word: as",
        ),
        (
            {"influence.temperature": 0.0},
            "influence.temperature: input should be greater than or equal to 0.01 (found 0.0)",
        ),
        ({"influence.hard_label_weight": 1.5}, "influence.hard_label_weight: input should be less than or equal to 1"),
        ({"influence.hard_label_weight": True}, "influence.hard_label_weight: input should be a valid number"),
        ({"distill.temperature": "distill"}, "distill.temperature: input should be a valid number (found 'distill')"),
        ({"validation.subsets": 5}, "validation.subsets: should be 0, which turns it off, or at least 10 (found 5)"),
        ({"validation.removals": [0.3, 0.3]}, "validation.removals: each item may stand in the list once"),
        ({"validation.removals": [1.0]}, "validation.removals.0: input should be less than or equal to 0.9"),
        ({"validation.retrain.keep": "best"}, "validation.retrain.keep: unknown key"),
        ({"seeds": []}, "seeds: list should have at least 1 item"),
        ({"seeds": [1, 1]}, "seeds: each item may stand in the list once"),
        ({"seeds": [1.5]}, "seeds.0: input should be a valid integer"),
        ({"prepare.feedback": 0.0}, "prepare.feedback: 0 leaves no feedback rows; set influence.folds "),
        ({"arms": ["kd", "tailord"]}, "arms: unknown arm 'tailord'; known are bagged, ce, "),
        ({"tokens_at_once": 0}, "tokens_at_once: input should be greater than or equal to 1"),
        ({"tokens_at_once": 512, "arms": ["kd", "dml"]}, "tokens_at_once: the teacher of 'dml' looks at whole batches"),
        ({"rounds.arms": ["kd", "kd"]}, "rounds.arms: each item may stand in the list once"),
        ({"rounds.arms": ["dml"]}, "rounds.arms: 'dml' is not in arms"),
        ({"arms": ["dml"], "rounds.arms": ["dml"]}, "rounds.arms: 'dml' scores its student at every step"),
        ({"distill.epochs": 0}, "distill.epochs: input should be greater than or equal to 0.001 (found 0)"),
        ({"teacher_warmup.epochs": -1}, "teacher_warmup.epochs: input should be greater than or equal to 0"),
        ({"teacher_warmup.min_steps": -1}, "teacher_warmup.min_steps: input should be greater than or equal to 0"),
        ({"student_warmup.min_steps": None}, "student_warmup.min_steps: missing"),
        (
            {"student_warmup.epochs": 0, "influence.preconditioner": "adamw"},
            "influence.preconditioner: adamw needs second moments, and student_warmup.epochs 0 has none",
        ),
        (
            {"student_warmup.epochs": 0, "student_warmup.earlier_checkpoints": 1},
            "student_warmup.earlier_checkpoints: there are none before",
        ),
        ({"prepare.feedback": 0.7}, "leave 0.1 of the rows to train"),
        ({"teacher_tailored.filtered.keep": 1}, "filtered.keep: should be a share such as 0.5, 1.0 for all rows, or a"),
        ({"teacher_tailored.random_rows.keep": 1.5}, "random_rows.keep: should be a share such as 0.5, 1.0 for all "),
        ({"teacher_tailored.tailored.lambda": None}, "teacher_tailored.tailored.lambda: missing"),
        ({"teacher_warmup.batch_size": True}, "teacher_warmup.batch_size: input should be a valid integer"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(edited, change, message):
    path = edited(**change)
    with pytest.raises(UserError) as error:
        load_params(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "temperature", "hard_label_weight"),
    [
        ({}, 4.0, 0.3),
        ({"influence.temperature": 1}, 1.0, 0.3),
        ({"influence.hard_label_weight": 0.0}, 4.0, 0.0),
    ],
)
def test_the_scored_loss_is_that_of_distill_but_for_what_is_named(edited, changes, temperature, hard_label_weight):
    params = load_params(edited(**{"distill.temperature": 4.0, "distill.hard_label_weight": 0.3} | changes))
    assert params.scored_loss == ScoredLoss(temperature, hard_label_weight)


def test_numbers_are_read_as_dvc_writes_them(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("rate: 1e-05\nword: no\n")
    assert read_yaml(path) == {"rate": 1e-05, "word": "no"}


def test_not_yaml_and_not_a_mapping(tmp_path):
    path = tmp_path / "params.yaml"
    for text, message in (("a: [1", "not valid YAML"), ("- 1", "expected a mapping"), ("", "expected a mapping")):
        path.write_text(text)
        with pytest.raises(UserError, match=message) as error:
            read_yaml(path)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        read_yaml(tmp_path / "other.yaml")


NETWORK = {"config": {"model_type": "bert"}, "learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"learning_rate": 1e-3}, "teacher: give one of checkpoint, classifier, config, mean and predictions"),
        (NETWORK | {"checkpoint": "checkpoints/x"}, "teacher: give one of checkpoint, classifier, config, mean and "),
        (NETWORK | {"layers": [0]}, "layers go with a checkpoint"),
        ({"checkpoint": "bert-base-uncased", "learning_rate": 1e-3}, "needs the revision"),
        ({"checkpoint": "a/b", "revision": "main", "learning_rate": 1e-3}, "needs the revision .* 40 digits"),
        ({"checkpoint": "checkpoints/x", "layers": [0, 0], "learning_rate": 1e-3}, "each layer may be kept once"),
        ({"checkpoint": "checkpoints/x", "revision": "abc", "learning_rate": 1e-3}, "no revision"),
        (
            NETWORK | {"learning_rate": 0.0},
            "teacher.learning_rate: input should be greater than or equal to 0.000000001",
        ),
        (NETWORK | {"config": {}}, "config needs a model_type"),
    ],
)
def test_a_wrong_pair_card_is_one_line(teacher, message):
    card = {"description": "a pair", "tokenizer": {"vocab_size": 200}, "teacher": teacher, "student": NETWORK}
    with pytest.raises(UserError, match=message) as error:
        parse(PairCard, card, "pairs/mine.yaml")
    assert "\n" not in str(error.value)


def test_an_unknown_pair_names_those_there_are(tmp_path):
    (tmp_path / "one.yaml").write_text("")
    with pytest.raises(UserError, match=r"no card .*two\.yaml; there are one"):
        load_pair("two", tmp_path)
