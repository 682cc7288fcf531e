"""Hold the influence against what is known: planted flips, the teacher's errors, and retrained students."""

import numpy as np
import pandas as pd
import torch
from artifacts import VALIDATION, cell, read_matrix, read_role, write_json
from network import Network

from lgtm.determinism import make_deterministic
from lgtm.losses import DistillationLoss
from lgtm.metrics import evaluate_logits
from lgtm.pairs import load_pair
from lgtm.params import Params, load_params
from lgtm.stage import run
from lgtm.training import fit
from lgtm.validation import detection, linear_datamodeling_score, per_logit_step, random_subsets, without


def main(seed: int) -> None:
    """Write validation.json to work/validation/<seed>, and the retrained subsets with their losses."""
    params = load_params()
    settings = params.validation
    make_deterministic(seed)
    train = read_role("train")
    path = cell(seed, "influence") / "influence.parquet"
    scores = pd.read_parquet(path, columns=["influence", "influence_label"])
    labels, truth = train["label"].to_numpy(), train["true_label"].to_numpy()
    teacher_logits = read_matrix(cell(seed, "teacher") / "targets.parquet", "logits")
    influence, by_label = scores["influence"].to_numpy(), scores["influence_label"].to_numpy()

    per_step = per_logit_step(by_label, read_matrix(path, "student_logits"), labels)
    found = {
        "mislabel": detection(by_label, labels != truth),
        "mislabel_per_logit_step": detection(per_step, labels != truth),
        "teacher_error": detection(influence, teacher_logits.argmax(-1) != truth),
    }

    out = VALIDATION / str(seed)
    if settings.subsets:
        subsets = random_subsets(len(train), settings.subsets, settings.fraction, seed)
        losses = [retrained_losses(params, seed, mask, teacher_logits) for mask in subsets]
        found["lds"] = linear_datamodeling_score(influence, subsets, np.mean(losses, axis=-1))
        out.mkdir(parents=True, exist_ok=True)
        rows = [np.flatnonzero(mask) for mask in subsets]
        pd.DataFrame({"rows": rows, "losses": losses}).to_parquet(out / "subsets.parquet", index=False)
    if settings.removals:
        everything = np.ones(len(train), dtype=bool)
        found["removal"] = [
            {"dropped": name, "fraction": fraction, "losses": retrained_losses(params, seed, mask, teacher_logits)}
            for fraction in settings.removals
            for name, mask in without(influence, fraction, seed).items()
        ] + [{"dropped": "nothing", "fraction": 0.0, "losses": retrained_losses(params, seed, everything, teacher_logits)}]
    write_json(out / "validation.json", found)


def retrained_losses(params: Params, seed: int, mask: np.ndarray, teacher_logits: np.ndarray) -> list[float]:
    """Held-out losses of the warm student distilled on the masked rows with the scored loss, one per training seed."""
    settings = params.validation.retrain
    rate = load_pair(params.pair).student.learning_rate * settings.learning_rate_factor
    frame = read_role("train")[mask]
    losses = []
    for repeat in range(params.validation.repeats):
        student = Network(cell(seed, "student"))
        loss = DistillationLoss(
            torch.from_numpy(teacher_logits[mask]), params.influence.temperature, params.influence.hard_label_weight
        )
        selection = student.encode("selection")
        fit(
            student.model,
            loss,
            student.encode_frame(frame),
            selection,
            settings,
            learning_rate=rate,
            precision=params.precision,
            seed=seed + 1000 * repeat,
            metrics=student.task["metrics"],
            log=lambda step, values: None,
            description=f"work/validation/{seed}",
        )
        logits = student.predict("selection", settings.batch_size)
        losses.append(evaluate_logits(logits, selection.labels, [])["nll"])
    return losses


if __name__ == "__main__":
    run(main)
