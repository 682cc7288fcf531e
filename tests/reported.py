"""A workspace as the report reads it, with plausible numbers, without a network being trained."""

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lgtm.config import read_yaml
from stages.artifacts import DATA, VALIDATION, cell, evaluation, write_json

SEEDS, ARMS = [1, 2, 3], ["ce", "kd", "control", "tailored"]
PARAMS = Path(__file__).parents[1] / "params.yaml"
MAJORITY = 0.52
MEANS = {"warmup": 0.70, "ce": 0.74, "kd": 0.78, "control": 0.775, "tailored": 0.792} | dict.fromkeys(
    ("online", "dml", "pooled", "disagreeing", "crossfit", "kd_train"), 0.78
)
# Texts that would act on a page, a terminal or markdown.
HOSTILE = [
    "</script><script>window.ran = 1</script>",
    "<img src=x onerror='window.ran = 2'>",
    "\x1b[31mred \u202eturned\u2066 \x07bell",
    "[press](javascript:window.ran=3) ![](https://example.org/pixel.png) <https://example.org>",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; | a | `code` **bold** $x^2$",
    "<!-- --> \u2028 </style> ]]> \ud800".encode("utf-8", "replace").decode(),
]


def write_workspace(
    root,
    seeds=SEEDS,
    arms=ARMS,
    parts=("test",),
    metrics=("accuracy",),
    flips=0.2,
    text_pair=False,
    transfer=0,
    labels=("bad", "good"),
):
    """Write what the report reads, with plausible numbers, for these seeds and arms, and so many rows of transfer."""
    random = np.random.default_rng(0)
    params = read_yaml(PARAMS) | {"seeds": list(seeds), "arms": list(arms)}
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    for card in (f"pairs/{params['pair']}.yaml", f"tasks/{params['task']}/task.yaml"):
        (root / card).parent.mkdir(parents=True)
        shutil.copyfile(PARAMS.parent / card, root / card)
    train = _train(random, flips, text_pair)
    (root / DATA).mkdir(parents=True)
    train.to_parquet(root / DATA / "train.parquet")
    unlabelled = _transfer(random, transfer, text_pair)
    unlabelled.to_parquet(root / DATA / "transfer.parquet", index=False)
    rows = {"train": len(train), "feedback": 120, "selection": 150, "test": 1000}
    summary = {
        "roles": {
            role: {"rows": number, "groups": number // 2, "classes": {"bad": number // 2, "good": number // 2}}
            for role, number in rows.items()
        },
        "crossing": {"groups": 0, "near_duplicates": {"test": 0, "selection": 0, "feedback": 0}},
        "label_noise": {"fraction": flips, "clean_roles": []},
        "transfer": dict.fromkeys(("empty", "in_other_role", "group_held_out", "duplicates", "left_out"), 0)
        | {"read": transfer, "rows": transfer},
    }
    write_json(root / DATA / "summary.json", summary)
    task = {"labels": list(labels), "metrics": list(metrics), "majority": 1, "max_length": 8}
    write_json(root / DATA / "task.json", task)

    write_evaluation(root, _results(random, seeds, arms, parts, metrics), metrics[0], len(labels))

    for seed, arm in product(seeds, arms):
        taught = {"teacher": {"forward": 300, "backward": 100, "weights": 9}} if arm == "tailored" else {}
        write_json(root / cell(seed, arm, "teacher") / "cost.json", taught)
        student = {"forward": 200, "backward": 100, "weights": 3}
        write_json(root / cell(seed, arm, "student") / "cost.json", {"student": student})
    for seed in seeds:
        (root / cell(seed, "influence")).mkdir(parents=True)
        _say(root, random, [*train["sample_id"], *unlabelled["sample_id"]], seed, arms, len(labels))
        planted = train["label"] != train["true_label"]
        noise = random.standard_t(3, size=(2, len(train)))
        scores = train[["sample_id"]].assign(
            influence=0.002 + 0.01 * noise[0] - 0.006 * planted, influence_label=0.015 * noise[1] - 0.02 * planted
        )
        more = unlabelled[["sample_id"]].assign(
            influence=0.03 + 0.02 * random.standard_t(3, size=transfer), influence_label=0.0
        )
        scores = pd.concat([scores, more], ignore_index=True)
        scores = scores.assign(student_logits=list(random.normal(size=(len(scores), len(labels)))))
        scores.to_parquet(root / cell(seed, "influence") / "influence.parquet")
        write_json(root / cell(seed, "influence") / "summary.json", {"disagreement": 1e-4, "tolerance": 1e-2})
        write_json(root / VALIDATION / str(seed) / "validation.json", _validation(random, flips, transfer > 0))
        _curve(root, random, metrics[0], 0.91, 400, 10, seed, "teacher")
        _curve(root, random, metrics[0], MEANS["warmup"], 120, 3, seed, "student")
        for arm in arms:
            _curve(root, random, metrics[0], MEANS[arm], 240, 6, seed, arm, "student")
            if arm in ("control", "tailored"):
                _curve(root, random, metrics[0], 0.9, 80, 2, seed, arm, "teacher")


def _say(root, random, ids, seed, arms, classes):
    """What the warm teacher and those of the arms say of the rows that are taught."""
    warm = random.normal(size=(len(ids), classes))
    tables = {("teacher",): {"logits": list(warm)}} | {(arm, "teacher"): {"row": range(len(ids))} for arm in arms}
    tables |= {(arm, "teacher"): {"logits": list(1.5 * warm)} for arm in arms if arm in ("control", "tailored")}
    for where, columns in tables.items():
        (root / cell(seed, *where)).mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"sample_id": ids} | columns).to_parquet(root / cell(seed, *where) / "targets.parquet")


