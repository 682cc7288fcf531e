"""Fine-tune the teacher on the labels, or take a classifier as it is, and cache its outputs on train."""

from lgtm.networks.determinism import make_deterministic
from lgtm.networks.losses import LabelLoss
from lgtm.networks.pairs import load_pair, require_trainable
from lgtm.params import load_params
from stages.artifacts import INIT, cell, read_role, write_table
from stages.network import Network


def main(seed: int) -> None:
    """Write the warm teacher and its train logits to work/runs/<seed>/teacher."""
    params = load_params()
    pair = load_pair(params.pair)
    require_trainable(pair.teacher, params.teacher_warmup.epochs, "teacher_warmup")
    out = cell(seed, "teacher")
    make_deterministic(seed)
    teacher = Network(INIT / "teacher")
    teacher.fit(
        LabelLoss(), params.teacher_warmup, params, learning_rate=pair.teacher.learning_rate, seed=seed, out=out
    )
    logits = teacher.predict("train", params.teacher_warmup.batch_size)
    write_table(out / "targets.parquet", read_role("train")["sample_id"], logits=logits)
