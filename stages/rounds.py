"""Go on for more rounds: score the student that was distilled last, let the arm teach again, distil again."""

from lgtm.networks.determinism import make_deterministic
from lgtm.params import load_params
from stages.artifacts import cell
from stages.distill import distil
from stages.influence import Checkpoint, score_train
from stages.network import Network
from stages.teacher_tailored import Lesson, teach


def main(seed: int, arm: str) -> None:
    """Write influence, teacher and student of every round after the first to work/runs/<seed>/<arm>/rounds/<round>.

    An arm that made a teacher goes on from that one; the others have the warm one again. The direction is
    preconditioned by the warm student's second moments. The order of the batches is another one each round, the same
    for all arms.
    """
    params = load_params()
    teacher, student = cell(seed, arm, "teacher"), cell(seed, arm, "student")
    for number in range(2, params.rounds.count + 1):
        round_seed = seed + 10_000 * (number - 1)
        make_deterministic(round_seed)
        out = cell(seed, arm, "rounds", str(number))
        if not (teacher / "config.json").is_file():
            teacher = cell(seed, "teacher")
        scored = Checkpoint(student, cell(seed, "student"), params.influence)
        score_train([scored], teacher, out / "influence", params.scored_loss)
        scores = out / "influence" / "influence.parquet"
        teach(arm, Lesson(round_seed, params, teacher, scores, out / "teacher"))
        distil(Network(student), out / "teacher", params, round_seed, out / "student")
        teacher, student = out / "teacher", out / "student"