def write_evaluation(root, results, metric, classes=2):
    """Write what evaluate leaves of these measurements, a folder per seed and arm."""
    predictions = _predictions(results, metric, classes)
    for (seed, arm), rows in pd.DataFrame(results).groupby(["seed", "arm"], sort=False):
        folder = root / evaluation(seed, arm)
        folder.mkdir(parents=True, exist_ok=True)
        rows.drop(columns=["seed", "arm"]).to_parquet(folder / "results.parquet")
        own = predictions[(predictions["seed"] == seed) & (predictions["arm"] == arm)]
        for model, said in own[own["model"] != "majority"].groupby("model"):
            said.drop(columns=["seed", "arm", "model"]).to_parquet(folder / f"{model}.parquet")


def _transfer(random, rows, text_pair):
    texts = [f"<i>unlabelled</i> number {n} | {'good' if random.random() < 0.5 else 'bad'}" for n in range(rows)]
    table = pd.DataFrame({"sample_id": [f"transfer-{n}" for n in range(rows)], "text": texts}, dtype="str")
    return table.assign(text_pair="another") if text_pair else table


def _validation(random, flips, transfer):
    def found(auc):
        return {"auc": auc + 0.01 * random.normal(), "average_precision": 0.6, "share": flips}

    def losses(mean):
        return list(mean + 0.002 * random.normal(size=2))

    beyond = {"teacher_error_transfer": {"influence": found(0.8), "likelihood": found(0.6), "confidence": found(0.7)}}
    shares = {"mislabel": flips, "teacher_error": 0.1} | ({"teacher_error_transfer": 0.3} if transfer else {})
    return (beyond if transfer else {}) | {
        "mislabel": {
            score: found(auc) if flips else {}
            for score, auc in (("influence", 0.9), ("influence_per_unit", 0.92), ("likelihood", 0.95))
        },
        "teacher_error": {"influence": found(0.7), "likelihood": found(0.75), "confidence": found(0.8)},
        "shares": shares,
        "lds": {"correlation": 0.6 + 0.05 * random.normal(), "low": 0.4, "high": 0.8},
        "subsets": [{"influence": total, "losses": losses(0.3 - 0.01 * total)} for total in random.normal(size=12)],
        "nothing_dropped": losses(0.3),
        "removals": [
            {"dropped": dropped, "fraction": fraction, "losses": losses(0.3 + effect * fraction)}
            for fraction in (0.1, 0.3)
            for dropped, effect in {"most helpful": 0.1, "random": 0.0, "most harmful": -0.1}.items()
        ],
    }


