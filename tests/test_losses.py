"""The losses against their formulas; the tailored teacher's optimum is in test_arms.py."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from lgtm.influence.identity import distillation_influence
from lgtm.networks.losses import DistillationLoss, HiddenMatching, LabelLoss, TailoringLoss
from lgtm.networks.storage import DiskTable

ROWS, CLASSES = 12, 3


def random(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch_of(index):
    return {"index": torch.tensor(index), "labels": torch.tensor(index) % CLASSES}


def outputs(logits, hidden=None):
    return SimpleNamespace(logits=logits, hidden_states=hidden)


def test_distillation_looks_up_its_rows_and_mixes_the_labels():
    teacher, batch = random(ROWS, CLASSES, seed=0), batch_of([5, 2, 9])
    logits = random(3, CLASSES, seed=1)
    temperature, mix = 3.0, 0.25
    target = (teacher[batch["index"]] / temperature).softmax(-1)
    soft = (target * (target.log() - (logits / temperature).log_softmax(-1))).sum(-1).mean() * temperature**2
    expected = (1 - mix) * soft + mix * F.cross_entropy(logits, batch["labels"])
    found = DistillationLoss(teacher, temperature, mix)(outputs(logits), batch)
    torch.testing.assert_close(found, expected)


def test_a_table_on_disk_teaches_what_one_in_memory_does_also_when_its_teacher_moves():
    teacher, hidden, weights = random(ROWS, CLASSES, seed=0), random(ROWS, 4, seed=1).half(), torch.rand(ROWS)
    batch, moved = batch_of([5, 2, 9]), batch_of([9, 5])
    said = outputs(random(3, CLASSES, seed=2), [random(3, 2, 6, seed=3)])
    new = outputs(random(2, CLASSES, seed=4), [random(2, 2, 4, seed=5)])
    found = []
    for table in (torch.clone, lambda rows: DiskTable([rows.numpy()])):
        logits, states = table(teacher), table(hidden)
        torch.manual_seed(0)
        loss = HiddenMatching(DistillationLoss(logits, 2.0, 0.3, weights), states, student_width=6, weight=0.5)
        found.append([loss(said, batch)])
        loss.retarget(moved["index"], new)
        found[-1].append(loss(said, batch))
        assert torch.equal(logits[moved["index"]], new.logits)
        assert torch.equal(states[moved["index"]], new.hidden_states[-1][:, 0].half())
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_distillation_from_oneself_is_zero_and_has_no_gradient():
    teacher, batch = random(ROWS, CLASSES, seed=0), batch_of([0, 1, 2])
    logits = teacher[:3].clone().requires_grad_()
    loss = DistillationLoss(teacher, 2.0, 0.0)(outputs(logits), batch)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert logits.grad.abs().max() < 1e-6


def test_hidden_matching_is_zero_for_parallel_states():
    hidden = random(ROWS, 4, seed=0)
    loss = HiddenMatching(LabelLoss(), hidden, student_width=4, weight=10.0)
    loss.projection.weight.data = torch.eye(4)
    batch, logits = batch_of([3, 4]), random(2, CLASSES, seed=1)
    same = 7 * hidden[3:5, None]
    torch.testing.assert_close(loss(outputs(logits, [same]), batch), LabelLoss()(outputs(logits), batch))
    assert loss(outputs(logits, [-same]), batch) > LabelLoss()(outputs(logits), batch) + 39


def tailoring(warm, student, tangents, **changes):
    settings = dict(
        anchor="warm_teacher", student_weight=0.0, influence_weight=1.5, temperature=1.0, hard_label_weight=0.0
    )
    return TailoringLoss(warm, student, tangents, **settings | changes)


def test_the_tailoring_gradient_is_the_influence_gradient():
    warm, student, tangents = (random(ROWS, CLASSES, seed=seed) for seed in range(3))
    batch = batch_of(list(range(ROWS)))
    for temperature, mix in ((1.0, 0.0), (2.0, 0.3)):
        kind = dict(temperature=temperature, hard_label_weight=mix)
        logits = random(ROWS, CLASSES, seed=3).requires_grad_()
        on, off = (tailoring(warm, student, tangents, influence_weight=w, **kind) for w in (1.0, 0.0))
        (found,) = torch.autograd.grad(off(outputs(logits), batch) - on(outputs(logits), batch), logits)
        influence = distillation_influence(student, tangents, logits, batch["labels"], **kind).mean()
        (expected,) = torch.autograd.grad(influence, logits)
        torch.testing.assert_close(found, expected)


def written_out_kl(logits, other, temperature):
    """T² KL of two rows, a sum over classes."""
    p, q = (torch.exp(row / temperature) / torch.exp(row / temperature).sum() for row in (logits, other))
    return temperature**2 * sum(p[c] * (torch.log(p[c]) - torch.log(q[c])) for c in range(CLASSES))


@pytest.mark.parametrize("anchor", ["warm_teacher", "labels"])
def test_the_tailoring_loss_is_its_formula_row_by_row(anchor):
    warm, student, tangents, logits = (random(ROWS, CLASSES, seed=seed) for seed in range(4))
    weights, batch, temperature, mix = torch.rand(ROWS) + 0.5, batch_of([7, 2, 9]), 3.0, 0.25
    kind = dict(anchor=anchor, temperature=temperature, hard_label_weight=mix, student_weight=0.4)
    found = tailoring(warm, student, tangents, influence_weight=1.5, weights=weights, **kind)(
        outputs(logits[batch["index"]]), batch
    )
    expected = 0.0
    for row, label in zip(batch["index"], batch["labels"], strict=True):
        said = logits[row]
        to_warm = written_out_kl(said, warm[row], temperature)
        held = to_warm if anchor == "warm_teacher" else -said.log_softmax(-1)[label]
        towards = 0.4 * written_out_kl(said, student[row], temperature)
        harm = (1 - mix) * temperature * ((said / temperature).softmax(-1) * tangents[row]).sum()
        expected += weights[row] * held + towards + 1.5 * harm
    torch.testing.assert_close(found, expected / 3)


def test_with_influence_the_optimum_leans_to_what_lowers_the_feedback_loss():
    """A step on a teacher that asks for the classes with negative tangents moves the student against v."""
    warm, student = torch.zeros(1, CLASSES), torch.zeros(1, CLASSES)
    tangents = torch.tensor([[1.0, 0.0, -1.0]])  # along v, which raises the feedback loss, the first logit grows
    logits = warm.clone().requires_grad_()
    tailoring(warm, student, tangents, temperature=2.0)(outputs(logits), batch_of([0])).backward()
    assert (-logits.grad[0]).argsort().tolist() == [0, 1, 2]


def test_without_influence_the_anchor_decides():
    warm, student, tangents = (random(ROWS, CLASSES, seed=seed) for seed in range(3))
    batch = batch_of([1, 2])
    at_warm = outputs(warm[1:3])
    assert abs(tailoring(warm, student, tangents, influence_weight=0.0)(at_warm, batch)) < 1e-6
    labels = tailoring(warm, student, tangents, influence_weight=0.0, anchor="labels")
    torch.testing.assert_close(labels(at_warm, batch), LabelLoss()(at_warm, batch))
    towards = tailoring(warm, student, tangents, influence_weight=0.0, student_weight=2.0)
    gaps = [written_out_kl(warm[row], student[row], 1.0) for row in (1, 2)]
    torch.testing.assert_close(towards(at_warm, batch), 2 * sum(gaps) / 2)
