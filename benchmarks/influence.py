"""What scoring costs and how exact it is, beside other libraries, in units of one plain inference pass.

    PYTHONPATH=src python -m benchmarks.influence --json influence.json

One feedback gradient is held against every sample of a table of texts, 64 tokens each after padding: a BERT of two
layers of width 128, fp32, on one CPU thread. A plain inference pass loads the table's batches and runs the model with
fused attention; scoring loads the same batches. Times are CPU times of this process. Ours and the plain pass take
turns batch by batch, and a figure is the median over the rounds, so that it survives a busy machine; weights that are
moved once a run are counted in. The feedback gradient is not: it does not grow with the table. Errors are relative to a
loop of per-sample autograd in the same scope. Other libraries and the loop take fewer samples, scaled per sample; what
they score is counted with their feedback samples, whose gradient is part of their call.

Ends in an error where a way scored fewer samples than it was given, or is further off the loop than WORST allows.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from transformers import AutoConfig, AutoModelForSequenceClassification

from benchmarks.memory import measure as measure_memory
from benchmarks.peers import Loss, distillation_loss, kronfluence, missing, tracin
from lgtm.errors import UserError
from lgtm.influence.direction import Direction, feedback_gradient, feedback_loss, normalise, scope_parameters
from lgtm.influence.identity import distillation_influence, tangents
from lgtm.networks.encoding import EncodedTexts, ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.networks.models import train_wordpiece

CLASSES = 2
TOKENS = 64
BATCH = 16
STEP = 1e-4
SCORED = {"temperature": 2.0, "hard_label_weight": 0.3}  # the distillation loss
WORDS = ["".join(letters) for letters in np.random.default_rng(0).choice(list("abcdefgh"), (200, 4))]
PLAIN = "plain inference pass"
OURS = {  # name: scope, method
    "finite differences": ("all", "finite_difference"),
    "forward mode": ("all", "forward"),
    "head scope, finite differences": ("head", "finite_difference"),
    "head scope, forward mode": ("head", "forward"),
}
LOOP, IDENTITY, TRACIN = "autograd loop", "kronfluence identity", "captum TracInCP"
# Errors beyond which a way did not do its work. kronfluence has the linear layers alone.
WORST = {"finite_difference": 1e-3, "forward": 1e-5, LOOP: 1e-5, TRACIN: 1e-5, IDENTITY: 0.6}

Row = dict[str, str | float | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="file to keep the rows in: name, passes, error")
    parser.add_argument("--samples", type=int, default=2048, help="that ours score")
    parser.add_argument("--peer-samples", type=int, default=128, help="that the loop and other libraries score")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-samples", type=int, default=5_000, help="and ten times as many; 0: leave it out")
    options = parser.parse_args()
    torch.set_num_threads(1)

    rows = measure(options.samples, options.peer_samples, options.rounds)
    print(f"{'':32}{'passes':>8}{'error':>10}   on {options.samples} samples")
    for row in rows:
        error = "" if row["error"] is None else f"{row['error']:10.0e}"
        scaled = "" if row["name"] in OURS else f"   (scaled from {options.peer_samples} samples)"
        print(f"{row['name']:32}{row['passes']:8.2f}{error}{scaled}")
    if options.memory_samples:
        small, large = (measure_memory(factor * options.memory_samples)["influence"].peak for factor in (1, 10))
        print(f"peak memory of the influence stage at 10 x {options.memory_samples} samples: {large / small:.2f} times")
        rows.append({"name": "peak memory at 10 x the samples", "passes": None, "error": None, "ratio": large / small})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


class Setting:
    """A student, a table of texts with a teacher's logits, and the feedback gradient of each scope."""

    def __init__(self, samples: int):
        tokenizer = train_wordpiece(WORDS, vocab_size=1000, max_length=TOKENS)
        self.train, self.feedback = (
            EncodedTexts(texts(rows, seed), tokenizer, TOKENS) for rows, seed in ((samples, 1), (BATCH, 2))
        )
        self.teacher_logits = torch.randn(samples, CLASSES, generator=torch.Generator().manual_seed(3))
        self.fused, self.eager = student("sdpa"), student("eager")
        self.gradients = {scope: self.feedback_gradient(scope) for scope in ("all", "head")}

    def feedback_gradient(self, scope: str) -> Direction:
        loss_sum = feedback_loss("cross_entropy", torch.zeros(1, CLASSES), torch.zeros(1, dtype=torch.long))
        batches = in_order(self.feedback)
        return feedback_gradient(self.fused, batches, scope_parameters(self.fused, scope), loss_sum)

    def loss(self) -> Loss:
        return distillation_loss(self.train, self.teacher_logits, **SCORED)

    @torch.no_grad()
    def plain(self) -> Iterator[Tensor]:
        """The student's logits, batch by batch."""
        for batch in in_order(self.train):
            yield self.fused(**inputs_of(batch)).logits

    def ours(self, scope: str, method: str) -> Iterator[Tensor]:
        """Influence under the teacher, batch by batch."""
        model = self.fused if method == "finite_difference" or scope == "head" else self.eager
        direction = normalise(self.gradients[scope])
        scored = tangents(model, in_order(self.train), direction, method=method, step_size=STEP)
        targets = zip(self.teacher_logits.split(BATCH), torch.tensor(self.train.labels).split(BATCH), strict=True)
        for (logits, derivative), (teacher, labels) in zip(scored, targets, strict=True):
            yield distillation_influence(logits, derivative, teacher, labels, **SCORED)

    def autograd_loop(self, scope: str) -> Iterator[Tensor]:
        """The definition, sample by sample."""
        direction = normalise(self.gradients[scope])
        parameters = [dict(self.fused.named_parameters())[name] for name in direction]
        loss = self.loss()
        for batch in in_order(self.train):
            for row in range(len(batch["index"])):
                sample = {name: values[row : row + 1] for name, values in batch.items()}
                value = loss(self.fused(**inputs_of(sample)).logits, sample["index"]).sum()
                gradient = torch.autograd.grad(value, parameters)
                yield sum((g * v).sum() for g, v in zip(gradient, direction.values(), strict=True))[None]

    def peers(self) -> dict[str, Callable[[], Iterator[Tensor]]]:
        """The loop, and the other libraries that are installed, over all parameters; a library scores all at once."""
        scale = get_total_norm(list(self.gradients["all"].values()))
        data = (self.fused, self.train, self.loss(), self.feedback, BATCH)
        found = {LOOP: lambda: self.autograd_loop("all")}
        if not missing("kronfluence"):
            found[IDENTITY] = lambda: at_once(lambda: kronfluence(*data, "identity") / scale)
        if not missing("captum"):
            found[TRACIN] = lambda: at_once(lambda: tracin(*data) / scale)
        return found


