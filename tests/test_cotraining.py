"""Co-training against the papers' equations written out: deep copies, per-sample gradients, plain autograd."""

import copy
import importlib
import math
from types import SimpleNamespace

import pytest
import tiny
import torch
from torch.func import functional_call, jvp
from torch.nn import functional as F

from lgtm.arms.shared import cotraining
from lgtm.arms.shared.cotraining import CoTeacher, tentative_step
from lgtm.arms.shared.lesson import CoTraining, InfluenceTerm
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.networks.encoding import EncodedTexts, training_batches
from lgtm.networks.losses import DistillationLoss, HiddenMatching, inputs_of
from lgtm.networks.models import train_wordpiece
from lgtm.networks.training import count_steps, fit
from lgtm.params import TeacherTailored

ROWS, CLASSES, SEED = 24, 2, 3
SETTINGS = SimpleNamespace(
    epochs=1,
    min_steps=0,
    batch_size=8,
    warmup_ratio=0.0,
    weight_decay=0.01,
    max_grad_norm=1.0,
    evaluations=1,
    keep="last",
    temperature=2.0,
)
STUDENT_RATE, TEACHER_RATE = 2e-3, 1e-3
ONLINE = CoTraining(0.6, 0.0, 0.4, InfluenceTerm(0.7, False, "adamw"), 1.0, None)


def settings_of(arm):
    section = read_yaml(tiny.ROOT / "params.yaml")["teacher_tailored"]
    return getattr(TeacherTailored.model_validate(section), arm)


def method_of(arm):
    return importlib.import_module(f"lgtm.arms.{arm}").co_training(settings_of(arm))


class Pair:
    """A tiny student and teacher of different kinds and vocabularies, with what each reads."""

    def __init__(self, dropout=0.0, dtype=torch.float64):
        self.student = tiny.model("bert", CLASSES).to(dtype)
        self.teacher = tiny.model("electra", CLASSES).to(dtype)
        for module in (*self.student.modules(), *self.teacher.modules()):
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        frame = tiny.table(ROWS)
        other = train_wordpiece(["moon bad night good sun day"], vocab_size=90, max_length=32)
        self.train = EncodedTexts(frame, tiny.tokenizer(), max_length=16)
        self.teacher_train = EncodedTexts(frame, other, max_length=16)
        self.feedback = EncodedTexts(tiny.table(16, start=ROWS), tiny.tokenizer(), max_length=16)
        self.selection = EncodedTexts(tiny.table(8, start=64), tiny.tokenizer(), max_length=16)
        generator = torch.Generator().manual_seed(0)
        self.warm_logits = torch.randn(ROWS, CLASSES, generator=generator).to(dtype)

    def co_teacher(self, method, loss, settings=SETTINGS, mix=0.0):
        return CoTeacher(
            self.teacher,
            self.student,
            loss,
            self.teacher_train,
            self.feedback,
            method,
            settings,
            hard_label_weight=mix,
            learning_rate=TEACHER_RATE,
            precision="fp32",
            seed=SEED,
        )

    def fit(self, method, settings=SETTINGS, mix=0.0):
        loss = DistillationLoss(self.warm_logits.clone(), settings.temperature, mix)
        return self.run(loss, settings, companion=self.co_teacher(method, loss, settings, mix))

    def run(self, loss, settings=SETTINGS, **companion):
        return fit(
            self.student,
            loss,
            self.train,
            self.selection,
            settings,
            steps=count_steps(len(self.train), settings),
            learning_rate=STUDENT_RATE,
            precision="fp32",
            seed=SEED,
            metrics=["accuracy"],
            log=lambda step, values: None,
            description="test",
            **companion,
        )


def single(batch, row):
    return {name: value[row : row + 1] for name, value in inputs_of(batch).items()}


def kl(p, q):
    return (p * (p.log() - q.log())).sum(-1).mean()


def adamw(model):
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}])


def descend(model, optimizer, loss, rate):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.max_grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


def student_loss(logits, teacher_logits, labels, mix):
    """Mean of ℓ_i = (1 − α) T² CE(p_T, p_S) + α CE(y, p_S), T the temperature of the settings."""
    temperature = SETTINGS.temperature
    soft = -((teacher_logits / temperature).softmax(-1) * (logits / temperature).log_softmax(-1)).sum(-1).mean()
    return (1 - mix) * temperature**2 * soft + mix * F.cross_entropy(logits, labels)


