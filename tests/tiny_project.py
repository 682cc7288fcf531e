"""A tiny task, its pair and its settings, for tests that run stages."""

from pathlib import Path

import tiny
import yaml

from lgtm.config import read_yaml

ROOT = Path(__file__).parents[1]
NETWORK = {"model_type": "bert", "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 32}
PAIR = {
    "description": "two tiny BERTs",
    "tokenizer": {"vocab_size": 100},
    "teacher": {"config": NETWORK | {"hidden_size": 32, "intermediate_size": 64}, "learning_rate": 1e-3},
    "student": {"config": NETWORK | {"hidden_size": 16, "intermediate_size": 32}, "learning_rate": 1e-3},
}
TASK = {
    "description": "good or bad",
    "source": "local",
    "files": {"train": "train.csv", "test": "test.csv", "transfer": "new.csv"},
    "leaderboard": {"files": {"TINY.tsv": "hidden.csv"}, "write": "names"},
    "columns": {"text": "text", "text_pair": None, "label": "label"},
    "metrics": ["accuracy"],
    "max_length": 16,
    "label_noise": 0.1,
}


def texts(rows: int, first: int, last: int) -> list[str]:
    """Sentences that begin with a number: from other numbers, other sentences."""
    return [f"{first + i % (last - first + 1)} {text}" for i, text in enumerate(tiny.table(rows)["text"])]


def csv(texts: list[str], separator: str = ",") -> str:
    """A file of labelled sentences."""
    rows = [separator.join([text, "fine" if "good" in text else "awful"]) for text in texts]
    return "\n".join([separator.join(["text", "label"]), *rows]) + "\n"


def write_cards(root: Path) -> None:
    """Write the cards and the task's files."""
    folder = root / "tasks/tiny"
    folder.mkdir(parents=True)
    (folder / "task.yaml").write_text(yaml.safe_dump(TASK))
    (folder / "train.csv").write_text(csv(texts(120, 0, 6)))
    (folder / "test.csv").write_text(csv(texts(24, 7, 8)))
    (folder / "new.csv").write_text("\n".join(["text", *texts(40, 10, 29)]) + "\n")
    (folder / "hidden.csv").write_text("\n".join(["text", *texts(10, 0, 9)]) + "\n")
    (root / "pairs").mkdir(exist_ok=True)
    (root / "pairs/tiny.yaml").write_text(yaml.safe_dump(PAIR))


def edit(params: dict, changes: dict) -> None:
    """Change settings in place; keys as in `dvc exp run -S`."""
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value


def settings(**changes) -> dict:
    """The content of params.yaml with the tiny task and short trainings."""
    params = read_yaml(ROOT / "params.yaml")
    edit(params, {"task": "tiny", "pair": "tiny", "evaluate.leaderboard": True})
    # Not the default's: those are the demo's, and change with it.
    edit(params, {"prepare.selection": 0.2, "prepare.feedback": 0.1})
    for section in ("teacher_warmup", "student_warmup", "distill", "teacher_tailored.retrain"):
        edit(params, {f"{section}.epochs": 1, f"{section}.evaluations": 1, f"{section}.batch_size": 16})
    edit(params, {"validation.subsets": 10, "validation.removals": [0.3], "validation.repeats": 1})
    return params | changes
