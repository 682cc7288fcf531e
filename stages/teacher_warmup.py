"""Fine-tune the teacher on the labels, or take a classifier as it is, and cache what it says of train and transfer."""

from lgtm.networks.determinism import make_deterministic
from lgtm.networks.losses import LabelLoss
from lgtm.networks.pairs import load_pair, require_trainable
from lgtm.params import load_params
from stages.artifacts import INIT, TAUGHT, TableWriter, cell, count_rows, live_curves, role_path
from stages.teachers import Teacher


def main(seed: int) -> None:
    """Write the warm teacher and its logits to work/runs/<seed>/teacher."""
    params = load_params()
    settings, out = params.teacher_warmup, cell(seed, "teacher")
    for network in load_pair(params.pair).teacher.networks:
        require_trainable(network, settings.epochs, "teacher_warmup")
    for role in TAUGHT:  # all of it, before anything trains
        count_rows(role_path(role))
    make_deterministic(seed)
    teacher = Teacher(INIT / "teacher")
    teacher.fit(LabelLoss(), lambda network: network.encode("train"), settings, params, seed=seed, out=out)
    if len(teacher.networks) != 1:  # whose curve is its own
        with live_curves(out) as log:
            scores = teacher.on_selection(settings.batch_size)
            log(0, {f"selection/{name}": value for name, value in scores.items()})
    with TableWriter(out / "targets.parquet") as table:
        for rows, logits in teacher.predict_taught(settings.batch_size):
            table.write(rows["sample_id"], logits=logits)
