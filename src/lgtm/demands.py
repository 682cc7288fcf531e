"""What arms and settings ask of a pair's teacher and student, told before anything trains."""

from collections.abc import Iterator
from pathlib import Path

from lgtm.data.tasks import TaskCard, load_card
from lgtm.errors import UserError
from lgtm.networks.pairs import Network, PairCard, load_pair, require_trainable
from lgtm.params import CO_TRAINED, Params, load_params


def load_settings(path: Path | str = "params.yaml") -> tuple[Params, TaskCard, PairCard]:
    """All that a user sets: params.yaml and the two cards that it names. Raises UserError at the first problem."""
    params = load_params(path)
    card, pair = load_card(Path("tasks") / params.task), load_pair(params.pair)
    require_what_is_asked(pair, params)
    return params, card, pair


def require_what_is_asked(pair: PairCard, params: Params) -> None:
    """Raise UserError, with the card or setting to change, for what the pair's networks cannot do."""
    if problems := list(what_cannot_be_done(pair, params)):
        raise UserError(problems[0], problems)


def what_cannot_be_done(pair: PairCard, params: Params) -> Iterator[str]:
    """A line, with the card or setting to change, for everything that is asked of the pair's networks and cannot be."""
    for network in pair.teacher.networks:
        yield from _untrainable(network, params.teacher_warmup.epochs, "teacher_warmup")
    yield from _untrainable(pair.student, params.student_warmup.epochs, "student_warmup")
    settings = {arm: getattr(params.teacher_tailored, arm) for arm in params.arms}
    where = f"pairs/{params.pair}.yaml: teacher"
    for arm, own in settings.items():
        if own.trains_teacher and not pair.teacher.networks:
            able = ", ".join(arm for arm, own in settings.items() if not own.trains_teacher) or "kd"
            yield (
                f"{where}: answers from a file cannot be trained, which the arm {arm!r} does; leave in params.yaml's"
                f" arms: {able}"
            )
        if arm in CO_TRAINED and len(pair.teacher.networks) > 1:
            yield f"{where}: the arm {arm!r} trains one network beside the student, and these are several"
        if own.warms_up and params.teacher_warmup.epochs == 0:
            yield f"params.yaml: teacher_warmup.epochs: 0, but the arm {arm!r} warms teachers up; set epochs"
    if params.distill.hidden_weight and len(pair.teacher.networks) != 1:
        yield f"params.yaml: distill.hidden_weight: the hidden states are of one network; set 0 ({where})"


def _untrainable(network: Network, epochs: float, section: str) -> Iterator[str]:
    try:
        require_trainable(network, epochs, section)
    except UserError as error:
        yield str(error)
