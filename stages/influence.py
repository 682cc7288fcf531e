"""Score every training sample: how much distilling from it helps the warm student generalise."""

import torch
from artifacts import cell, read_matrix, read_role, write_table
from network import Network
from safetensors.torch import load_file

from lgtm.determinism import make_deterministic
from lgtm.encoding import by_length, ordered_batches
from lgtm.influence import (
    distillation_influence,
    feedback_gradient,
    label_influence,
    normalise,
    precondition,
    scope_parameters,
    tangents,
)
from lgtm.params import load_params
from lgtm.stage import run


def main(seed: int) -> None:
    """Write influence, student logits and tangents by sample_id to work/runs/<seed>/influence."""
    settings = load_params().influence
    make_deterministic(seed)
    # Fused attention has no forward-mode rule.
    student = Network(cell(seed, "student"), attention="eager" if settings.method == "forward" else None)
    model = student.model.eval()
    device = model.device

    feedback, train = student.encode("feedback"), student.encode("train")
    batches = ordered_batches(feedback, settings.batch_size, by_length(feedback), device, "feedback gradient")
    direction = feedback_gradient(model, batches, scope_parameters(model, settings.scope))
    if settings.preconditioner == "adamw":
        moments = load_file(cell(seed, "student") / "second_moments.safetensors", device=str(device))
        direction = precondition(direction, moments)
    direction = normalise(direction)

    order = by_length(train)
    batches = ordered_batches(train, settings.batch_size, order, device, "logit tangents")
    scored = list(tangents(model, batches, direction, method=settings.method, step_size=settings.step_size))
    back = torch.tensor(order).argsort()
    logits, derivative = (torch.cat(parts).float().cpu()[back] for parts in zip(*scored, strict=True))

    labels = torch.tensor(train.labels)
    teacher_logits = torch.tensor(read_matrix(cell(seed, "teacher") / "targets.parquet", "logits"))
    influence = distillation_influence(
        logits,
        derivative,
        teacher_logits,
        labels,
        temperature=settings.temperature,
        hard_label_weight=settings.hard_label_weight,
    )
    write_table(
        cell(seed, "influence") / "influence.parquet",
        read_role("train")["sample_id"],
        influence=influence.numpy(),
        influence_label=label_influence(logits, derivative, labels).numpy(),
        student_logits=logits.numpy(),
        tangents=derivative.numpy(),
    )


if __name__ == "__main__":
    run(main)