def published_steps(pair, method, mix):
    """The algorithm as the papers write it, on an epoch: 1 copy the student and step it, 2 the copy's feedback
    gradient, 3 every sample's own gradient and its product with it, 4 step the teacher, 5 step the student."""
    student, teacher = pair.student.train(), pair.teacher.train()
    student_optimizer, teacher_optimizer = adamw(student), adamw(teacher)
    batches = list(training_batches(pair.train, SETTINGS.batch_size, torch.Generator().manual_seed(SEED)))
    feedback = training_batches(pair.feedback, SETTINGS.batch_size, torch.Generator().manual_seed(SEED))
    feedback = [*feedback, *feedback][: len(batches)]
    parameters = dict(student.named_parameters())
    for number, (batch, held_out) in enumerate(zip(batches, feedback, strict=True)):
        left = 1 - number / len(batches)
        labels = batch["labels"]
        taught = pair.teacher_train.collate([pair.teacher_train[row] for row in batch["index"].tolist()])
        teacher_logits = teacher(**inputs_of(taught)).logits
        p_teacher, p_student = teacher_logits.softmax(-1), student(**inputs_of(batch)).logits.softmax(-1).detach()
        loss = method.label_weight * F.cross_entropy(teacher_logits, labels)
        loss = loss + method.teacher_kl_weight * kl(p_teacher, p_student)
        loss = loss + method.student_kl_weight * kl(p_student, p_teacher)
        if method.influence:
            ahead = copy.deepcopy(student)
            first = student_loss(ahead(**inputs_of(batch)).logits, teacher_logits.detach(), labels, mix)
            if method.influence.pilot == "adamw":
                optimizer = adamw(ahead)
                optimizer.load_state_dict(copy.deepcopy(student_optimizer.state_dict()))
            else:
                optimizer = torch.optim.SGD(ahead.parameters())
            descend(ahead, optimizer, first, STUDENT_RATE * left)
            held_out_loss = F.cross_entropy(ahead(**inputs_of(held_out)).logits, held_out["labels"])
            direction = torch.autograd.grad(held_out_loss, list(ahead.parameters()))
            influence = []
            for row in range(len(labels)):
                logits = student(**single(batch, row)).logits
                own = student_loss(logits, teacher_logits[row : row + 1], labels[row : row + 1], mix)
                gradient = torch.autograd.grad(own, list(parameters.values()), create_graph=True)
                influence.append(sum((v * g).sum() for v, g in zip(direction, gradient, strict=True)))
            scale = rms_of_tangents(student, parameters, direction, batch) if method.influence.normalise else 1.0
            loss = loss - method.influence.weight * torch.stack(influence).mean() / scale
        descend(teacher, teacher_optimizer, loss, TEACHER_RATE * left)
        with torch.no_grad():
            teacher_logits = teacher(**inputs_of(taught)).logits
        value = student_loss(student(**inputs_of(batch)).logits, teacher_logits, labels, mix)
        descend(student, student_optimizer, value, STUDENT_RATE * left)


def rms_of_tangents(student, parameters, direction, batch):
    """Root mean square of the logits' derivatives along the direction, centred over the classes."""

    def logits(moved):
        return functional_call(student, moved, (), inputs_of(batch)).logits

    values = {name: value.detach() for name, value in parameters.items()}
    _, derivative = jvp(logits, (values,), (dict(zip(parameters, direction, strict=True)),))
    return (derivative - derivative.mean(-1, keepdim=True)).square().mean().sqrt()


def movement(model, start):
    return torch.cat([(p.detach() - s).flatten() for p, s in zip(model.parameters(), start, strict=True)])


