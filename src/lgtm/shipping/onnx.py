"""A classifier as an ONNX graph, its pooling in it, and the same with weights of 8 bits. Needs the extra `onnx`."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lgtm.errors import UserError, one_line
from lgtm.networks.encoding import ordered_batches
from lgtm.networks.losses import inputs_of
from lgtm.shipping.student import Student

NEEDED = ("onnx", "onnxscript", "onnxruntime")
AXES = {0: "batch", 1: "length"}  # of every input: both may be any number
CPU = torch.device("cpu")


def require_onnx() -> None:
    """Raise UserError where a package of the extra is not installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ONNX needs {', '.join(missing)}; pip install -e '.[onnx]'")


class _Graph(nn.Module):
    """The classifier from its inputs, in order, to its logits."""

    def __init__(self, model: nn.Module, names: list[str]):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.model(**dict(zip(self.names, inputs, strict=True))).logits


def write_onnx(student: Student, frame, path: Path) -> None:
    """Write the classifier as it computes here, with the pooling that its configuration asks for, to a graph of ONNX.

    frame: texts, two at least, for an example to follow through the network. Raises UserError where torch cannot.
    """
    data = student.encode(frame)
    longest = np.argsort(-data.lengths, kind="stable")[:2]
    example = inputs_of(next(ordered_batches(data, 2, longest, CPU)))
    names = list(example)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                _Graph(student.model.eval(), names).eval(),
                tuple(example.values()),
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=(tuple(AXES for _ in names),),
                dynamo=True,
                verbose=False,
            )
            program.save(path)
    except Exception as error:  # each architecture fails in its own way
        kind = student.model.config.model_type
        raise UserError(
            f"{student.folder}: torch makes no ONNX graph of this {kind} network: {_cause(error)}"
        ) from error


def write_int8(graph: Path, path: Path) -> None:
    """Write a graph with its matrices in 8 bits; what is multiplied with them is rounded as it comes (dynamically)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(graph, path, weight_type=QuantType.QInt8)


class Session:
    """A graph in onnxruntime on one thread of the CPU. Called with a network's inputs it gives logits, N × C."""

    def __init__(self, path: Path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: dict[str, Tensor]) -> np.ndarray:
        """Logits of a batch."""
        return self.session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]


def _cause(error: BaseException) -> str:
    """What an exporter's error is about: its first cause, for the others say at length where to report it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporter and quantiser say of their own workings."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
