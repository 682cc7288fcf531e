"""Train the student on the labels for a while: the student that is scored, and that every arm goes on from."""

from artifacts import INIT, cell
from network import Network
from safetensors.torch import save_file

from lgtm.determinism import make_deterministic
from lgtm.losses import LabelLoss
from lgtm.pairs import load_pair
from lgtm.params import load_params
from lgtm.stage import run


def main(seed: int) -> None:
    """Write the warm student and AdamW's second moments to work/runs/<seed>/student."""
    params = load_params()
    pair = load_pair(params.pair)
    out = cell(seed, "student")
    make_deterministic(seed)
    student = Network(INIT / "student")
    fitted = student.fit(
        LabelLoss(), params.student_warmup, params, learning_rate=pair.student.learning_rate, seed=seed, out=out
    )
    save_file(fitted.second_moments, out / "second_moments.safetensors")


if __name__ == "__main__":
    run(main)
