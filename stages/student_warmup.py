"""Train the student on the labels for a while: the student that is scored, and that every arm goes on from."""

from pathlib import Path

from safetensors.torch import save_file

from lgtm.networks.determinism import make_deterministic
from lgtm.networks.losses import LabelLoss
from lgtm.networks.pairs import load_pair, require_trainable
from lgtm.networks.training import Fitted
from lgtm.params import load_params
from lgtm.processes import by_main
from stages.artifacts import INIT, cell, writing
from stages.network import Network


def main(seed: int) -> None:
    """Write the warm student to work/runs/<seed>/student, and earlier checkpoints to its folder checkpoints.

    Each is a model folder with AdamW's second moments.
    """
    params = load_params()
    pair = load_pair(params.pair)
    settings = params.student_warmup
    require_trainable(pair.student, settings.epochs, "student_warmup")
    out = cell(seed, "student")
    make_deterministic(seed)
    student = Network(INIT / "student")

    def keep_earlier(fitted: Fitted) -> None:
        folder = out / "checkpoints" / f"{fitted.step:08d}"
        student.save(folder)
        save_moments(fitted, folder)

    fitted = student.fit(
        LabelLoss(),
        student.encode("train"),
        settings,
        params,
        learning_rate=pair.student.learning_rate,
        seed=seed,
        out=out,
        earlier=settings.earlier_checkpoints,
        keep_earlier=keep_earlier,
    )
    save_moments(fitted, out)


@by_main
def save_moments(fitted: Fitted, folder: Path) -> None:
    """Write AdamW's second moments beside the model that they belong to."""
    with writing(path := folder / "second_moments.safetensors", Exception):  # safetensors has its own for a full disk
        save_file(fitted.second_moments, path)
