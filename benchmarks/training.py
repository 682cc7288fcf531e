"""What the training loop costs beside a bare PyTorch loop and transformers.Trainer, and where a step's time goes.

    PYTHONPATH=src python -m benchmarks.training --data train.parquet --checkpoint FOLDER --json training.json

Rows of a file with the columns sentence and label, and a checkpoint's first layers; without these, the embedded demo's
texts and a BERT from scratch. All train the same network from the same weights on the same rows for the same number of
steps, in fp32 on one thread, dropout off so that their losses can be held against each other. The bare loop has our
batches, optimizer, schedule and clipping; Trainer its defaults but for the batch size. The runs take turns step by step
in one process, each in a thread of its own whose CPU time is counted, so that a busy machine slows all alike. Where two
have the same batches, their ratio is the median over the steps of all rounds of the one step's time over the other's,
else it is that of the sums. What a run costs before its first step and after its last is a column of its own: ours
evaluates the model there and copies its weights and AdamW's moments.

Ends in an error where a run did not train on every row, or our loop ends with other weights than the bare one.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    get_scheduler,
)

from benchmarks.baselines import QUIET, Plain
from lgtm.config import read_yaml
from lgtm.data.demo import GeneratorSettings, generate
from lgtm.errors import UserError
from lgtm.networks.encoding import EncodedTexts, EndlessBatches, training_batches
from lgtm.networks.losses import LabelLoss, Loss, TailoringLoss, inputs_of
from lgtm.networks.models import freeze_embeddings, load_tokenizer, train_wordpiece
from lgtm.networks.training import count_steps, fit

SEED, RATE = 1, 1e-4
OURS, BARE, AGAIN, TRAINER = "our loop", "bare PyTorch loop", "the bare loop again", "transformers.Trainer"
TAILORED, FROZEN, BF16 = "tailored retraining", "frozen embeddings", "bf16"
PARTS_OF_A_STEP = ("collating the batch", "forward pass", "backward pass", "clipping", "AdamW")
UNITS = {  # what a run's time is measured in
    AGAIN: BARE,  # what the machine does to a ratio that is 1
    OURS: BARE,
    TRAINER: OURS,
    TAILORED: OURS,
    FROZEN: OURS,
    BF16: BARE,
}
APART = 1e-6  # of the weights of our loop and the bare one, relative
Turn = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="parquet or csv with the columns sentence and label")
    parser.add_argument("--checkpoint", type=Path, help="folder of an encoder and its tokenizer")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rows", type=int, default=960)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to keep the figures in")
    options = parser.parse_args()
    torch.set_num_threads(1)

    task = Task(options)
    found = measure(task, options.rounds)
    print(f"{len(task.rows)} rows, {sum(task.rows.lengths)} tokens, batches of {task.settings.batch_size}")
    print("\n| run | a step, ms | of | times | padding, % | start and end, s |\n|---|---|---|---|---|---|")
    for name, row in found["runs"].items():
        ratio = f"{UNITS[name]} | {row['ratio']:.2f}" if name in UNITS else " | "
        print(f"| {name} | {1e3 * row['step']:.0f} | {ratio} | {100 * row['padding']:.1f} | {row['ends']:.1f} |")
    print("\n| part of a step | % |\n|---|---|")
    for part, share in found["step"].items():
        print(f"| {part} | {100 * share:.1f} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


class Task:
    """Rows, the network that all runs start from, and the settings that they share."""

    def __init__(self, options):
        frame = read_rows(options.data) if options.data else demo()
        if len(frame) < options.rows:
            raise UserError(f"{options.data or 'the demo'}: has {len(frame)} rows, fewer than --rows {options.rows}")
        frame = frame.sample(options.rows, random_state=SEED)
        if options.checkpoint:
            tokenizer = load_tokenizer(options.checkpoint)
            how = {"num_hidden_layers": options.layers, "num_labels": int(frame["label"].max()) + 1}
            model = AutoModelForSequenceClassification.from_pretrained(options.checkpoint, dtype=torch.float32, **how)
        else:
            tokenizer = train_wordpiece(frame["text"], vocab_size=1000, max_length=128)
            model = from_scratch(options.layers, len(tokenizer), int(frame["label"].max()) + 1)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        self.model = model
        self.rows, self.selection = (EncodedTexts(rows, tokenizer, 128) for rows in (frame, frame.iloc[:1]))
        self.settings = SimpleNamespace(
            epochs=options.epochs, min_steps=0, batch_size=options.batch_size, warmup_ratio=0.1, weight_decay=0.01,
            max_grad_norm=1.0, evaluations=1, keep="last",
        )  # fmt: skip
        self.steps = count_steps(len(self.rows), self.settings)


def read_rows(path: Path) -> pd.DataFrame:
    """Texts and labels of a file. Raises UserError for columns that are not there."""
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    if missing := {"sentence", "label"} - set(frame):
        raise UserError(f"{path}: has no column {min(missing)}; its columns are {', '.join(frame)}")
    return frame.rename(columns={"sentence": "text"})


def demo() -> pd.DataFrame:
    """The demo's train split."""
    card = read_yaml(Path(__file__).parents[1] / "tasks/demo/task.yaml")
    frame = generate(GeneratorSettings.model_validate(card["generated"]))["train"]
    return frame.assign(label=frame["label"].astype("category").cat.codes.astype(int))


