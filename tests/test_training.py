"""The training loop: it learns, repeats itself, keeps what it should, and stops on a loss that is not finite."""

import copy
import math
import traceback
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from accelerate.state import AcceleratorState
from torch.utils._python_dispatch import TorchDispatchMode

from lgtm.errors import UserError
from lgtm.networks.encoding import ByLength, EncodedTexts, by_length, ordered_batches, training_batches
from lgtm.networks.losses import LabelLoss, Loss
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.models import classifier, freeze_embeddings
from lgtm.networks.training import LOOKED_AT, count_steps, fit, predict

SETTINGS = dict(
    epochs=8,
    min_steps=0,
    batch_size=8,
    warmup_ratio=0.1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    evaluations=4,
    keep="best",
)


@pytest.fixture(scope="module")
def data():
    return EncodedTexts(tiny.table(64), tiny.tokenizer(), max_length=16)


@pytest.fixture(scope="module")
def selection():
    return EncodedTexts(tiny.table(16, start=64), tiny.tokenizer(), max_length=16)


def run(
    data,
    selection,
    *,
    loss=None,
    learning_rate=3e-3,
    seed=1,
    precision="fp32",
    start=True,
    model=None,
    how=None,
    **changes,
):
    # A process has one precision; here it is each run's own.
    AcceleratorState._reset_state(reset_partial_state=True)
    curves, settings = [], SimpleNamespace(**SETTINGS | changes)
    model = model or tiny.model("bert", num_labels=2, attention="sdpa")
    fitted = fit(
        model,
        loss or LabelLoss(),
        data,
        selection,
        settings,
        steps=count_steps(len(data), settings),
        learning_rate=learning_rate,
        precision=precision,
        seed=seed,
        metrics=["accuracy"],
        description="test",
        start=start,
        **{"log": lambda step, values: curves.append({"step": step} | values)} | (how or {}),
    )
    return model, fitted, curves


