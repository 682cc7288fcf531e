"""What a step of a teacher beside its student costs, with a plain rendering of the published step, in steps of `kd`.

    PYTHONPATH=src python -m benchmarks.online --json online.json

A BERT teacher of 4 layers of width 256 and a student of 2 layers of width 128, batches of 32 texts of 64 tokens, fp32,
on one CPU thread. The published step is rendered from its description: deep copies, two finite differences through the
teacher, a fresh forward pass wherever it takes one. Passes are counted by hooks on the models. The methods take turns
step by step; a figure is the median over the steps of the CPU time of this process, over that of distillation from
cached logits, so that it survives a busy machine. Ends in an error where a method takes other passes than EXPECTED, or
leaves a network's weights as they were that should have learnt.
"""

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForSequenceClassification

from lgtm.arms.shared.cotraining import CoTeacher
from lgtm.config import read_yaml
from lgtm.errors import UserError
from lgtm.networks.descent import Descent
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.losses import DistillationLoss, inputs_of
from lgtm.networks.models import train_wordpiece
from lgtm.networks.parallel import own_part
from lgtm.params import TeacherTailored

BATCH, TOKENS, CLASSES = 32, 64, 2
RATE = 1e-4
WORDS = ["".join(letters) for letters in np.random.default_rng(0).choice(list("abcdefgh"), (200, 4))]
SETTINGS = SimpleNamespace(
    epochs=1e6,  # the schedule does not end here
    min_steps=0,
    batch_size=BATCH,
    warmup_ratio=0.0,
    weight_decay=0.01,
    max_grad_norm=1.0,
    temperature=1.0,
)
BASE, PUBLISHED = "kd", "online as published"
ARMS = ("prokt", "dml", "metadistil", "online")
PASSES = ("student forwards", "student backwards", "teacher forwards", "teacher backwards")
EXPECTED = {  # passes of a step, in this order
    BASE: (1, 1, 0, 0),
    "prokt": (1, 1, 2, 1),
    "dml": (1, 1, 2, 1),
    "metadistil": (4, 3, 2, 1),
    "online": (4, 3, 2, 1),
    PUBLISHED: (5, 3, 4, 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to keep the rows in: name, passes, kd_steps")
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)

    rows = measure({BASE: Method(None), **{arm: Method(arm) for arm in ARMS}, PUBLISHED: Published()}, options.steps)
    print(f"{'':22}{'student':>18}{'teacher':>18}{'steps of kd':>13}   median of {options.steps} steps")
    for row in rows:
        student, teacher = (
            f"{row[f'{who} forwards']:.0f} + {row[f'{who} backwards']:.0f}" for who in ("student", "teacher")
        )
        print(f"{row['name']:22}{student:>18}{teacher:>18}{row['kd_steps']:13.1f}")
    ours, theirs = (next(row for row in rows if row["name"] == name) for name in ("online", PUBLISHED))
    print(f"online as published costs {theirs['kd_steps'] / ours['kd_steps']:.2f} times ours")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(methods: dict[str, "Method"], steps: int) -> list[dict]:
    """A row for each method. Raises UserError where one did not do its work."""
    seconds = {name: [] for name in methods}
    for _ in range(steps + 1):
        for name, method in methods.items():
            start = time.process_time()
            method.step()
            seconds[name].append(time.process_time() - start)
    for name, method in methods.items():
        method.require_work(name)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    return [
        {"name": name, **method.passes(), "kd_steps": medians[name] / medians[BASE]} for name, method in methods.items()
    ]


def table(seed: int) -> EncodedTexts:
    """A batch of texts of TOKENS tokens at least, cut there."""
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, TOKENS)) for _ in range(BATCH)]
    tokenizer = train_wordpiece(WORDS, vocab_size=1000, max_length=TOKENS)
    return EncodedTexts(pd.DataFrame({"text": texts, "label": rng.integers(CLASSES, size=BATCH)}), tokenizer, TOKENS)


def network(layers: int, width: int):
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert",
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        intermediate_size=4 * width,
        vocab_size=1000,
        num_labels=CLASSES,
    )
    return AutoModelForSequenceClassification.from_config(config)


