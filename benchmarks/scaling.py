"""What a run would take at another size: time, money, disk; from this machine's measured rates and a GPU's sheet.

    PYTHONPATH=src python -m benchmarks.scaling
    PYTHONPATH=src python -m benchmarks.scaling --rows 1e9 --teacher 7e9 --student 1.1e8

Work is counted as the report's section Cost counts it: 2 · weights · tokens operations a forward pass, twice that a
backward one (Kaplan et al., 2020), attention's own share left out. A core's rate is measured first, on a BERT of six
layers of width 384 with random weights, forward and in training; a GPU's is its peak times --utilisation, an
assumption, because none was at hand: training at the peak of bf16, and what is asked of a network at that of fp32, as
the stages do. Ends in an error where a measured pass did not go through its tokens.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import BertConfig, BertForSequenceClassification

from lgtm.errors import UserError
from lgtm.networks.cost import Passes

YEAR = 365 * 24  # hours
MEASURED = {"num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
BATCH, STEPS = 32, 12


@dataclass(frozen=True)
class Size:
    """A run of one seed: rows that the teacher speaks on, labelled ones among them, and what the networks weigh."""

    rows: float
    labelled: float
    tokens: float
    classes: float
    teacher: float  # weights outside the token embeddings
    student: float
    warmup_epochs: float
    retrain_epochs: float
    distill_epochs: float
    influence_passes: float  # forward passes of the student; 1.1 for the head's direction, 2 for the whole network's


@dataclass(frozen=True)
class Work:
    """Operations of a stage in one seed, forward alone and in training, and the bytes that it leaves."""

    stage: str
    forward: float
    training: float
    bytes: float


@dataclass(frozen=True)
class Machine:
    """Operations a second that a device really does, and what it costs an hour in dollars."""

    name: str
    forward: float
    training: float
    price: float

    def hours(self, works: list[Work]) -> float:
        """Hours of one device for these stages."""
        return sum(work.forward / self.forward + work.training / self.training for work in works) / 3600


def stages(size: Size) -> list[Work]:
    """The tailored pipeline of one seed, stage by stage, and plain distillation's two within it.

    Bytes: int32 token ids are scratch; what stays is texts (about five bytes a token) and float32 logits per row.
    """
    a_row = 2 * size.tokens
    logits = 4 * size.classes * size.rows
    learnt = 3 * a_row * size.labelled * size.warmup_epochs
    return [
        Work("prepare", 0, 0, 5 * size.tokens * size.rows),
        Work("teacher_warmup", a_row * size.teacher * size.rows, learnt * size.teacher, logits + 4 * size.teacher),
        Work("student_warmup", 0, learnt * size.student, 4 * size.student),
        Work("influence", size.influence_passes * a_row * size.student * size.rows, 0, 2 * logits + 8 * size.rows),
        Work(
            "teacher_tailored",
            a_row * size.teacher * size.rows,
            3 * a_row * size.teacher * size.rows * size.retrain_epochs,
            logits + 4 * size.teacher,
        ),
        Work("distill", 0, 3 * a_row * size.student * size.rows * size.distill_epochs, 4 * size.student),
    ]


PLAIN = ("prepare", "teacher_warmup", "student_warmup", "distill")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = lambda name, value, words: parser.add_argument(name, type=float, default=value, help=words)  # noqa: E731
    add("--rows", 1e6, "that the teacher speaks on")
    add("--labelled", 1000, "rows among them")
    add("--tokens", 64, "a row")
    add("--classes", 10, "of the task")
    add("--teacher", 1.1e7, "weights outside the token embeddings")
    add("--student", 3.6e6, "the same of the student")
    add("--warmup-epochs", 6, "over the labelled rows")
    add("--retrain-epochs", 1, "of the tailored teacher over all rows")
    add("--distill-epochs", 1, "over all rows")
    add("--influence-passes", 1.1, "forward passes of the student a row")
    parser.add_argument("--gpu", default="H100 SXM", help="its name")
    add("--peak", 989e12, "of the GPU in bf16, operations a second, from its sheet")
    add("--peak-fp32", 67e12, "the same in fp32")
    add("--utilisation", 0.35, "of the peaks, assumed")
    add("--core-price", 0.05, "dollars an hour, assumed")
    add("--gpu-price", 3.0, "dollars an hour, assumed")
    options = vars(parser.parse_args())
    if wrong := [name for name, value in options.items() if isinstance(value, float) and not 0 < value < 1e20]:
        raise UserError(f"--{wrong[0].replace('_', '-')}: should be a number above 0 (found {options[wrong[0]]:g})")
    training_rate, forward_rate = (options[peak] * options["utilisation"] for peak in ("peak", "peak_fp32"))
    forward, training = measured()
    machines = [
        Machine("a core, measured", forward, training, options["core_price"]),
        Machine(f"{options['gpu']}, assumed", forward_rate, training_rate, options["gpu_price"]),
    ]
    size = Size(**{name: options[name] for name in Size.__dataclass_fields__})
    print(f"a core: {forward / 1e9:.1f} · 10⁹ operations a second forward, {training / 1e9:.1f} in training")
    for line in table(stages(size), machines):
        print(line)


def table(works: list[Work], machines: list[Machine]) -> Iterator[str]:
    """Stage by stage, then the whole, then what tailoring adds to plain distillation."""
    names = "".join(f"{machine.name:>26}" for machine in machines)
    yield f"{'one seed':24}{'operations':>12}{'disk':>10}{names}"
    plain = [work for work in works if work.stage in PLAIN]
    for name, part in [*((work.stage, [work]) for work in works), ("plain distillation", plain), ("tailored", works)]:
        operations = sum(work.forward + work.training for work in part)
        cells = "".join(f"{_hours(machine.hours(part), machine.price):>26}" for machine in machines)
        yield f"{name:24}{operations:12.1e}{_bytes(sum(work.bytes for work in part)):>10}{cells}"
    ratios = "".join(f"{machine.hours(works) / machine.hours(plain):>26.2f}" for machine in machines)
    yield f"{'tailored / plain':46}{ratios}"


def _hours(hours: float, price: float) -> str:
    if hours > YEAR:
        return f"{hours / YEAR:,.1f} years, ${hours * price:,.0f}"
    return f"{hours:,.2f} h, ${hours * price:,.2f}" if hours < 100 else f"{hours:,.0f} h, ${hours * price:,.0f}"


def _bytes(size: float) -> str:
    unit = next(unit for unit in (1e12, 1e9, 1e6, 1e3, 1) if size >= unit or unit == 1)
    return f"{size / unit:.1f} {dict(zip((1e12, 1e9, 1e6, 1e3, 1), ('TB', 'GB', 'MB', 'kB', 'B'), strict=True))[unit]}"


def measured(tokens: int = 64) -> tuple[float, float]:
    """Operations a second of a core of this machine, forward and in training, in the process's own time.

    Raises UserError where a pass did not go through all rows.
    """
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=1000, **MEASURED))
    passes = Passes(model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    batch = {
        "input_ids": torch.randint(0, 1000, (BATCH, tokens)),
        "attention_mask": torch.ones(BATCH, tokens, dtype=torch.long),
        "labels": torch.zeros(BATCH, dtype=torch.long),
    }

    def forward() -> None:
        with torch.inference_mode():
            model.eval()(**batch)

    def train() -> None:
        model.train()(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    a_pass = 2 * passes.weights * tokens * BATCH * STEPS
    seconds = [_seconds(work) for work in (forward, train)]
    done = (passes.forward, passes.backward)
    if done != (2 * BATCH * (STEPS + 1), BATCH * (STEPS + 1)):
        raise UserError(f"{done} samples went forward and backward, in place of {STEPS} steps of {BATCH} each")
    return a_pass / seconds[0], 3 * a_pass / seconds[1]


def _seconds(work) -> float:
    """Of the process, for STEPS of it, after one that is not counted."""
    work()
    began = time.process_time()
    for _ in range(STEPS):
        work()
    return time.process_time() - began


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
