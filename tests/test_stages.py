"""Every stage by itself, on random networks, targets and scores, against what its artifacts should hold."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import workspace
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch.nn import functional as F
from workspace import RATE, as_float, first_loss, logits_of, model_bytes, settings, steps, weights, write_targets

from lgtm.influence.folds import assign_folds
from stages import (
    distill,
    evaluate,
    evaluate_warmup,
    influence,
    rounds,
    selection,
    student_warmup,
    teacher_tailored,
    teacher_warmup,
    validation,
)
from stages.artifacts import (
    DATA,
    INIT,
    LEADERBOARD,
    REPORTS,
    TAUGHT,
    VALIDATION,
    cell,
    evaluation,
    read_json,
    read_matrix,
    read_role,
    read_roles,
    role_path,
    write_cost,
    write_json,
)

WARM = {"base": "warm", "teachers": 3}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workspace.write()
    return folder


@pytest.fixture(autouse=True)
def home(written, tmp_path, monkeypatch):
    """A copy of the workspace, and in it."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.use_deterministic_algorithms(False)


# --- the warm-ups, and what is chosen by ---


def test_mixed_precision_is_of_the_training_and_targets_are_what_the_saved_teacher_says():
    found = {}
    for precision in ("fp32", "bf16"):
        AcceleratorState._reset_state(reset_partial_state=True)  # one precision a process, which a stage has for itself
        settings(precision=precision, teacher_warmup__epochs=3, teacher_warmup__keep="last")
        teacher_warmup.main(1)
        said = logits_of(cell(1, "teacher"), read_roles(TAUGHT)["text"])
        np.testing.assert_allclose(read_matrix(cell(1, "teacher") / "targets.parquet", "logits"), said, atol=1e-4)
        found[precision] = weights(cell(1, "teacher"))
    difference = (found["fp32"] - found["bf16"]).abs().max()
    assert 0 < difference < 3 * RATE


@pytest.fixture
def layers():
    """Of every output of a linear layer: whether it was trained, its type and how many rows it had."""
    seen = []

    def note(module, args, output):
        if isinstance(module, torch.nn.Linear):
            seen.append((module.training, output.dtype, len(output)))

    hook = torch.nn.modules.module.register_module_forward_hook(note)
    yield seen
    hook.remove()


def test_what_trains_runs_in_bf16_and_what_is_kept_is_float32(layers):
    """From the warm-ups to the distilled student; scores are differences, and asked in fp32 like all that is kept."""
    settings(precision="bf16")
    for stage, *arm in (
        (teacher_warmup,),
        (student_warmup,),
        (influence,),
        (teacher_tailored, "tailored"),
        (distill, "tailored"),
    ):
        layers.clear()
        stage.main(1, *arm)
        types = {trained: {dtype for ours, dtype, _ in layers if ours == trained} for trained in (True, False)}
        assert types == {True: {torch.bfloat16} if stage is not influence else set(), False: {torch.float32}}, stage
    runs = cell(1, "teacher").parent
    made = [runs / own for own in ("teacher", "student", "tailored/teacher", "tailored/student")]
    for folder in made:
        for file in folder.glob("*.safetensors"):
            assert {value.dtype for value in load_file(file).values()} == {torch.float32}, file
    assert (cell(1, "student") / "second_moments.safetensors").is_file()
    for folder in (made[0], made[2]):
        assert read_matrix(folder / "targets.parquet", "logits").dtype == np.float32
    for column in ("student_logits", "tangents"):
        assert read_matrix(cell(1, "influence") / "influence.parquet", column).dtype == np.float32


def test_a_limit_of_tokens_is_heeded_wherever_a_network_trains(layers):
    settings(tokens_at_once=1)
    for stage, *arm in ((teacher_warmup,), (student_warmup,), (teacher_tailored, "tailored"), (distill, "tailored")):
        layers.clear()
        stage.main(1, *arm)
        assert {rows for trained, _, rows in layers if trained} == {1}, stage


