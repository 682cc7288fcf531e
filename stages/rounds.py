"""Go on for more rounds: score the student that was distilled last, let the arm teach again, distil again."""

from lgtm.networks.determinism import make_deterministic
from lgtm.params import load_params
from stages.artifacts import cell, chosen_teacher, is_network
from stages.distill import distil
from stages.influence import Checkpoint, score
from stages.lesson import Lesson
from stages.teacher_tailored import teach


def main(seed: int, arm: str) -> None:
    """Write influence, teacher and student of every round after the first to work/runs/<seed>/<arm>/rounds/<round>.

    An arm that made a teacher goes on from that one; the others have the warm one again. The direction is
    preconditioned by the warm student's second moments. The order of the batches is another one each round, the same
    for all arms.
    """
    params = load_params()
    student = cell(seed, arm, "student")
    teacher = chosen_teacher(cell(seed, arm, "teacher"), student)
    for number in range(2, params.rounds.count + 1):
        round_seed = seed + 10_000 * (number - 1)
        make_deterministic(round_seed)
        out = cell(seed, arm, "rounds", str(number))
        if not is_network(teacher):
            teacher = cell(seed, "teacher")
        scored = Checkpoint(student, cell(seed, "student"), params.influence, seed)
        score([scored], teacher, out / "influence", params.scored_loss)
        scores = out / "influence" / "influence.parquet"
        teach(arm, Lesson(round_seed, params, teacher, scores, out / "teacher"))
        distil(student, out / "teacher", params, round_seed, out / "student")
        teacher, student = chosen_teacher(out / "teacher", out / "student"), out / "student"