@pytest.mark.parametrize("mix", [0.0, 0.3])
@pytest.mark.parametrize(
    "method",
    [ONLINE, *(method_of(arm) for arm in ("online", "prokt", "dml", "metadistil"))],
    ids=["published", "online", "prokt", "dml", "metadistil"],
)
def test_steps_match_the_published_algorithm(method, mix, monkeypatch):
    # A finite difference is wrong by the square of its step; in double precision a smaller one leaves the algorithm.
    monkeypatch.setattr(cotraining, "STEP_SIZE", 1e-6)
    fast, naive = Pair(), Pair()
    fast.fit(method, mix=mix)
    published_steps(naive, method, mix)
    for name in ("teacher", "student"):
        start = [value.detach() for value in getattr(Pair(), name).parameters()]
        expected = movement(getattr(naive, name), start)
        error = (movement(getattr(fast, name), start) - expected).norm() / expected.norm()
        assert expected.norm() > 0.01
        assert error < 1e-6, (name, error)


def test_metadistil_is_the_gradient_through_the_students_step():
    pair, settings = Pair(), SimpleNamespace(**vars(SETTINGS) | {"max_grad_norm": 1e9})
    loss = DistillationLoss(pair.warm_logits.clone(), settings.temperature, 0.0)
    companion = pair.co_teacher(method_of("metadistil"), loss, settings)
    companion.descent.step = lambda parts: parts[0].backward()
    batch = next(iter(training_batches(pair.train, 8, torch.Generator().manual_seed(SEED))))
    rate = 0.05
    companion(pair.student(**inputs_of(batch)), batch, torch.optim.SGD(pair.student.parameters(), lr=rate))
    found = torch.cat([p.grad.flatten() for p in pair.teacher.parameters()])

    parameters = dict(pair.student.named_parameters())
    taught = pair.teacher_train.collate([pair.teacher_train[row] for row in batch["index"].tolist()])
    value = student_loss(
        pair.student(**inputs_of(batch)).logits, pair.teacher(**inputs_of(taught)).logits, batch["labels"], 0.0
    )
    gradients = torch.autograd.grad(value, list(parameters.values()), create_graph=True)
    moved = {name: p - rate * g for (name, p), g in zip(parameters.items(), gradients, strict=True)}
    held_out = next(iter(training_batches(pair.feedback, 8, torch.Generator().manual_seed(SEED))))
    logits = functional_call(pair.student, moved, (), inputs_of(held_out)).logits
    expected = torch.autograd.grad(F.cross_entropy(logits, held_out["labels"]), list(pair.teacher.parameters()))
    expected = torch.cat([gradient.flatten() for gradient in expected])
    assert ((rate * found - expected).norm() / expected.norm()) < 1e-4


def test_the_tentative_step_is_the_one_that_adamw_takes_next():
    model = tiny.model("bert", CLASSES)
    optimizer = adamw(model)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        parameters = dict(model.named_parameters())
        gradients = {name: torch.randn(p.shape, generator=generator) for name, p in parameters.items()}
        ahead = tentative_step("adamw", optimizer, parameters, gradients.values(), max_grad_norm=1.0)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        for name, parameter in parameters.items():
            torch.testing.assert_close(ahead[name], parameter)


def count_passes(model):
    counts = {"forward": 0, "backward": 0}

    def forward(module, args, output):
        counts["forward"] += 1
        if output.logits.requires_grad:
            output.logits.register_hook(lambda gradient: counts.update(backward=counts["backward"] + 1))

    model.register_forward_hook(forward)
    return counts


@pytest.mark.parametrize(("arm", "student", "teacher"), [("online", (4, 3), (2, 1)), ("dml", (1, 1), (2, 1))])
def test_a_step_costs_no_more_passes_than_it_needs(arm, student, teacher):
    pair = Pair()
    batch = next(iter(training_batches(pair.train, 8, torch.Generator().manual_seed(SEED))))
    loss = DistillationLoss(pair.warm_logits.clone(), 2.0, 0.0)
    counts = {name: count_passes(getattr(pair, name)) for name in ("student", "teacher")}
    companion = pair.co_teacher(method_of(arm), loss)
    outputs = pair.student(**inputs_of(batch))
    companion(outputs, batch, adamw(pair.student))
    loss(outputs, batch).backward()
    assert tuple(counts["student"].values()) == student
    assert tuple(counts["teacher"].values()) == teacher