def test_selection_says_how_the_kept_students_do():
    for arm, values in (("kd", [0.6, 0.9, 0.7]), ("tailored", [0.8, 0.5, 0.75])):
        curve = cell(1, arm, "student") / "live/plots/metrics/selection/accuracy.tsv"
        curve.parent.mkdir(parents=True)
        pd.DataFrame({"step": [0, 1, 2], "accuracy": values}).to_csv(curve, sep="\t", index=False)
    for keep, expected in (("best", {"kd": 90.0, "tailored": 80.0}), ("last", {"kd": 70.0, "tailored": 75.0})):
        settings(distill__keep=keep)
        selection.main()
        assert read_json(REPORTS / "selection.json")["selection"] == {"metric": "accuracy"} | expected


def test_selection_says_of_how_many_students_one_was_the_best_there():
    for arm in ("kd", "tailored"):
        curve = cell(1, arm, "student") / "live/plots/metrics/selection/accuracy.tsv"
        curve.parent.mkdir(parents=True)
        pd.DataFrame({"step": [0], "accuracy": [0.5]}).to_csv(curve, sep="\t", index=False)
    scores = {name: {"accuracy": 0.5, "nll": 0.7} for name in ("0", "0.5", "2")}
    write_json(cell(1, "tailored", "student") / "choice.json", {"chosen": "2", "selection": scores})
    selection.main()
    figures = {"metric": "accuracy", "kd": 50.0, "tailored": 50.0, "tailored_trials": 3}
    assert read_json(REPORTS / "selection.json")["selection"] == figures


# --- influence ---


SCOPES = {"head": "classifier", "encoder": ("bert.encoder", "bert.pooler")}


def margin(logits, labels):
    """Minus the mean over classes of their rows' mean margin: the default feedback loss, written out."""
    margins = logits[range(len(labels)), labels] - logits.mean(-1)
    return -sum(margins[labels == label].mean() for label in range(2)) / 2


def soft_loss(student, teacher, temperature):
    """The distillation loss of one row, up to what does not depend on the student."""
    return -(temperature**2) * ((teacher / temperature).softmax(-1) * (student / temperature).log_softmax(-1)).sum()


def direct(folder, teacher_logits, *, scope, feedback_loss, preconditioner, temperature, mix, feedback="feedback"):
    """Influence under the teacher and under the label by the definition: a gradient per row, on the whole table."""
    model, tokenizer = workspace.load(folder)
    names = [name for name, _ in model.named_parameters()]
    chosen = [name for name in names if name.startswith(SCOPES[scope])]
    parameters = [model.get_parameter(name) for name in chosen]

    def logits(text):
        return model(**tokenizer(text, return_tensors="pt")).logits[0]

    feedback = read_role("feedback") if isinstance(feedback, str) else feedback
    train = read_roles(TAUGHT)
    said = torch.stack([logits(text) for text in feedback["text"]])
    direction = torch.autograd.grad(feedback_loss(said, torch.tensor(feedback["label"].to_numpy())), parameters)
    if preconditioner == "adamw":
        moments = load_file(folder / "second_moments.safetensors")
        direction = [v / (moments[n].sqrt() + 1e-8) for n, v in zip(chosen, direction, strict=True)]
    length = torch.cat([v.flatten() for v in direction]).norm()
    scores = []
    for text, label, teacher in zip(train["text"], train["label"], teacher_logits, strict=True):
        student = logits(text)
        own = F.cross_entropy(student, torch.tensor(label))  # none, and no gradient, where there is no label
        kinds = [(1 - mix) * soft_loss(student, teacher, temperature) + mix * own, own]
        gradients = [torch.autograd.grad(kind, parameters, retain_graph=True) for kind in kinds]
        scores.append([sum((g * v).sum() for g, v in zip(each, direction, strict=True)) / length for each in gradients])
    return torch.tensor(scores).T


def assert_scores(folder, checkpoints, **definition):
    """The influence artifact, row by row, is the mean over checkpoints of what the definition gives."""
    found = pd.read_parquet(folder / "influence.parquet")
    train = read_roles(TAUGHT)
    assert found["sample_id"].tolist() == train["sample_id"].tolist()
    teacher_logits = torch.tensor(read_matrix(cell(1, "teacher") / "targets.parquet", "logits"))
    each = [direct(checkpoint, teacher_logits, **definition) for checkpoint in checkpoints]
    expected = torch.stack(each).mean(0).numpy()
    for column, values in zip(("influence", "influence_label"), expected, strict=True):
        np.testing.assert_allclose(found[column], values, atol=2e-3 * np.abs(values).max())
    logits = logits_of(checkpoints[-1], train["text"])
    np.testing.assert_allclose(np.stack(found["student_logits"]), logits, atol=1e-4)


