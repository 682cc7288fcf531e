"""The training loop: it learns, repeats itself, keeps what it should, and stops on a loss that is not finite."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from accelerate.state import AcceleratorState

from lgtm.errors import UserError
from lgtm.networks.encoding import EncodedTexts, by_length, ordered_batches, training_batches
from lgtm.networks.losses import LabelLoss, Loss
from lgtm.networks.metrics import evaluate_logits
from lgtm.networks.models import classifier
from lgtm.networks.training import count_steps, fit, predict

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


def run(data, selection, *, loss=None, learning_rate=3e-3, seed=1, precision="fp32", start=True, **changes):
    # A process has one precision; here it is each run's own.
    AcceleratorState._reset_state(reset_partial_state=True)
    curves, settings = [], SimpleNamespace(**SETTINGS | changes)
    model = tiny.model("bert", num_labels=2, attention="sdpa")
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
        log=lambda step, values: curves.append({"step": step} | values),
        description="test",
        start=start,
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


def test_batches_of_similar_length_carry_little_padding(data):
    batches = ordered_batches(data, 8, by_length(data), torch.device("cpu"), "test")
    padded = sum(batch["input_ids"].numel() for batch in batches)
    assert padded == sum(data.lengths)


def test_a_part_is_what_encoding_those_rows_gives_with_their_places_in_the_whole(data):
    rows = [7, 3, 40]
    part, alone = data.take(rows), EncodedTexts(tiny.table(64).iloc[rows], tiny.tokenizer(), max_length=16)
    assert [item | {"index": rows[item["index"]]} for item in alone] == list(part)
    assert part.lengths == alone.lengths
    assert len(data.take(range(64)).take([63])) == 1
    assert len(data) == 64


def test_texts_are_truncated(data):
    short = EncodedTexts(tiny.table(4), tiny.tokenizer(), max_length=3)
    assert max(short.lengths) == 3