class Method:
    """A student and its teacher, taking the steps of an arm; None: distillation from cached logits."""

    def __init__(self, arm: str | None):
        self.train, self.feedback = table(1), table(2)
        self.batch = own_part([self.train[row] for row in range(BATCH)], self.train.collate)
        self.student, self.teacher = network(2, 128), network(4, 256)
        self.loss = DistillationLoss(torch.zeros(BATCH, CLASSES), SETTINGS.temperature, 0.0)
        self.counts = {name: 0 for name in PASSES}
        self.steps = 0
        count_passes(self.student, "student", self.counts)
        count_passes(self.teacher, "teacher", self.counts)
        self.before = {who: weights(network) for who, network in self.networks().items()}
        self.descent = self.descent_of(self.student, self.loss)
        self.companion = self.co_teacher(arm) if arm else lambda *step: None

    def descent_of(self, model, loss) -> Descent:
        return Descent(model, loss, SETTINGS, learning_rate=RATE, precision="fp32", steps=10**6)

    def co_teacher(self, arm: str) -> Callable:
        section = read_yaml(Path(__file__).parents[1] / "params.yaml")["teacher_tailored"]
        settings = getattr(TeacherTailored.model_validate(section), arm)
        method = importlib.import_module(f"lgtm.arms.{arm}").co_training(settings)
        networks, data = (self.teacher, self.student), (self.train, self.feedback)
        kind = {"hard_label_weight": 0.0, "learning_rate": RATE, "precision": "fp32", "seed": 0}
        return CoTeacher(*networks, self.loss, *data, method, SETTINGS, **kind)

    def step(self) -> None:
        self.steps += 1
        self.student.train()
        outputs = self.student(**inputs_of(self.batch))
        self.companion(outputs, self.batch, self.descent.optimizer)
        self.descent.step([self.loss(outputs, self.batch)])

    def networks(self) -> dict[str, torch.nn.Module]:
        return {"student": self.student, "teacher": self.teacher}

    def passes(self) -> dict[str, float]:
        """Forward and backward passes of a step."""
        return {name: count / self.steps for name, count in self.counts.items()}

    def require_work(self, name: str) -> None:
        """Raise UserError unless every step took its passes, and just those networks moved that learn."""
        found, expected = self.passes(), dict(zip(PASSES, EXPECTED[name], strict=True))
        if found != expected:
            raise UserError(f"{name}: a step should take {expected}, found {found}")
        for who, network in self.networks().items():
            moved, learns = not torch.equal(weights(network), self.before[who]), expected[f"{who} backwards"] > 0
            if moved != learns or not torch.isfinite(weights(network)).all():
                raise UserError(f"{name}: the {who} {'did not learn' if learns else 'was changed'}")


class Published(Method):
    """The published step: 5 forward and 3 backward passes of the student, 4 and 3 of the teacher, and deep copies."""

    def __init__(self):
        super().__init__(None)
        self.held_out = self.feedback.collate([self.feedback[row] for row in range(BATCH)])
        self.teacher_optimizer = torch.optim.AdamW(self.teacher.parameters(), lr=RATE, fused=True)

    def step(self) -> None:
        self.steps += 1
        student, teacher, inputs = self.student.train(), self.teacher.train(), inputs_of(self.batch)
        said, heard = teacher(**inputs).logits, student(**inputs).logits
        gradients = torch.autograd.grad(divergence(said.detach(), heard), list(student.parameters()))
        ordinary = torch.autograd.grad(self.auxiliary(said, heard), list(teacher.parameters()))
        direction = self.feedback_gradient(gradients)
        epsilon = 0.01 / torch.stack([v.norm() for v in direction]).norm()
        teacher.eval(), student.eval()
        above, below = self.moved(epsilon, direction), self.moved(-2 * epsilon, direction)
        self.moved(epsilon, direction, passes=False)
        self.teacher_optimizer.zero_grad()
        for parameter, own, plus, minus in zip(teacher.parameters(), ordinary, above, below, strict=True):
            parameter.grad = own - RATE * (plus - minus) / (2 * epsilon)
        self.teacher_optimizer.step()
        with torch.no_grad():
            said = teacher(**inputs).logits
        student.train()
        self.descent.step([divergence(said, student(**inputs).logits)])

    def auxiliary(self, said, heard):
        return 0.6 * F.cross_entropy(said, self.batch["labels"]) + 0.4 * divergence(heard.detach(), said)

    def feedback_gradient(self, gradients):
        """At a copy of the student after a step of a copy of its optimizer."""
        ahead = deepcopy(self.student)
        optimizer = torch.optim.AdamW(ahead.parameters(), lr=RATE, fused=True)
        optimizer.load_state_dict(deepcopy(self.student_state()))
        for parameter, gradient in zip(ahead.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        loss = F.cross_entropy(ahead(**inputs_of(self.held_out)).logits, self.held_out["labels"])
        return torch.autograd.grad(loss, list(ahead.parameters()))

    def student_state(self) -> dict:
        """State of the student's AdamW, its two groups put into one in the model's order."""
        optimizer = self.descent.optimizer.optimizer
        held = [optimizer.state[parameter] for parameter in self.student.parameters()]
        group = {**optimizer.param_groups[0], "params": list(range(len(held)))}
        return {"state": {number: state for number, state in enumerate(held) if state}, "param_groups": [group]}

    def moved(self, by, direction, passes: bool = True):
        """The auxiliary loss's gradient in the teacher, with the student's weights moved along the direction."""
        with torch.no_grad():
            for parameter, v in zip(self.student.parameters(), direction, strict=True):
                parameter += by * v
        if not passes:
            return None
        inputs = inputs_of(self.batch)
        return torch.autograd.grad(
            self.auxiliary(self.teacher(**inputs).logits, self.student(**inputs).logits),
            list(self.teacher.parameters()),
        )


def weights(network: torch.nn.Module) -> torch.Tensor:
    """All of a network's weights as one vector, a copy."""
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def divergence(logits, other):
    return F.kl_div(other.log_softmax(-1), logits.log_softmax(-1), log_target=True, reduction="batchmean")


def count_passes(model, name: str, counts: dict[str, int]) -> None:
    """Count the model's passes, and those of its copies, in `counts`."""

    def forward(module, args, output):
        counts[f"{name} forwards"] += 1
        if output.logits.requires_grad:
            output.logits.register_hook(backward)

    def backward(gradient):
        counts[f"{name} backwards"] += 1

    model.register_forward_hook(forward)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