DEFAULT = dict(scope="head", feedback_loss=margin, preconditioner="none", temperature=2.0, mix=0.0)


def test_scores_are_the_definitions_row_by_row_across_chunks(monkeypatch):
    monkeypatch.setattr("stages.artifacts.CHUNK", 16)  # 40 rows: two whole chunks and a part
    settings(influence__batch_size=5)
    influence.main(1)
    assert_scores(cell(1, "influence"), [cell(1, "student")], **DEFAULT)


def test_scores_of_another_loss_scope_and_mix(monkeypatch):
    monkeypatch.setattr("stages.artifacts.CHUNK", 16)
    changes = {"scope": "encoder", "feedback_loss": "cross_entropy", "method": "forward", "batch_size": 7}
    settings(
        distill__temperature=3.0, distill__hard_label_weight=0.3, **{f"influence__{k}": v for k, v in changes.items()}
    )
    influence.main(1)
    kind = dict(scope="encoder", feedback_loss=F.cross_entropy, temperature=3.0, mix=0.3)
    assert_scores(cell(1, "influence"), [cell(1, "student")], **DEFAULT | kind)


def test_earlier_checkpoints_are_scored_each_along_its_own_preconditioned_gradient():
    settings(
        influence__preconditioner="adamw",
        student_warmup__earlier_checkpoints=2,
        student_warmup__batch_size=20,
        student_warmup__epochs=3,
    )
    shutil.rmtree(cell(1, "student"))
    student_warmup.main(1)
    earlier = sorted((cell(1, "student") / "checkpoints").iterdir())
    assert [folder.name for folder in earlier] == ["00000002", "00000004"]
    influence.main(1)
    assert read_json(cell(1, "influence") / "summary.json")["checkpoints"] == 3
    assert_scores(cell(1, "influence"), [*earlier, cell(1, "student")], **DEFAULT | {"preconditioner": "adamw"})
    assert (weights(earlier[0]) - weights(earlier[1])).abs().max() > RATE / 10


def test_directions_from_train_are_of_the_folds_that_a_row_is_not_in(monkeypatch):
    monkeypatch.setattr("stages.artifacts.CHUNK", 16)
    settings(influence__folds=2, prepare__feedback=0.0)
    role_path("feedback").unlink()
    influence.main(1)
    train, rows = read_role("train"), len(read_roles(TAUGHT))
    fold = assign_folds(train, 2, 1)
    assert sorted(np.unique(fold)) == [0, 1]
    found = pd.read_parquet(cell(1, "influence") / "influence.parquet")["influence"].to_numpy()
    logits = torch.tensor(read_matrix(cell(1, "teacher") / "targets.parquet", "logits"))
    for feedback, own in [
        *((train[fold != number], np.flatnonzero(fold == number)) for number in (0, 1)),
        (train, np.arange(len(train), rows)),
    ]:
        expected = direct(cell(1, "student"), logits, **DEFAULT, feedback=feedback)[0].numpy()
        np.testing.assert_allclose(found[own], expected[own], atol=2e-3 * np.abs(expected).max())
    assert not np.allclose(expected[: len(train)], found[: len(train)], atol=2e-2 * np.abs(expected).max())


def test_a_further_round_scores_the_student_that_was_distilled_last_and_goes_on_from_it():
    settings(rounds__arms=["kd"])
    workspace.write_network(cell(1, "kd", "student"), seed=7)
    shutil.copy(cell(1, "teacher") / "targets.parquet", cell(1, "kd").joinpath("teacher.parquet"))
    rounds.main(1, "kd")
    second = cell(1, "kd", "rounds", "2")
    assert_scores(second / "influence", [cell(1, "kd", "student")], **DEFAULT)
    assert distance(second / "student", cell(1, "kd", "student")) < 2 * RATE


# --- teacher_tailored ---


def distance(folder, other) -> float:
    """How far the farthest weight of a model is from the other's."""
    return (weights(folder) - weights(other)).abs().max().item()


