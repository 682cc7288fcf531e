"""Fine-tune the teacher on the labels, or take a classifier as it is, and cache what it says of train and transfer."""

from lgtm.networks.determinism import make_deterministic
from lgtm.networks.losses import LabelLoss
from lgtm.networks.pairs import load_pair, require_trainable
from lgtm.params import load_params
from stages.artifacts import INIT, TableWriter, cell
from stages.network import Network


def main(seed: int) -> None:
    """Write the warm teacher and its logits to work/runs/<seed>/teacher."""
    params = load_params()
    settings, network = params.teacher_warmup, load_pair(params.pair).teacher
    require_trainable(network, settings.epochs, "teacher_warmup")
    out = cell(seed, "teacher")
    make_deterministic(seed)
    teacher = Network(INIT / "teacher")
    teacher.fit(
        LabelLoss(), teacher.encode("train"), settings, params, learning_rate=network.learning_rate, seed=seed, out=out
    )
    with TableWriter(out / "targets.parquet") as table:
        for rows, logits in teacher.predict_taught(settings.batch_size):
            table.write(rows["sample_id"], logits=logits)