def test_it_learns_and_logs_evenly(data, selection):
    model, fitted, curves = run(data, selection)
    assert [point["step"] for point in curves] == [0, 16, 32, 48, 64]
    assert curves[-1]["train/loss"] < curves[1]["train/loss"]
    assert (predict(model, selection, 4).argmax(-1) == selection.labels).mean() == 1.0
    assert set(fitted.second_moments) == {name for name, _ in model.named_parameters()}
    assert all((moment >= 0).all() for moment in fitted.second_moments.values())


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(data, selection):
    first, again, other = (run(data, selection, seed=seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_best_keeps_the_best_evaluation_and_last_the_last(data, selection):
    # A learning rate that destroys what it has learnt: the best evaluation is not the last.
    for keep in ("best", "last"):
        model, fitted, curves = run(data, selection, learning_rate=0.3, seed=3, keep=keep)
        scores = [(point["selection/accuracy"], -point["selection/nll"]) for point in curves]
        wanted = scores.index(max(scores)) if keep == "best" else len(scores) - 1
        assert fitted.step == curves[wanted]["step"]
        accuracy = (predict(model, selection, 8).argmax(-1) == selection.labels).mean()
        assert accuracy == pytest.approx(scores[wanted][0])


def test_a_model_that_training_makes_worse_on_selection_is_kept_as_it_came(data):
    """On labels turned round whatever is learnt is wrong: the best is step 0, but only where the best is kept."""
    turned = tiny.table(16, start=64)
    turned = EncodedTexts(turned.assign(label=1 - turned["label"]), tiny.tokenizer(), max_length=16)
    came = tiny.model("bert", num_labels=2, attention="sdpa")
    said = evaluate_logits(predict(came, turned, 8), turned.labels, ["accuracy"])
    for keep, step in (("best", 0), ("last", 64)):
        model, fitted, curves = run(data, turned, keep=keep)
        assert curves[0] == {"step": 0} | {f"selection/{name}": value for name, value in said.items()}
        assert fitted.step == step
        same = [torch.equal(value, came.state_dict()[name]) for name, value in model.state_dict().items()]
        assert all(same) == (keep == "best")
        if keep == "best":
            assert not any(moment.any() for moment in fitted.second_moments.values())
            assert set(fitted.second_moments) == {name for name, _ in model.named_parameters()}


def test_to_be_asked_before_the_first_step_changes_no_step(data, selection):
    """With dropout, which draws from the same numbers as a pass over data does."""
    asked, not_asked = (run(data, selection, keep="last", start=start) for start in (True, False))
    assert asked[2][1:] == not_asked[2]
    assert all(torch.equal(value, not_asked[0].state_dict()[name]) for name, value in asked[0].state_dict().items())


def test_part_of_an_epoch_is_enough(data, selection):
    _, fitted, curves = run(data, selection, epochs=0.5, evaluations=1, keep="last")
    assert [point["step"] for point in curves] == [0, 4]
    assert fitted.step == 4


@pytest.mark.parametrize(("epochs", "least", "steps"), [(1, 0, 8), (1, 20, 20), (3, 20, 24), (0.1, 3, 3), (0, 20, 0)])
def test_a_least_number_of_steps_is_taken_but_none_in_no_epochs(data, selection, epochs, least, steps):
    settings = SimpleNamespace(**SETTINGS | {"epochs": epochs, "min_steps": least})
    assert count_steps(len(data), settings) == steps
    _, fitted, curves = run(data, selection, epochs=epochs, min_steps=least, keep="last", evaluations=2)
    assert fitted.step == curves[-1]["step"] == steps


@pytest.mark.parametrize("keep", ["best", "last"])
def test_without_a_step_the_model_is_what_it_was(data, selection, keep):
    model, fitted, curves = run(data, selection, epochs=0, keep=keep, loss=Broken())
    before = tiny.model("bert", num_labels=2)
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in model.state_dict().items())
    assert fitted.step == 0
    assert {n: v.shape for n, v in fitted.second_moments.items()} == {n: p.shape for n, p in model.named_parameters()}
    assert not any(moment.any() for moment in fitted.second_moments.values())
    nll = evaluate_logits(predict(before, selection, 8), selection.labels, ["accuracy"])["nll"]
    assert [(point["step"], point["selection/nll"]) for point in curves] == [(0, pytest.approx(nll))]


class Seen(LabelLoss):
    """The labels' loss, noting whether the steps' logits are bf16 numbers."""

    def forward(self, outputs, batch):
        self.rounded = torch.equal(outputs.logits, outputs.logits.bfloat16().float())
        return super().forward(outputs, batch)


def test_after_bf16_a_network_says_what_it_says_when_it_is_loaded_again(data, selection, tmp_path):
    loss = Seen()
    model, fitted, curves = run(data, selection, loss=loss, precision="bf16", keep="last", epochs=2)
    assert loss.rounded
    model.save_pretrained(tmp_path)
    again = classifier(tmp_path, tiny.LABELS)
    for said, says in zip(predict(model, data, 8, hidden=True), predict(again, data, 8, hidden=True), strict=True):
        np.testing.assert_array_equal(said, says)
    # Chosen, too, by what is saved: the last evaluation is that of the loaded network, to the last digit.
    nll = evaluate_logits(predict(again, selection, 8), selection.labels, ["accuracy"])["nll"]
    assert curves[-1]["selection/nll"] == nll
    assert fitted.step == curves[-1]["step"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is for GPUs")
def test_fp16_without_a_gpu_is_refused_and_not_quietly_left_out(data, selection):
    with pytest.raises(
        UserError, match=r"^params.yaml: precision: fp16 needs a GPU, and there is none; use fp32 or bf16"
    ):
        run(data, selection, precision="fp16")


class Broken(Loss):
    def forward(self, outputs, batch):
        return outputs.logits.sum() * math.nan


def test_a_loss_that_is_not_finite_stops_with_one_line(data, selection):
    with pytest.raises(UserError, match=r"the loss is nan at step 1; .*learning rate \(now 0.003") as error:
        run(data, selection, loss=Broken())
    assert "\n" not in str(error.value)


class BrokenAt(LabelLoss):
    """Not a number at one step alone, and at every later one that its gradient has reached."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def forward(self, outputs, batch):
        self.left -= 1
        return super().forward(outputs, batch) * (math.nan if self.left == 0 else 1.0)


def test_the_first_step_that_was_not_finite_is_named_and_nothing_is_kept_of_it(data, selection):
    """It is looked for where the loop waits for the device anyway, and before anything is handed over."""
    for step in (16, 17, 21):  # evaluations after 16 and 32 steps, an earlier checkpoint after 21
        logged, kept = [], []
        how = {"earlier": 2, "keep_earlier": kept.append, "log": lambda step, values, to=logged: to.append(step)}
        with pytest.raises(UserError, match=rf"the loss is nan at step {step}; nothing was kept. Lower the learning"):
            run(data, selection, loss=BrokenAt(step), how=how)
        assert logged == [0] + [16] * (step > 16)
        assert kept == []


def test_a_loss_that_is_not_finite_ends_a_long_run_soon(data, selection):
    loss = BrokenAt(2)
    with pytest.raises(UserError, match="the loss is nan at step 2;"):
        run(data, selection, loss=loss, epochs=100, evaluations=1)
    assert 2 - loss.left == LOOKED_AT


class Looks(TorchDispatchMode):
    """Counts how often a number is fetched from a tensor, which waits for a GPU: but not transformers' own asking."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default):
            self.count += not any("transformers" in frame.filename for frame in traceback.extract_stack())
        return function(*args, **kwargs or {})


def test_no_step_waits_for_the_device(data, selection):
    counts = []
    for batch_size in (8, 4):
        with Looks() as looks:
            run(data, selection, batch_size=batch_size, epochs=1, evaluations=1)
        counts.append(looks.count)
    assert 0 < counts[0] == counts[1]


def without_dropout():
    model = tiny.model("bert", num_labels=2, attention="sdpa").double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def shapes_of(model):
    """The list to which rows and width of every training batch go from now on."""
    seen = []

    def note(module, args, inputs):
        if module.training:
            seen.append(tuple(inputs["input_ids"].shape))

    model.register_forward_pre_hook(note, with_kwargs=True)
    return seen


def test_a_batch_in_parts_makes_the_step_of_the_whole(data, selection):
    """Its mean counts every row alike, though of 16 rows, 7 at once, the last part has 2."""
    models = [without_dropout(), without_dropout()]
    whole, parted = (shapes_of(model) for model in models)
    tokens = 7 * int(data.lengths.max())
    curves = [
        run(data, selection, model=model, batch_size=24, epochs=2, keep="last", how={"tokens_at_once": limit})[2]
        for model, limit in zip(models, (None, tokens), strict=True)
    ]
    assert {rows for rows, _ in whole} == {24, 16}
    assert sum(rows for rows, _ in parted) == 128
    assert max(rows * width for rows, width in parted) <= tokens
    assert {7, 2} <= {rows for rows, _ in parted}
    for name, value in models[0].state_dict().items():
        torch.testing.assert_close(value, models[1].state_dict()[name], rtol=1e-6, atol=1e-8, msg=name)
    assert curves[0][-1] == pytest.approx(curves[1][-1])


def test_a_row_that_is_too_long_is_taken_alone(data, selection):
    model = without_dropout()
    seen = shapes_of(model)
    run(data, selection, model=model, epochs=1, how={"tokens_at_once": 1})
    assert [rows for rows, _ in seen] == [1] * 64


def test_frozen_embeddings_stay_what_they_are(data, selection):
    model = tiny.model("bert", num_labels=2, attention="sdpa")
    freeze_embeddings(model)
    came = copy.deepcopy(model.state_dict())
    model, fitted, _ = run(data, selection, model=model, keep="last")
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, came[name])}
    assert {name for name, _ in model.named_parameters()} - moved == {"bert.embeddings.word_embeddings.weight"}
    assert not fitted.second_moments["bert.embeddings.word_embeddings.weight"].any()