def kl(logits, other, temperature):
    own, others = ((values / temperature).softmax(-1) for values in (logits, other))
    return temperature**2 * (own * (own / others).log()).sum(-1)


def tailoring_loss(start, *, anchor, student_weight, weight, temperature, mix, weights=1.0, order=slice(None)):
    """The loss of the retrained teacher before its first step, from the artifacts."""
    train, scores = read_roles(TAUGHT), cell(1, "influence") / "influence.parquet"
    said = logits_of(start, train["text"])
    warm = torch.tensor(read_matrix(cell(1, "teacher") / "targets.parquet", "logits"))
    student, tangents = (torch.tensor(read_matrix(scores, name)) for name in ("student_logits", "tangents"))
    tangents = tangents - tangents.mean(-1, keepdim=True)
    tangents = (tangents / tangents.square().mean().sqrt())[order]
    labels = torch.tensor(train["label"])
    held = F.cross_entropy(said, labels, reduction="none") if anchor == "labels" else kl(said, warm, temperature)
    harm = (1 - mix) * temperature * ((said / temperature).softmax(-1) * tangents).sum(-1)
    return (weights * held + student_weight * kl(said, student, temperature) + weight * harm).mean().item()


@pytest.mark.parametrize("anchor", ["labels", "warm_teacher"])
@pytest.mark.parametrize("start", ["initial", "warm_teacher"])
def test_a_teacher_is_retrained_from_its_start_with_its_anchor_at_its_rate(start, anchor):
    retrain = {"start": start, "anchor": anchor, "student_weight": 0.4, "learning_rate_factor": 0.2}
    settings(
        distill__temperature=3.0,
        distill__hard_label_weight=0.25,
        teacher_tailored__tailored=WARM | {"lambda": 1.5},
        **{f"teacher_tailored__retrain__{name}": value for name, value in retrain.items()},
    )
    teacher_tailored.main(1, "tailored")
    out = cell(1, "tailored", "teacher")
    folder = INIT / "teacher" if start == "initial" else cell(1, "teacher")
    formula = dict(anchor=anchor, student_weight=0.4, weight=1.5, temperature=3.0, mix=0.25)
    assert first_loss(out) == pytest.approx(tailoring_loss(folder, **formula), rel=1e-4)
    # AdamW's first step is its learning rate, whatever the gradient; besides, weights decay a little.
    assert distance(out, folder) == pytest.approx(0.2 * RATE, rel=0.1)
    np.testing.assert_allclose(
        read_matrix(out / "targets.parquet", "logits"), logits_of(out, read_roles(TAUGHT)["text"]), atol=1e-4
    )


def test_reweighted_weighs_the_labels_that_help():
    settings(teacher_tailored__retrain__anchor="labels", teacher_tailored__reweighted={"slope": 2.0})
    teacher_tailored.main(1, "reweighted")
    helps = pd.read_parquet(cell(1, "influence") / "influence.parquet")["influence_label"].to_numpy()
    own = 1 / (1 + np.exp(-2 * helps / helps.std()))
    formula = dict(anchor="labels", student_weight=0.0, weight=0.0, temperature=2.0, mix=0.0)
    expected = tailoring_loss(cell(1, "teacher"), weights=torch.tensor(own / own.mean()), **formula)
    assert first_loss(cell(1, "reweighted", "teacher")) == pytest.approx(expected, rel=1e-4)


def test_control_is_given_no_influence_and_shuffled_another_samples():
    settings(teacher_tailored__shuffled=WARM | {"lambda": 1.5}, teacher_tailored__retrain__anchor="labels")
    formula = dict(anchor="labels", student_weight=0.0, temperature=2.0, mix=0.0)
    for arm in ("control", "shuffled"):
        teacher_tailored.main(1, arm)
    without, own = (tailoring_loss(cell(1, "teacher"), weight=weight, **formula) for weight in (0.0, 1.5))
    assert first_loss(cell(1, "control", "teacher")) == pytest.approx(without, rel=1e-4)
    placebo = first_loss(cell(1, "shuffled", "teacher"))
    assert abs(placebo - without) > 1e-3
    assert abs(placebo - own) > 1e-3