def test_the_direction_comes_from_the_feedback_set_and_dropout_is_off_in_it():
    pair = Pair(dropout=0.3)
    loss = DistillationLoss(pair.warm_logits.clone(), 2.0, 0.0)
    batch = next(iter(training_batches(pair.train, 8, torch.Generator().manual_seed(SEED))))
    whole = SimpleNamespace(**vars(SETTINGS) | {"batch_size": len(pair.feedback)})
    outputs, seen = pair.student.train()(**inputs_of(batch)), []
    companion = pair.co_teacher(ONLINE, loss, whole)
    companion.student.register_forward_pre_hook(
        lambda module, args, inputs: seen.append(inputs["input_ids"]), with_kwargs=True
    )

    def tangents():
        pair.student.train()
        return companion._differentiate(outputs, batch, adamw(pair.student))[1]

    torch.testing.assert_close(tangents(), tangents())
    rows = {tuple(item["input_ids"]) for item in pair.feedback}
    assert {tuple(row[row != 0].tolist()) for row in seen[0]} == rows
    assert all(torch.equal(ids, batch["input_ids"]) for ids in seen[1:3])


def test_differences_go_around_what_is_put_around_the_students_forward_pass():
    pair = Pair(dtype=torch.float32)
    loss = DistillationLoss(pair.warm_logits.clone(), 2.0, 0.0)
    companion = pair.co_teacher(ONLINE, loss)
    pair.student.forward = lambda **inputs: pytest.fail("mixed precision would round the differences away")
    batch = next(iter(training_batches(pair.train, 8, torch.Generator().manual_seed(SEED))))
    outputs = companion.student(**inputs_of(batch))
    companion(outputs, batch, adamw(pair.student))


def test_a_parameter_that_the_student_does_not_use_stays_out_of_it(monkeypatch):
    monkeypatch.setattr(cotraining, "STEP_SIZE", 1e-6)
    teachers = []
    for spare in (False, True):
        pair = Pair()
        if spare:
            pair.student.bert.register_parameter("spare", torch.nn.Parameter(torch.ones(5, dtype=torch.float64)))
        loss = DistillationLoss(pair.warm_logits.clone(), 2.0, 0.0)
        batch = next(iter(training_batches(pair.train, 8, torch.Generator().manual_seed(SEED))))
        companion = pair.co_teacher(ONLINE, loss)
        companion(pair.student(**inputs_of(batch)), batch, adamw(pair.student))
        teachers.append(list(pair.teacher.parameters()))
    for without, with_it in zip(*teachers, strict=True):
        torch.testing.assert_close(without, with_it)


def test_the_same_seed_gives_the_same_bytes():
    pairs = [Pair(dropout=0.1, dtype=torch.float32) for _ in range(2)]
    for pair in pairs:
        pair.fit(ONLINE)
    for name in ("teacher", "student"):
        first, second = (getattr(pair, name).state_dict() for pair in pairs)
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_student_sees_the_same_batches_as_without_a_teacher_beside_it():
    orders = []
    for method in (None, ONLINE):
        pair, order = Pair(dropout=0.1), []
        loss = DistillationLoss(pair.warm_logits.clone(), 2.0, 0.0)
        companion = pair.co_teacher(method, loss) if method else lambda *step: None

        def noted(outputs, batch, optimizer, companion=companion, order=order):
            order.append(batch["index"].tolist())
            companion(outputs, batch, optimizer)

        pair.run(loss, companion=noted)
        orders.append(order)
    assert orders[0] == orders[1]
    assert sorted(row for rows in orders[0] for row in rows) == list(range(ROWS))


def test_a_moving_teacher_also_moves_its_hidden_states():
    pair = Pair(dtype=torch.float32)
    hidden = torch.zeros(ROWS, 16)
    loss = HiddenMatching(DistillationLoss(pair.warm_logits.clone(), 2.0, 0.0), hidden, student_width=16, weight=1.0)
    pair.run(loss, companion=pair.co_teacher(ONLINE, loss))
    assert (loss.teacher_hidden.abs().sum(-1) > 0).all()


def test_a_loss_that_is_not_finite_stops_with_one_line():
    pair = Pair()
    pair.warm_logits[:] = math.nan
    next(pair.teacher.parameters()).data[:] = math.nan
    with pytest.raises(UserError, match=r"the teacher beside its student.* step 1") as error:
        pair.fit(ONLINE)
    assert "\n" not in str(error.value)
