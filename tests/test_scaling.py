"""The arithmetic of sizes: against a sum by hand, and a measurement that fails where it did not run."""

from dataclasses import replace

import pytest

from benchmarks import scaling
from lgtm.errors import UserError
from lgtm.networks.cost import Passes

SIZE = scaling.Size(
    rows=1000, labelled=100, tokens=10, classes=2, teacher=50, student=5,
    warmup_epochs=3, retrain_epochs=2, distill_epochs=4, influence_passes=2,
)  # fmt: skip


def test_operations_are_passes_times_weights_times_tokens():
    works = {work.stage: (work.forward, work.training) for work in scaling.stages(SIZE)}
    assert works == {
        "prepare": (0, 0),
        "teacher_warmup": (2 * 50 * 10 * 1000, 3 * 2 * 50 * 10 * 100 * 3),
        "student_warmup": (0, 3 * 2 * 5 * 10 * 100 * 3),
        "influence": (2 * 2 * 5 * 10 * 1000, 0),
        "teacher_tailored": (2 * 50 * 10 * 1000, 3 * 2 * 50 * 10 * 1000 * 2),
        "distill": (0, 3 * 2 * 5 * 10 * 1000 * 4),
    }


def test_hours_are_of_forward_and_training_rates_apart():
    machine = scaling.Machine("m", forward=1e3, training=1e2, price=1.0)
    assert machine.hours([scaling.Work("a", 3.6e6, 3.6e5, 0), scaling.Work("b", 0, 3.6e5, 0)]) == 1 + 1 + 1


def test_the_ratio_is_of_the_whole_to_the_stages_of_plain_distillation():
    machine = scaling.Machine("m", 1e3, 1e3, 1.0)
    works = scaling.stages(replace(SIZE, retrain_epochs=0))
    last = list(scaling.table(works, [machine]))[-1]
    plain = sum(work.forward + work.training for work in works if work.stage in scaling.PLAIN)
    assert float(last.split()[-1]) == pytest.approx(sum(w.forward + w.training for w in works) / plain, abs=0.005)


def test_it_fails_where_a_pass_did_not_run(monkeypatch):
    monkeypatch.setattr(scaling, "MEASURED", {**scaling.MEASURED, "num_hidden_layers": 1, "hidden_size": 24})
    monkeypatch.setattr(scaling, "STEPS", 2)
    assert min(scaling.measured(tokens=4)) > 0
    monkeypatch.setattr(Passes, "_add_backward", lambda self, gradient: None)
    with pytest.raises(UserError, match="samples went forward and backward"):
        scaling.measured(tokens=4)