def test_filtered_teaches_the_most_helpful_rows_alone():
    settings(teacher_tailored__filtered={"keep": 30, "balanced": False, "steps": 4, "per_gap": False})
    teacher_tailored.main(1, "filtered")
    table = pd.read_parquet(cell(1, "filtered", "teacher") / "targets.parquet")
    helps = pd.read_parquet(cell(1, "influence") / "influence.parquet")["influence"]
    warm = pd.read_parquet(cell(1, "teacher") / "targets.parquet")
    kept = sorted(helps.nlargest(30).index)
    assert table["sample_id"].tolist() == warm["sample_id"].loc[kept].tolist()
    assert table["row"].tolist() == kept and "logits" not in table  # they stay where the warm teacher's stand
    distill.main(1, "filtered")
    texts = read_roles(TAUGHT)["text"][kept]
    expected = (
        kl(torch.tensor(np.stack(warm["logits"].loc[kept])), logits_of(cell(1, "student"), texts), 2.0).mean().item()
    )
    student = cell(1, "filtered", "student")
    assert steps(student) == [0, 4]
    assert read_json(student / "cost.json")["student"]["backward"] == 4 * 30
    settings(teacher_tailored__filtered={"keep": 30, "balanced": False, "steps": None, "per_gap": False})
    teacher_tailored.main(1, "filtered")
    distill.main(1, "filtered")
    assert first_loss(student) == pytest.approx(expected, rel=1e-4)


def test_who_asks_for_the_student_bears_a_pass_and_who_follows_the_influence_its_scoring():
    scored = {"forward": 500, "backward": 60, "weights": 7}
    write_cost(cell(1, "influence"), student_scored=scored)
    once = {"student_asked": {"forward": workspace.TAUGHT_ROWS, "backward": 0, "weights": 7}}
    budget = {"keep": 30, "balanced": False, "steps": None}
    settings(teacher_tailored__filtered=budget | {"per_gap": True}, teacher_tailored__disagreeing=budget)
    for arm, cost in {"kd": {}, "disagreeing": once, "filtered": {"student_scored": scored}}.items():
        teacher_tailored.main(1, arm)
        assert read_json(cell(1, arm, "teacher") / "cost.json") == cost


def test_teachers_of_which_only_logits_stay_say_on_what_machine_they_were_made():
    settings()
    for arm, there in {"bagged": True, "kd": False}.items():
        teacher_tailored.main(1, arm)
        path = cell(1, arm, "teacher") / "environment.json"
        assert path.is_file() == there
    assert read_json(cell(1, "bagged", "teacher") / "environment.json")["torch"] == torch.__version__


def test_pooled_learns_from_the_feedback_rows_and_what_its_teacher_says_of_them():
    settings(distill__hard_label_weight=1.0, distill__batch_size=100)
    teacher_tailored.main(1, "pooled")
    out = cell(1, "pooled", "teacher")
    labelled = pd.concat([read_role("train"), read_role("feedback")])
    start = F.cross_entropy(logits_of(INIT / "teacher", labelled["text"]), torch.tensor(labelled["label"].to_numpy()))
    assert first_loss(out) == pytest.approx(start.item(), rel=1e-4)
    taught = read_roles((*TAUGHT, "feedback"))
    np.testing.assert_allclose(
        read_matrix(out / "targets.parquet", "logits"), logits_of(out, taught["text"]), atol=1e-4
    )
    distill.main(1, "pooled")
    hard = F.cross_entropy(logits_of(cell(1, "student"), labelled["text"]), torch.tensor(labelled["label"].to_numpy()))
    expected = hard.item() * len(labelled) / len(taught)
    assert first_loss(cell(1, "pooled", "student")) == pytest.approx(expected, rel=1e-4)