def at_once(score: Callable[[], Tensor]) -> Iterator[Tensor]:
    yield score()


def in_order(data: EncodedTexts) -> Iterator[dict[str, Tensor]]:
    return ordered_batches(data, BATCH, range(len(data)), torch.device("cpu"))


def texts(rows: int, seed: int) -> pd.DataFrame:
    """Texts of 30 to 80 made-up words, so that every batch has one that fills it."""
    rng = np.random.default_rng(seed)
    drawn = [" ".join(rng.choice(WORDS, rng.integers(30, 81))) for _ in range(rows)]
    return pd.DataFrame({"text": drawn, "label": rng.integers(CLASSES, size=rows)})


def student(attention: str) -> nn.Module:
    """A BERT of two layers of width 128, the same for either attention."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert",
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        num_labels=CLASSES,
    )
    return AutoModelForSequenceClassification.from_config(config, attn_implementation=attention).eval()


def measure(samples: int, peer_samples: int, rounds: int) -> list[Row]:
    """A row for each of our ways on `samples`, and for the loop and other libraries on `peer_samples`."""
    large, small = Setting(samples), Setting(peer_samples)
    ours = {name: lambda way=way: large.ours(*way) for name, way in OURS.items()}
    passes = in_turns({PLAIN: large.plain} | ours, rounds, samples)
    true = {scope: torch.cat([*small.autograd_loop(scope)]) for scope in ("all", "head")}
    rows = []
    for name, (scope, method) in OURS.items():
        found = torch.cat([*small.ours(scope, method)])
        error = checked(name, relative_error(found, true[scope]), WORST[method])
        rows.append({"name": name, "passes": passes[name], "error": error})

    peers = small.peers()
    passes = in_turns({PLAIN: small.plain} | peers, max(1, rounds // 2), peer_samples)
    for name, way in peers.items():
        scored = peer_samples if name == LOOP else peer_samples + BATCH
        error = checked(name, relative_error(torch.cat([*way()]), true["all"]), WORST[name])
        rows.append({"name": name, "passes": passes[name] * peer_samples / scored, "error": error})
    return rows


def in_turns(ways: dict[str, Callable[[], Iterator[Tensor]]], rounds: int, samples: int) -> dict[str, float]:
    """Time of every way over that of the plain pass, the median over the rounds after a first one that warms up.

    Raises UserError where a way does not come to all the samples.
    """
    ratios = []
    for _ in range(rounds + 1):
        spent, done = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0)
        running = {name: way() for name, way in ways.items()}
        while running:
            for name, steps in list(running.items()):
                began = time.process_time()
                part = next(steps, None)
                spent[name] += time.process_time() - began
                if part is None:
                    del running[name]
                else:
                    done[name] += len(part)
        for name, scored in done.items():
            if scored != samples:
                raise UserError(f"{name}: scored {scored} of {samples} samples")
        ratios.append({name: seconds / spent[PLAIN] for name, seconds in spent.items()})
    return {name: statistics.median(ratio[name] for ratio in ratios[1:]) for name in ways}


def relative_error(found: Tensor, true: Tensor) -> float:
    """Not a number where nothing is true, infinite where there are not as many."""
    return ((found - true).norm() / true.norm()).item() if found.shape == true.shape else float("inf")


def checked(name: str, error: float, worst: float) -> float:
    """The error. Raises UserError where it is beyond the worst, or no number."""
    if not error <= worst:
        raise UserError(f"{name}: {error:.0e} off the autograd loop, more than {worst:.0e}")
    return error


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