def from_scratch(layers: int, vocabulary: int, classes: int) -> nn.Module:
    torch.manual_seed(SEED)
    sizes = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512, "num_hidden_layers": layers}
    config = AutoConfig.for_model("bert", vocab_size=vocabulary, num_labels=classes, **sizes)
    return AutoModelForSequenceClassification.from_config(config)


class Run:
    """A training run of a copy of the task's network: what went through it, and its mean loss."""

    def __init__(self, task: Task):
        self.task, self.model = task, copy.deepcopy(task.model)
        self.rows = self.real = self.tokens = 0
        self.marks: list[float] = []  # CPU seconds of its thread: when it began, before every step, and at its end
        self.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module, args, inputs):
        if module.training:
            self.rows += len(inputs["input_ids"])
            self.tokens += inputs["input_ids"].numel()
            self.real += int(inputs["attention_mask"].sum())

    @property
    def steps(self) -> list[float]:
        """CPU seconds of every step but the last."""
        return [end - start for start, end in pairwise(self.marks[1:-1])]

    @property
    def ends(self) -> float:
        """CPU seconds of all but the steps: of what the last one took, what a step takes is left out."""
        return self.marks[-1] - self.marks[0] - sum(self.steps) - statistics.median(self.steps)

    @property
    def padding(self) -> float:
        """The share of tokens that are padding."""
        return 1 - self.real / self.tokens

    def require_work(self, name: str) -> None:
        """Raise UserError unless every row went through the network once an epoch, and it ended finite."""
        expected = self.task.settings.epochs * len(self.task.rows)
        if self.rows != expected:
            raise UserError(f"{name}: trained on {self.rows} rows in place of {expected}")
        if not torch.isfinite(weights(self.model)).all() or torch.equal(weights(self.model), weights(self.task.model)):
            raise UserError(f"{name}: the network did not learn")


def ours(task: Task, turn: Turn, loss: Loss | None = None, freeze: bool = False, **how) -> Run:
    """lgtm.networks.training.fit; a companion of the model is what gives others their turn."""
    run = Run(task)
    if freeze:
        freeze_embeddings(run.model)
    fit(
        run.model,
        loss or LabelLoss(),
        task.rows,
        task.selection,
        task.settings,
        steps=task.steps,
        learning_rate=RATE,
        seed=SEED,
        metrics=["accuracy"],
        log=lambda step, values: None,
        description="ours",
        companion=lambda *step: turn(),
        start=False,
        **{"precision": "fp32"} | how,
    )
    return run


def tailored(task: Task, turn: Turn) -> Run:
    """Our loop with the loss of the arm `tailored`."""
    generator = torch.Generator().manual_seed(SEED)
    shape = (len(task.rows), task.model.config.num_labels)
    warm, student, tangents = (torch.randn(shape, generator=generator) for _ in range(3))
    mix = {"anchor": "warm_teacher", "student_weight": 0.0, "influence_weight": 0.5}
    return ours(task, turn, TailoringLoss(warm, student, tangents, temperature=2.0, hard_label_weight=0.0, **mix))


def bare(task: Task, turn: Turn) -> Run:
    """What one writes by hand."""
    run, settings = Run(task), task.settings
    decayed = [parameter for parameter in run.model.parameters() if parameter.ndim >= 2]
    others = [parameter for parameter in run.model.parameters() if parameter.ndim < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, fused=True)
    scheduler = get_scheduler("linear", optimizer, round(settings.warmup_ratio * task.steps), task.steps)
    batches = EndlessBatches(task.rows, settings.batch_size, torch.Generator().manual_seed(SEED))
    run.model.train()
    for batch in islice(batches, task.steps):
        logits = run.model(**inputs_of(batch)).logits
        turn()  # where ours gives others theirs
        nn.functional.cross_entropy(logits, batch["labels"]).backward()
        clip_grad_norm_(run.model.parameters(), settings.max_grad_norm)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return run


def trainer(task: Task, turn: Turn) -> Run:
    """transformers.Trainer, its defaults but for the batch size and what it writes."""

    class Turns(TrainerCallback):
        def on_step_begin(self, *args, **kwargs):
            turn()

    run = Run(task)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            scratch,
            learning_rate=RATE,
            num_train_epochs=task.settings.epochs,
            per_device_train_batch_size=task.settings.batch_size,
            seed=SEED,
            **QUIET,
        )
        done = Trainer(
            run.model,
            arguments,
            train_dataset=Plain(task.rows),
            data_collator=task.rows.collate,
            callbacks=[Turns()],
        )
        done.remove_callback(PrinterCallback)
        done.train()
    return run


def measure(task: Task, rounds: int) -> dict:
    """Time ratios and padding of every run, and the shares of a step's time."""
    groups = [
        {BARE: bare, OURS: ours, AGAIN: bare},
        {OURS: ours, TAILORED: tailored, FROZEN: partial(ours, freeze=True), TRAINER: trainer},
        {BARE: bare, BF16: partial(ours, precision="bf16")},
    ]
    found = defaultdict(list)
    for group in rounds * groups:
        # A process has one precision at a time.
        AcceleratorState._reset_state(reset_partial_state=True)
        done = in_turns(task, group)
        for name, run in done.items():
            run.require_work(name)
            found[name].append((run, done.get(UNITS.get(name))))
        if {OURS, BARE} <= set(done):
            require_same(done[OURS], done[BARE])
    AcceleratorState._reset_state(reset_partial_state=True)
    return {"runs": {name: figures(runs) for name, runs in found.items()}, "step": step_shares(task)}


def figures(runs: list[tuple[Run, Run | None]]) -> dict[str, float | None]:
    """What is said of a way to train: from its runs, each with that of its unit where it ran beside it."""
    pairs = [(run.steps, unit.steps) for run, unit in runs if unit]
    same = all(run.tokens == unit.tokens and len(run.steps) == len(unit.steps) for run, unit in runs if unit)
    if not pairs:
        ratio = None
    elif same:
        ratio = statistics.median(own / others for pair in pairs for own, others in zip(*pair, strict=True))
    else:
        ratio = sum(sum(own) for own, _ in pairs) / sum(sum(others) for _, others in pairs)
    return {
        "step": statistics.mean(statistics.mean(run.steps) for run, _ in runs),
        "ratio": ratio,
        "padding": runs[-1][0].padding,
        "ends": statistics.median(run.ends for run, _ in runs),
    }


def in_turns(task: Task, ways: dict[str, Callable[[Task, Turn], Run]]) -> dict[str, Run]:
    """The runs, step by step in turns, each with the CPU seconds of its thread. Raises what a run raises."""
    waiting, hands, failed = [*ways], threading.Condition(), []
    marks, done = {name: [] for name in ways}, {}

    def wait(name: str) -> None:
        hands.wait_for(lambda: waiting[0] == name or failed)
        if failed:
            raise failed[0]

    def turn(name: str) -> None:
        marks[name].append(time.thread_time())
        with hands:
            waiting.append(waiting.pop(0))
            hands.notify_all()
            wait(name)

    def go(name: str) -> None:
        torch.set_num_threads(1)
        try:
            with hands:
                wait(name)
            marks[name].append(time.thread_time())
            done[name] = ways[name](task, partial(turn, name))
            marks[name].append(time.thread_time())
            done[name].marks = marks[name]
        except Exception as error:
            failed.append(error)
        finally:
            with hands:
                waiting.remove(name)
                hands.notify_all()

    threads = [threading.Thread(target=go, args=[name]) for name in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return done


def require_same(own: Run, bare: Run) -> None:
    """Raise UserError where two runs end with other weights."""
    mine, others = weights(own.model), weights(bare.model)
    if not (apart := ((mine - others).norm() / others.norm()).item()) <= APART:
        raise UserError(f"{OURS}: ends {apart:.0e} off the weights of the bare loop, more than {APART:.0e}")


def weights(model: nn.Module) -> Tensor:
    """All of a network's weights as one vector, a copy."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def step_shares(task: Task) -> dict[str, float]:
    """Where the time of the bare loop's steps goes, as shares of it, the median over the steps of an epoch."""
    model = copy.deepcopy(task.model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    batches = iter(training_batches(task.rows, task.settings.batch_size, torch.Generator().manual_seed(SEED)))
    steps = []
    while True:
        clock = [time.process_time()]
        if (batch := next(batches, None)) is None:
            break
        clock.append(time.process_time())
        loss = nn.functional.cross_entropy(model(**inputs_of(batch)).logits, batch["labels"])
        clock.append(time.process_time())
        loss.backward()
        clock.append(time.process_time())
        clip_grad_norm_(model.parameters(), task.settings.max_grad_norm)
        clock.append(time.process_time())
        optimizer.step()
        optimizer.zero_grad()
        clock.append(time.process_time())
        steps.append([end - start for start, end in pairwise(clock)])
    spent = [statistics.median(column) for column in zip(*steps, strict=True)]
    return {part: seconds / sum(spent) for part, seconds in zip(PARTS_OF_A_STEP, spent, strict=True)}


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