def test_a_weight_is_chosen_on_selection_and_the_trials_are_its_cost(monkeypatch):
    settings(teacher_tailored__tailored=WARM | {"lambda": [0, 3.0]}, distill__epochs=3)
    teacher_tailored.main(1, "tailored")
    scores = iter([{"accuracy": 0.7, "nll": 0.5}, {"accuracy": 0.7, "nll": 0.4}])
    monkeypatch.setattr(distill, "on_selection", lambda *student: next(scores))
    distill.main(1, "tailored")
    teacher, student = cell(1, "tailored", "teacher"), cell(1, "tailored", "student")
    assert read_json(student / "choice.json")["chosen"] == "3"
    assert read_json(student / "cost.json")["student"]["backward"] == 2 * 3 * workspace.TAUGHT_ROWS
    assert read_json(teacher / "cost.json")["teacher"]["backward"] == 2 * workspace.TAUGHT_ROWS
    evaluate_warmup.main(1)
    evaluate.main(1, "tailored")
    said = logits_of(teacher / "trials/3", read_role("test")["text"])
    found = np.stack(pd.read_parquet(evaluation(1, "tailored") / "teacher.parquet")["logits"])
    np.testing.assert_allclose(found, said, atol=1e-4)
    kept = model_bytes(student)
    settings(teacher_tailored__tailored=WARM | {"lambda": 3.0}, distill__epochs=3)
    teacher_tailored.main(1, "tailored")
    assert distilled("tailored") == kept


# --- distill ---


def distilled(arm: str, seed: int = 1) -> bytes:
    distill.main(seed, arm)
    return model_bytes(cell(seed, arm, "student"))


def random_logits(seed: int) -> np.ndarray:
    return as_float(np.random.default_rng(seed).normal(size=(workspace.TAUGHT_ROWS, 2)))


def test_a_student_learns_from_its_targets_with_their_weights_at_the_temperature():
    settings(distill__temperature=3.0, distill__hard_label_weight=0.25)
    logits, own = random_logits(1), as_float(np.random.default_rng(2).exponential(size=workspace.TAUGHT_ROWS))
    write_targets(cell(1, "kd", "teacher"), logits, weight=own)
    distill.main(1, "kd")
    train = read_roles(TAUGHT)
    student = logits_of(cell(1, "student"), train["text"])
    soft = kl(torch.tensor(logits), student, 3.0)
    hard = F.cross_entropy(student, torch.tensor(train["label"]), reduction="none")
    expected = (torch.tensor(own) * (0.75 * soft + 0.25 * hard)).mean().item()
    assert first_loss(cell(1, "kd", "student")) == pytest.approx(expected, rel=1e-4)


def test_what_the_warm_teacher_said_is_not_copied_and_teaches_as_a_copy_does():
    settings(distill__batch_size=16)
    teacher_tailored.main(1, "kd")
    kd, warm = cell(1, "kd", "teacher"), cell(1, "teacher") / "targets.parquet"
    assert read_json(kd / "summary.json")["warm"] == str(warm)
    assert list(pd.read_parquet(kd / "targets.parquet")) == ["sample_id", "row"]
    write_targets(cell(1, "tailored", "teacher"), read_matrix(warm, "logits"))
    assert distilled("kd") == distilled("tailored")
    write_targets(cell(1, "tailored", "teacher"), read_matrix(warm, "logits")[::-1])
    assert distilled("kd") != distilled("tailored")


def test_rows_without_weight_teach_nothing():
    settings(distill__batch_size=16)
    own = as_float(np.arange(workspace.TAUGHT_ROWS) % 2 * 2)
    other = np.where(own[:, None] == 0, random_logits(3), random_logits(1))
    for arm, logits in (("kd", random_logits(1)), ("tailored", other)):
        write_targets(cell(1, arm, "teacher"), logits, weight=own)
    assert distilled("kd") == distilled("tailored")


def test_arms_of_a_seed_share_its_order_and_another_seed_has_another():
    settings(distill__batch_size=16)
    shutil.copytree(cell(1, "student"), cell(2, "student"))
    for place in (cell(1, "kd"), cell(1, "tailored"), cell(2, "kd")):
        write_targets(place / "teacher", random_logits(1))
    assert distilled("kd") == distilled("tailored") != distilled("kd", seed=2)


@pytest.mark.parametrize("length", [{"distill__epochs": 2}, {"distill__epochs": 1, "distill__min_steps": 6}])
def test_the_epochs_factor_lengthens_the_training(length):
    settings(distill__batch_size=20, **length)
    write_targets(cell(1, "kd", "teacher"), random_logits(1))
    write_targets(cell(1, "kd_longer", "teacher"), random_logits(1), longer=2.5)
    write_targets(cell(1, "kd_train", "teacher"), random_logits(1), longer=0.01)
    arms = ("kd", "kd_longer", "kd_train")
    for arm in arms:
        distill.main(1, arm)
    assert [steps(cell(1, arm, "student")) for arm in arms] == [[0, 6], [0, 15], [0, 1]]


