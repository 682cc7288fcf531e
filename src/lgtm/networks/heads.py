"""The head of a fine-tuned classifier, put into the order of a task's classes."""

import unicodedata

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from lgtm.errors import UserError

TOLERANCE = 1e-5  # of the permuted logits, in units of the largest: a product of fewer rows may round differently


def order_of_classes(
    config: PreTrainedConfig, classes: list[str], names: dict[str, str] | None, field: str
) -> list[int]:
    """Which of the classifier's outputs stands for each of the task's classes, in the task's order.

    names: a class of the task for labels of the classifier that are called otherwise; the others go by their name, as
    it is or, where that is unambiguous, whatever the case. Raises UserError where this is not one to one.
    """
    own = [str(config.id2label[index]) for index in sorted(config.id2label)]
    if len(own) != len(classes):
        raise UserError(
            f"{field}: the classifier has {len(own)} classes ({', '.join(own)}), the task {len(classes)}"
            f" ({', '.join(classes)})"
        )
    if config.problem_type == "multi_label_classification":
        raise UserError(f"{field}: the classifier says any number of classes of a text; one that says one is needed")
    names = {_plain(label): _plain(name) for label, name in (names or {}).items()}
    if unknown := sorted(names.keys() - set(map(_plain, own))):
        raise UserError(f"{field}.labels: {unknown[0]!r} is no label of the classifier; it has {', '.join(own)}")
    if unknown := sorted(set(names.values()) - set(map(_plain, classes))):
        raise UserError(f"{field}.labels: {unknown[0]!r} is no class of the task; it has {', '.join(classes)}")
    found = [names.get(label, label) for label in map(_plain, own)]
    wanted = list(map(_plain, classes))
    if set(found) != set(wanted):
        found, wanted = [label.casefold() for label in found], [name.casefold() for name in wanted]
    if len(set(wanted)) < len(wanted) or sorted(found) != sorted(wanted):
        raise UserError(
            f"{field}: the classifier's labels ({', '.join(own)}) are not the task's classes ({', '.join(classes)});"
            " say in the card which is which, labels: {<its label>: <the task's class>}"
        )
    return [found.index(name) for name in wanted]


def _plain(label: str) -> str:
    return unicodedata.normalize("NFC", label).strip()


@torch.no_grad()
def put_in_order(model: PreTrainedModel, order: list[int], field: str) -> None:
    """Permute the classifier's outputs in place, so that output i is what output order[i] was.

    Heads differ, so the output layer is looked for among all that gives as many numbers, and the logits tell whether it
    was the one. Raises UserError where none is.
    """
    outputs = len(order)
    was = _logits(model)
    wanted = was[:, order]
    tolerance = TOLERANCE * was.abs().max().item()
    for layer in reversed([module for module in model.modules() if _gives(module, outputs)]):
        parameters = [value for name in ("weight", "bias") if (value := getattr(layer, name, None)) is not None]
        before = [value.clone() for value in parameters]
        for value, old in zip(parameters, before, strict=True):
            value.copy_(old[order])
        if torch.allclose(_logits(model), wanted, rtol=0, atol=tolerance):
            return
        for value, old in zip(parameters, before, strict=True):
            value.copy_(old)
    raise UserError(
        f"{field}: found no output layer in a {model.config.model_type} classifier whose rows are its classes"
    )


def _gives(module: nn.Module, outputs: int) -> bool:
    return isinstance(module, nn.Linear) and module.out_features == outputs


def _logits(model: PreTrainedModel) -> Tensor:
    """What the classifier says of a few tokens, dropout off."""
    rows = len(model.get_input_embeddings().weight)
    tokens = torch.arange(1, 17).reshape(2, 8) * 7 % rows
    return model.eval()(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits
