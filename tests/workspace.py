"""A workspace in which any stage can be called alone: random networks, targets and scores, nothing trained.

Rows differ in length and in everything that is known of them, so that what is attached to a wrong row shows. The
networks have no dropout: the first loss that a stage logs is then a formula.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import tiny
import tiny_project
import torch
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from stages.artifacts import (
    INIT,
    LEADERBOARD,
    TAUGHT,
    cell,
    read_curve,
    read_roles,
    role_path,
    save_model,
    write_cost,
    write_json,
    write_table,
)

ROWS = {"train": 40, "transfer": 18, "selection": 12, "feedback": 15, "test": 26}
TAUGHT_ROWS = ROWS["train"] + ROWS["transfer"]
WORDS = ["good", "bad", "day", "night", "sun"]
LABELS = ["awful", "fine"]
RATE = 1e-3  # of both networks of tiny_project.PAIR
SECTIONS = ("teacher_warmup", "student_warmup", "distill", "teacher_tailored.retrain")
ALL_ROWS = 64  # a batch that holds any role


def settings(**changes) -> None:
    """Write params.yaml: trainings of one step over all rows, but for the changes; `__` stands for a dot."""
    params = tiny_project.settings(seeds=[1], arms=["kd", "tailored"])
    for section in SECTIONS:
        tiny_project.edit(params, {f"{section}.batch_size": ALL_ROWS, f"{section}.warmup_ratio": 0.0})
    tiny_project.edit(params, {name.replace("__", "."): value for name, value in changes.items()})
    Path("params.yaml").write_text(yaml.safe_dump(params))


def write() -> None:
    """Write the workspace of seed 1 into the working directory: data, starting networks, warm ones, scores of train."""
    tiny_project.write_cards(Path.cwd())
    settings()
    random = np.random.default_rng(0)
    for role, rows in ROWS.items():
        frame = table(role, rows, random)
        role_path(role).parent.mkdir(parents=True, exist_ok=True)
        if role == "test":
            frame["part"] = ["test"] * (rows // 2) + ["other"] * (rows // 2)
        if role == "transfer":
            frame = frame.drop(columns=["label", "true_label", "group"])
        frame.to_parquet(role_path(role), index=False)
    task = {"labels": LABELS, "metrics": ["accuracy"], "max_length": 16, "majority": 0}
    write_json(role_path("train").parent / "task.json", task)
    hidden = table("hidden", 20, random)[["text"]].assign(file=["A.tsv"] * 12 + ["B.tsv"] * 8)
    LEADERBOARD.mkdir()
    hidden.assign(index=[*range(12), *range(8)]).to_parquet(LEADERBOARD / "texts.parquet", index=False)
    write_json(LEADERBOARD / "classes.json", LABELS)
    for seed, folder in enumerate([INIT / "teacher", INIT / "student", cell(1, "teacher"), cell(1, "student")]):
        write_network(folder, seed)
    write_targets(cell(1, "teacher"), random.normal(size=(TAUGHT_ROWS, 2)))
    write_scores(cell(1, "influence"), random)


def table(role: str, rows: int, random: np.random.Generator) -> pd.DataFrame:
    """Sentences of two to nine words; the first says the label, more often than not."""
    texts = [" ".join(random.choice(WORDS, random.integers(2, 10))) for _ in range(rows)]
    truth = np.array([int(text.startswith("good")) for text in texts])
    labels = np.where(random.random(rows) < 0.3, 1 - truth, truth)
    ids = [f"{role}-{i}" for i in range(rows)]
    return pd.DataFrame({"sample_id": ids, "text": texts, "label": labels, "true_label": truth, "group": range(rows)})


def write_network(folder: Path, seed: int) -> None:
    """Write a random classifier of its own seed, which says either class of as many texts, and says it clearly."""
    tokenizer = trained_tokenizer()
    config = tiny.config("bert", len(LABELS), vocab_size=len(tokenizer))
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    texts = table("any", 50, np.random.default_rng(seed))["text"].tolist()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the start, where all logits are nearly equal
            parameter += 0.2 * torch.randn_like(parameter)
        said = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        model.classifier.bias -= said.median(0).values
        for parameter in model.classifier.parameters():
            parameter *= 2 / said.std()
    save_model(folder, model, tokenizer)


trained_tokenizer = cache(tiny.tokenizer)


def write_targets(folder: Path, logits: np.ndarray, longer: float = 1.0, **columns: np.ndarray) -> None:
    """Write what a teacher says of train and transfer, as teacher_tailored does."""
    rows = np.arange(TAUGHT_ROWS)
    ids = read_roles(TAUGHT)["sample_id"]
    write_table(folder / "targets.parquet", ids, row=rows, logits=as_float(logits), **columns)
    write_json(folder / "summary.json", {"roles": TAUGHT, "rows": None, "longer": longer, "steps": None, "warm": None})
    write_json(folder / "trials.json", {"": ""})
    write_cost(folder)


def write_scores(folder: Path, random: np.random.Generator) -> None:
    """Write random scores of train and transfer."""
    rows = TAUGHT_ROWS
    single = {name: as_float(random.normal(size=rows)) for name in ("influence", "influence_label")}
    double = {name: as_float(random.normal(size=(rows, 2))) for name in ("student_logits", "tangents")}
    write_table(folder / "influence.parquet", read_roles(TAUGHT)["sample_id"], **single, **double)
    write_cost(folder, student_scored={"forward": rows, "backward": ROWS["feedback"], "weights": 1})


def as_float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def load(folder: Path):
    """A classifier as anyone would load it, and its tokenizer."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def one_by_one(folder: Path, texts: pd.Series):
    """What the classifier of a folder says of texts, each by itself: no batch, no padding, no order."""
    model, tokenizer = load(folder)
    for text in texts:
        yield model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)


def logits_of(folder: Path, texts: pd.Series) -> torch.Tensor:
    """Logits of texts, N × C."""
    with torch.no_grad():
        return torch.cat([said.logits for said in one_by_one(folder, texts)])


def steps(folder: Path) -> list[int]:
    """The steps at which the training of the folder's model was evaluated."""
    return read_curve(folder, "accuracy")["step"].tolist()


def first_loss(folder: Path) -> float:
    """The train loss up to the first evaluation."""
    return pd.read_csv(folder / "live/plots/metrics/train/loss.tsv", sep="\t")["loss"][0]


def weights(folder: Path) -> torch.Tensor:
    """All weights of a folder's model as one vector."""
    return torch.cat([value.flatten() for value in load(folder)[0].state_dict().values()])


def model_bytes(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()