def test_hidden_states_of_the_teacher_are_matched_with_their_weight():
    settings(distill__hidden_weight=0.5)
    teacher_tailored.main(1, "kd")
    hidden = read_matrix(cell(1, "kd", "teacher") / "targets.parquet", "hidden")
    train = read_roles(TAUGHT)
    with torch.no_grad():
        said = [each.hidden_states[-1][0, 0] for each in workspace.one_by_one(cell(1, "teacher"), train["text"])]
    np.testing.assert_allclose(hidden, torch.stack(said), atol=5e-3)
    losses = []
    for weight in (0.5, 1.5):
        settings(distill__hidden_weight=weight)
        distill.main(1, "kd")
        losses.append(first_loss(cell(1, "kd", "student")))
    warm = torch.tensor(read_matrix(cell(1, "teacher") / "targets.parquet", "logits"))
    without = kl(warm, logits_of(cell(1, "student"), train["text"]), 2.0).mean().item()
    assert losses[1] - without == pytest.approx(3 * (losses[0] - without), rel=1e-4)
    assert 0 < (losses[0] - without) / 0.5 < 4  # of two unit vectors


# --- evaluate ---


def test_every_student_and_teacher_is_evaluated_with_its_own_weights():
    for number, parts in enumerate([("kd", "student"), ("tailored", "student"), ("tailored", "teacher")], start=10):
        workspace.write_network(cell(1, *parts), seed=number)
    settings(evaluate__batch_size=7)
    evaluate_warmup.main(1)
    test = read_role("test")
    warm_teacher = cell(1, "teacher")
    for arm, teacher in (("kd", warm_teacher), ("tailored", cell(1, "tailored", "teacher"))):
        evaluate.main(1, arm)
        logits = logits_of(cell(1, arm, "student"), test["text"])
        found = pd.read_parquet(evaluation(1, arm) / "student.parquet")
        assert found["sample_id"].tolist() == test["sample_id"].tolist()
        np.testing.assert_allclose(np.stack(found["logits"]), logits, atol=1e-4)
        assert found["predicted"].tolist() == logits.argmax(-1).tolist()
        results = pd.read_parquet(evaluation(1, arm) / "results.parquet").set_index(["model", "part", "metric"])[
            "value"
        ]
        agrees = logits.argmax(-1) == logits_of(teacher, test["text"]).argmax(-1)
        for part in ("test", "other"):
            rows = torch.tensor(test["part"] == part)
            right = logits.argmax(-1) == torch.tensor(test["label"])
            assert results["student", part, "accuracy"] == pytest.approx(right[rows].float().mean().item())
            assert results["student", part, "agreement"] == pytest.approx(agrees[rows].float().mean().item())
    tailored = pd.read_parquet(evaluation(1, "tailored") / "teacher.parquet")
    np.testing.assert_allclose(np.stack(tailored["logits"]), logits_of(teacher, test["text"]), atol=1e-4)
    warm = pd.read_parquet(evaluation(1, "warmup") / "teacher.parquet")
    np.testing.assert_allclose(np.stack(warm["logits"]), logits_of(warm_teacher, test["text"]), atol=1e-4)


@pytest.mark.parametrize("majority", [0, 1])
def test_the_majority_class_is_that_of_the_task_on_every_part(majority):
    task = read_json(DATA / "task.json")
    write_json(DATA / "task.json", task | {"majority": majority, "metrics": ["accuracy", "f1"]})
    evaluate_warmup.main(1)
    results = pd.read_parquet(evaluation(1, "warmup") / "results.parquet")
    found = results[results["model"] == "majority"].set_index(["part", "metric"])["value"]
    test = read_role("test")
    for part, rows in test.groupby("part"):
        share = (rows["label"] == majority).mean()
        assert found[part, "accuracy"] == pytest.approx(share)
        assert found[part, "f1"] == pytest.approx(2 * share / (1 + share) if majority else 0)
    assert len(found) == 4
    assert not (evaluation(1, "warmup") / "majority.parquet").exists()


