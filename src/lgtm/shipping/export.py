"""A student written for those who use it, every form of it measured before anything is where they look."""

import importlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lgtm.config import read_yaml
from lgtm.data.tasks import load_card
from lgtm.errors import UserError
from lgtm.handover import existing, writing
from lgtm.networks.pooling import OWN_WORDS
from lgtm.report.names import WARMUP
from lgtm.report.recommendation import WARM_STUDENT
from lgtm.shipping import onnx as graphs
from lgtm.shipping.card import Origin, Results, model_card
from lgtm.shipping.forms import Comparison, Form, Measured, as_transformers_loads_it, pytorch, require_parity
from lgtm.shipping.lineage import lineage
from lgtm.shipping.recommended import SHIP, SUMMARY, Shipped, present_settings, seed_and_arm
from lgtm.shipping.student import Student

METRICS = Path("reports/metrics.json")
GRAPH, GRAPH8 = "model.onnx", "model.int8.onnx"
PYTORCH, ONNX, INT8 = "PyTorch", "ONNX", "ONNX, int8"
AS_IS = "the folder as transformers loads it"
FILES = {PYTORCH: "model.safetensors", ONNX: GRAPH, INT8: GRAPH8}


class Export:
    """A student on its way into a folder that is not there yet; chosen: why it is this one, None for one by hand."""

    def __init__(self, student: Student, chosen: Shipped | None, out: Path):
        if out.exists():
            raise UserError(f"{out}: is there already; name a folder that is not, or remove it")
        self.student, self.chosen, self.out = student, chosen, out
        self.cell = chosen.cell if chosen else student.folder  # that trained it
        self.artifacts = importlib.import_module("stages.artifacts")
        self.task = self.artifacts.read_task()
        if student.labels != self.task["labels"]:
            raise UserError(
                f"{student.folder}: its classes are {', '.join(student.labels)}, the task's"
                f" {', '.join(self.task['labels'])}; export it in the project that it was made in"
            )

    def write(self, *, onnx: bool, int8: bool) -> Iterator[str]:
        """Write the folder; yields what was found, line by line. Raises UserError, and leaves nothing, on a failure."""
        if onnx:
            graphs.require_onnx()
        selection = self.artifacts.read_role("selection", self.artifacts.TEXTS)
        with writing(self.out):
            self.out.parent.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.TemporaryDirectory(dir=self.out.parent, prefix=f".{self.out.name}-")
        with scratch as place:
            made = Path(place) / "made"  # the folder itself is for its owner alone
            self._save(made)
            if onnx:
                graphs.write_onnx(self.student, selection.drop(columns="label"), made / GRAPH)
            if int8:
                graphs.write_int8(made / GRAPH, made / GRAPH8)
            compared = Comparison(self.student, selection, selection["label"].to_numpy(), self.task["metrics"])
            forms = self._measured(made, compared)
            plain, _ = compared.difference(AS_IS, as_transformers_loads_it(made))
            if getattr(self.student.model.config, "pooling", None) in (None, *_own_words(self.student)):
                require_parity(plain, AS_IS)
            card = self._card(forms, plain)
            with writing(self.out):
                (made / "README.md").write_text(card, encoding="utf-8")
                made.rename(self.out)
        metric = self.task["metrics"][0]
        for form in forms:
            times = ", ".join(f"{took:.2f} ms a batch of {size}" for size, took in form.milliseconds.items())
            yield (
                f"{form.name}: {form.megabytes:.1f} MB, {metric} {100 * form.values[metric]:.2f} on selection,"
                f" largest difference in logits {form.difference:.1e}, {times}"
            )
        yield f"{self.out}: written; its card is README.md"

    def _save(self, folder: Path) -> None:
        tokenizer = self.student.tokenizer
        tokenizer.model_max_length = self.student.max_length  # where whoever loads it cuts
        self.artifacts.save_model(folder, self.student.model, tokenizer)
        (folder / FILES[PYTORCH]).chmod(0o644)  # safetensors leaves it to its owner alone

    def _measured(self, made: Path, compared: Comparison) -> list[Measured]:
        """Every form that is in the folder, against the student that it was made of; each is loaded from its file."""
        forms: dict[str, Form] = {PYTORCH: pytorch(Student(made).model)}
        forms |= {name: graphs.Session(made / file) for name, file in FILES.items()
                  if name != PYTORCH and (made / file).is_file()}  # fmt: skip
        found = {}
        for name, form in forms.items():
            found[name] = compared.difference(name, form)
            if name != INT8:
                require_parity(found[name][0], name)
        took = compared.milliseconds(forms)
        sizes = {name: sum(path.stat().st_size for path in made.glob(f"{FILES[name]}*")) / 1e6 for name in forms}
        return [Measured(name, sizes[name], *found[name], took[name]) for name in forms]

    def _card(self, forms: list[Measured], plain: float) -> str:
        params = read_yaml("params.yaml")
        place = seed_and_arm(self.cell)
        origin = Origin(
            what=_in_words(place),
            task=params["task"],
            task_card=load_card(Path("tasks") / params["task"]).model_dump(),
            pair=params["pair"],
            pair_card=read_yaml(Path("pairs") / f"{params['pair']}.yaml"),
            data=self.artifacts.read_summary() | self.task,
            selection=self.chosen.selection if self.chosen else {},
        )
        found = lineage(self.cell)
        differs = []
        if found.stage:
            paths = [self.cell, *([SHIP] if self.chosen else [])]
            differs = importlib.import_module("lgtm.runner.integrity").verify([*map(str, paths)]).problems
        return model_card(self.student, origin, self._results(params, place), found, forms, plain, differs)

    def _results(self, params: dict, place: tuple[int, str | None] | None) -> Results | None:
        """What the report says of this student's arm; None where it says nothing, or is of other settings."""
        if place is None or not (SUMMARY.is_file() and METRICS.is_file()):
            return None
        if json.loads(SUMMARY.read_text(encoding="utf-8")).get("of") != present_settings():
            return None
        seed, arm = place[0], place[1] or WARMUP
        if seed not in params["seeds"] or arm not in (WARMUP, *params["arms"]):
            return None
        own = self.artifacts.read_columns(
            self.artifacts.evaluation(seed, arm) / "results.parquet", "model", "part", "metric", "value"
        )
        own = own[(own["model"] == "student") & (own["part"] == own["part"].iloc[0])]
        metrics = json.loads(existing(METRICS, "arms", "warm_student", "majority", "teachers").read_text("utf-8"))
        return Results(metrics, arm, params["seeds"], dict(zip(own["metric"], own["value"], strict=True)))


def _own_words(student: Student) -> tuple[str, ...]:
    """The ways of pooling that transformers itself heeds in this architecture."""
    return tuple(OWN_WORDS.get(student.model.config.model_type, ()))


def _in_words(place: tuple[int, str | None] | None) -> str:
    if place is None:
        return "from a folder of its own"
    seed, arm = place
    return f"the {WARM_STUDENT} of seed {seed}, trained on the labels" if arm is None else f"arm {arm}, seed {seed}"