def test_prediction_keeps_the_order_and_ignores_padding(data):
    model = tiny.model("bert", num_labels=2)
    # 24: where lengths change within a batch, so that there is padding. Alone: without predict, whose order is asked.
    together = predict(model, data, batch_size=24)
    tokenizer = tiny.tokenizer()
    alone = [tokenizer(text, return_tensors="pt") for text in tiny.table(64)["text"]]
    one_by_one = torch.cat([model(**row).logits for row in alone]).detach()
    assert together.shape == (64, 2)
    np.testing.assert_allclose(together, one_by_one, atol=1e-5)
    logits, hidden = predict(model, data, batch_size=16, hidden=True)
    np.testing.assert_allclose(logits, together, atol=1e-6)
    assert hidden.shape == (64, 16)
    assert hidden.dtype == np.float16


def test_training_batches_cover_every_row_once_in_a_new_order_each_time(data):
    batches = training_batches(data, 8, torch.Generator().manual_seed(0))
    first, second = ([index for batch in batches for index in batch["index"].tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(64))
    assert first != second


def lengths_of(rows):
    """As ragged as phrases are: most are short."""
    return (3 + np.random.default_rng(0).geometric(0.08, rows).clip(max=60)).tolist()


def cut(rows, batch_size):
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def padding(batches, lengths):
    tokens = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    return 1 - sum(lengths) / tokens


@pytest.mark.parametrize("rows", [5, 32, 350, 960, 961, 5000])
def test_every_row_stands_once_in_batches_that_are_full_but_for_the_last(rows):
    order = ByLength(lengths_of(rows), 32, torch.Generator().manual_seed(0))
    first, second = list(order), list(order)
    assert sorted(first) == sorted(second) == list(range(rows))
    assert first != second or rows < 32


def test_a_seed_is_an_order():
    first, again, other = (list(ByLength(lengths_of(350), 32, torch.Generator().manual_seed(n))) for n in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(("rows", "batch_size"), [(350, 16), (960, 32), (5000, 16)])
def test_padding_of_training_batches(rows, batch_size):
    """A small set's is what sorting all of it leaves; a large one's stays low though a text's company changes."""
    lengths = lengths_of(rows)
    found = padding(cut(list(ByLength(lengths, batch_size, torch.Generator().manual_seed(0))), batch_size), lengths)
    sorted_ = padding(cut(sorted(range(rows), key=lengths.__getitem__), batch_size), lengths)
    # Besides, a batch that is not full is cut out anywhere, and the ones behind it begin in between.
    assert sorted_ <= found < 1.5 * sorted_ if rows < 100 * batch_size else sorted_ < found < 0.05
    assert padding(cut(list(range(rows)), batch_size), lengths) > 0.5


def test_the_batch_that_is_not_full_is_of_no_length():
    """A row in it weighs more: the longest ones would in every pass."""
    lengths = lengths_of(84)
    order = ByLength(lengths, 16, torch.Generator().manual_seed(0))
    left = [frozenset(list(order)[80:]) for _ in range(40)]
    assert all(len(rows) == 4 for rows in left)
    assert len({row for rows in left for row in rows}) > 20
    longest = sorted(lengths)[-4:]
    assert sum(sorted(lengths[row] for row in rows) == longest for rows in left) < 20


def test_batches_come_in_random_order_and_equal_rows_in_random_company():
    lengths = lengths_of(960)
    order = ByLength(lengths, 32, torch.Generator().manual_seed(0))
    passes = [cut(list(order), 32) for _ in range(4)]
    longest = {max(range(30), key=lambda number, own=own: lengths[own[number][-1]]) for own in passes}
    assert len(longest) > 1
    company = [{frozenset(batch) for batch in own} for own in passes]
    assert len(company[0] & company[1]) < 5


def test_batches_of_similar_length_carry_little_padding(data):
    batches = ordered_batches(data, 8, by_length(data), torch.device("cpu"), "test")
    padded = sum(batch["input_ids"].numel() for batch in batches)
    assert padded == sum(data.lengths)


def test_a_part_is_what_encoding_those_rows_gives_with_their_places_in_the_whole(data):
    rows = [7, 3, 40]
    part, alone = data.take(rows), EncodedTexts(tiny.table(64).iloc[rows], tiny.tokenizer(), max_length=16)
    assert [item | {"index": rows[item["index"]]} for item in alone] == list(part)
    assert list(part.lengths) == list(alone.lengths)
    assert data.take(range(64)).take([63])[0] == data[63]
    assert len(data.take([])) == 0
    assert len(data) == 64


def test_texts_are_truncated(data):
    short = EncodedTexts(tiny.table(4), tiny.tokenizer(), max_length=3)
    assert max(short.lengths) == 3