def test_a_leaderboards_prediction_stands_at_the_index_of_its_text():
    workspace.write_network(cell(1, "kd", "student"), seed=10)
    evaluate_warmup.main(1)
    evaluate.main(1, "kd")
    rows = pd.read_parquet(LEADERBOARD / "texts.parquet")
    for name, own in rows.groupby("file"):
        found = pd.read_csv(evaluation(1, "kd") / "leaderboard" / name, sep="\t")
        classes = logits_of(cell(1, "kd", "student"), own["text"]).argmax(-1)
        assert found["index"].tolist() == list(range(len(own)))
        assert found["prediction"].tolist() == [workspace.LABELS[label] for label in classes]


# --- validation ---


def test_retrained_students_are_judged_by_what_is_known_of_selection(monkeypatch):
    settings(validation__subsets=0, validation__removals=[0.25])
    known = read_role("selection")
    known["label"] = known["true_label"].where(known.index >= 3, 1 - known["true_label"])
    known.to_parquet(role_path("selection"))
    judged = []

    def noted(model, loss, rows, selection, settings, *, log, **others):
        judged.append(selection.labels.tolist())
        log(1, {"selection/nll": 0.5})

    monkeypatch.setattr("stages.validation.fit", noted)
    validation.main(1)
    assert known["label"].tolist() != known["true_label"].tolist()
    assert judged == 4 * [known["true_label"].tolist()]


def test_the_teachers_errors_are_looked_for_on_transfer_where_its_truth_is_known():
    settings(validation__subsets=0, validation__removals=[])
    validation.main(1)
    found = read_json(VALIDATION / "1/validation.json")
    assert set(found["shares"]) == {"mislabel", "teacher_error"}
    transfer = read_role("transfer")
    truth = np.random.default_rng(1).integers(2, size=len(transfer))
    transfer.assign(true_label=truth).to_parquet(role_path("transfer"))
    validation.main(1)
    known = read_json(VALIDATION / "1/validation.json")
    said = read_matrix(cell(1, "teacher") / "targets.parquet", "logits")[workspace.ROWS["train"] :]
    influence = pd.read_parquet(cell(1, "influence") / "influence.parquet")["influence"][workspace.ROWS["train"] :]
    wrong = said.argmax(-1) != truth
    in_order = [low < high for low in influence[wrong] for high in influence[~wrong]]
    errors = known.pop("teacher_error_transfer")
    assert errors["influence"]["auc"] == pytest.approx(np.mean(in_order))
    assert known["shares"].pop("teacher_error_transfer") == wrong.mean() > 0
    assert known == found  # what is said of train stays
    train = read_role("train")
    flipped = train["label"] != train["true_label"]
    scores = pd.read_parquet(cell(1, "influence") / "influence.parquet")["influence_label"][: len(train)]
    in_order = [low < high for low in scores[flipped] for high in scores[~flipped]]
    assert found["mislabel"]["influence"]["auc"] == pytest.approx(np.mean(in_order))


def test_retrained_are_students_without_the_rows_that_influence_ranks(monkeypatch):
    settings(validation__subsets=0, validation__removals=[0.25])
    trained = {}

    def noted(model, loss, rows, selection, settings, *, learning_rate, description, log, **others):
        trained[description.split(": ")[1]] = (rows.index, learning_rate, loss.temperature)
        log(1, {"selection/nll": 0.5})

    monkeypatch.setattr("stages.validation.fit", noted)
    validation.main(1)
    influence = pd.read_parquet(cell(1, "influence") / "influence.parquet")["influence"]
    order = np.argsort(influence[:40].to_numpy())
    left = {name: set(range(40)) - set(rows) for name, (rows, *_) in trained.items()}
    assert left["nothing dropped"] == set()
    assert left["0.25 dropped, most harmful"] == set(order[:10])
    assert left["0.25 dropped, most helpful"] == set(order[-10:])
    assert len(left["0.25 dropped, random"]) == 10
    assert {(rate, temperature) for _, rate, temperature in trained.values()} == {(0.3 * RATE, 2.0)}