def _train(random, flips, text_pair):
    rows = 1200
    true = random.integers(2, size=rows)
    label = np.where(random.random(rows) < flips, 1 - true, true)
    texts = [
        f"the film was not {('bad', 'good')[i]} at all, and <b>review</b> {n} | ends *here*" for n, i in enumerate(true)
    ]
    ids = [f"train-{n}" for n in range(rows)]
    train = pd.DataFrame({"sample_id": ids, "text": texts, "label": label, "true_label": true})
    return train.assign(text_pair="a second text") if text_pair else train


def _results(random, seeds, arms, parts, metrics):
    results = []
    for seed in seeds:
        luck = 0.006 * random.normal()
        results += [
            {"seed": seed, "arm": "warmup", "model": "majority", "part": part, "metric": name, "value": MAJORITY}
            for part in parts
            for name in metrics
        ]
        for arm in ("warmup", *arms):
            models = ("teacher", "student") if arm in ("warmup", "control", "tailored") else ("student",)
            for model in models:
                mean = 0.91 if model == "teacher" else MEANS[arm]
                for part in parts:
                    values = {name: mean + luck + 0.004 * random.normal() for name in metrics}
                    values |= {"nll": 0.5 + 0.02 * random.normal(), "ece": 0.05 + 0.005 * random.normal()}
                    if model == "student":
                        values["agreement"] = 0.85 + 0.01 * random.normal()
                    values["parameters"] = 1_800_000 if model == "teacher" else 400_000
                    values["megabytes"] = 4 * values["parameters"] / 1e6
                    where = {"seed": seed, "arm": arm, "model": model, "part": part}
                    results += [where | {"metric": name, "value": value} for name, value in values.items()]
    return results


def _predictions(results, metric, classes):
    """1,000 rows a part, of which a model has right as many as its metric says, the easy ones first."""
    random, tables = np.random.default_rng(1), []
    for cell_ in results:
        if cell_["metric"] == metric:
            luck = np.linspace(0, 1, 1000) + 0.05 * random.normal(size=1000)
            right = luck.argsort().argsort() < 1000 * cell_["value"]
            where = {name: cell_[name] for name in ("seed", "arm", "model", "part")}
            ids = [f"test-{cell_['part']}-{n}" for n in range(1000)]
            label = np.ones(1000, int) if classes == 2 else np.arange(1000) % classes
            predicted = np.where(right, label, (label + 1) % classes)
            logits = 0.1 * random.normal(size=(1000, classes))
            logits[np.arange(1000), predicted] += random.uniform(0.5, 4, size=1000)
            said = {"sample_id": ids, "label": label, "predicted": predicted, "logits": list(logits)}
            tables.append(pd.DataFrame(said).assign(**where))
    return pd.concat(tables)


def _curve(root, random, metric, end, steps, points, *where):
    folder = root / cell(*where) / "live/plots/metrics/selection"
    folder.mkdir(parents=True)
    step = np.linspace(0, steps, points + 1).astype(int)
    value = end - 0.3 * np.exp(-4 * step / steps) + 0.006 * np.append(0, random.normal(size=points))
    pd.DataFrame({"step": step, metric: value}).to_csv(folder / f"{metric}.tsv", sep="\t", index=False)


def relist(**changes):
    """Change the lists of params.yaml, as a user does, and nothing else."""
    params = read_yaml("params.yaml") | changes
    Path("params.yaml").write_text(yaml.safe_dump(params))


def poison():
    """Hostile texts in samples, classes and a transfer row; the most helpful ones, so that every table has them."""
    for role in ("train", "transfer"):
        path = DATA / f"{role}.parquet"
        rows = pd.read_parquet(path)
        rows.loc[: len(HOSTILE) - 1, "text"] = HOSTILE
        rows.to_parquet(path)
    for seed in SEEDS:
        path = cell(seed, "influence") / "influence.parquet"
        scores = pd.read_parquet(path)
        first = scores["sample_id"].str.fullmatch(f"(train|transfer)-[0-{len(HOSTILE) - 1}]")
        scores.assign(influence=scores["influence"].where(~first, 9.0)).to_parquet(path)
    task = json.loads((DATA / "task.json").read_text())
    write_json(DATA / "task.json", task | {"labels": [HOSTILE[0], HOSTILE[2]]})
