"""The losses of the training loop: labels, distillation, tailoring.

Each is a module called as `loss(outputs, batch)` with a transformers output and a batch that carries `labels` and
`index`, the position of its samples in the table of rows; teacher outputs are looked up by that index. Tables of all
rows, a tensor or a DiskTable, stay on the CPU, whatever the device: of N × C numbers only the batch's move. Every loss
is a mean over the batch. Logits are N × C, one row per sample. A row without a label (−100, what torch's cross-entropy
ignores) has no part in a loss with labels, but counts in the mean.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from lgtm.networks.storage import DiskTable

Table = Tensor | DiskTable  # N × width, or N; on the CPU


def inputs_of(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The part of a batch that a model takes: all but labels, index and share."""
    return {name: value for name, value in batch.items() if name not in ("labels", "index", "share")}


class Loss(nn.Module):
    """What the training loop minimises; `needs_hidden` asks the loop for the student's hidden states."""

    needs_hidden = False


class LabelLoss(Loss):
    """Cross-entropy with the labels."""

    def forward(self, outputs, batch) -> Tensor:
        """Scalar loss of a batch."""
        return F.cross_entropy(outputs.logits, batch["labels"])


class DistillationLoss(Loss):
    """(1 − α) T² KL(p_T ‖ p_S) at temperature T plus α CE with the labels (Hinton et al., 2015, eq. 4).

    teacher_logits: N × C. The factor T² keeps the gradient's size independent of the temperature. weights: of the
    samples (N, mean 1), in both parts; None for all alike.
    """

    def __init__(
        self, teacher_logits: Table, temperature: float, hard_label_weight: float, weights: Tensor | None = None
    ):
        super().__init__()
        self.teacher_logits = teacher_logits
        self.weights = weights
        self.temperature = temperature
        self.hard_label_weight = hard_label_weight

    def retarget(self, index: Tensor, outputs) -> None:
        """Put a moving teacher's outputs in place of what it said of these rows before."""
        _put(self.teacher_logits, index, outputs.logits)

    def forward(self, outputs, batch) -> Tensor:
        """Scalar loss of a batch."""
        temperature, mix = self.temperature, self.hard_label_weight
        teacher = _of(self.teacher_logits, batch)
        soft = _kl(teacher, outputs.logits, temperature)
        hard = F.cross_entropy(outputs.logits, batch["labels"], reduction="none")
        return _mean((1 - mix) * soft + mix * hard, self.weights, batch)


class HiddenMatching(Loss):
    """A loss plus weight · squared distance of the normalised [CLS] states of student and teacher (PKD, eq. 7).

    teacher_hidden: N × H_T, the last layer's first position. A linear map, trained with the student, bridges widths.
    """

    needs_hidden = True

    def __init__(self, loss: Loss, teacher_hidden: Table, student_width: int, weight: float):
        super().__init__()
        self.loss = loss
        self.teacher_hidden = teacher_hidden
        self.projection = nn.Linear(student_width, teacher_hidden.shape[1], bias=False)
        self.weight = weight

    def retarget(self, index: Tensor, outputs) -> None:
        """Put a moving teacher's outputs in place of what it said of these rows before."""
        self.loss.retarget(index, outputs)
        _put(self.teacher_hidden, index, outputs.hidden_states[-1][:, 0])

    def forward(self, outputs, batch) -> Tensor:
        """Scalar loss of a batch; the outputs have to carry hidden states."""
        student = F.normalize(self.projection(outputs.hidden_states[-1][:, 0].float()), dim=-1)
        teacher = F.normalize(_of(self.teacher_hidden, batch).float(), dim=-1)
        return self.loss(outputs, batch) + self.weight * (student - teacher).square().sum(-1).mean()


class TailoringLoss(Loss):
    """The tailored teacher's loss at a frozen student: anchor + β KL(p_T ‖ p_S) − λ · mean influence.

    The anchor is CE with the labels (the paper's), or KL(p_T ‖ p_warm), which holds the teacher to its warm self. Both
    KL are at the temperature T at which the student hears the teacher, times T² as in the student's loss. The influence
    of sample i is (1 − α) T Σ_c (p_S,c − p_T,c) ṡ_c plus what does not depend on the teacher, so only −(1 − α) T p_T·ṡ
    enters. With the warm anchor and β = 0 the optimum per sample is warm_logits − λ (1 − α) ṡ (see arms/tilted.py).

    warm_logits, student_logits, tangents: N × C; tangents in units of their own scale (see identity.unit_scale).
    weights: of the samples in the anchor (N, mean 1); None for all alike.
    """

    def __init__(
        self,
        warm_logits: Table,
        student_logits: Table,
        tangents: Table,
        *,
        anchor: str,
        student_weight: float,
        influence_weight: float,
        temperature: float,
        hard_label_weight: float,
        weights: Tensor | None = None,
    ):
        super().__init__()
        self.warm_logits = warm_logits
        self.student_logits = student_logits
        self.tangents = tangents
        self.weights = weights
        self.anchor = anchor
        self.student_weight = student_weight
        self.influence_weight = influence_weight
        self.temperature = temperature
        self.hard_label_weight = hard_label_weight

    def forward(self, outputs, batch) -> Tensor:
        """Scalar loss of a batch."""
        logits, temperature = outputs.logits, self.temperature
        if self.anchor == "labels":
            anchor = F.cross_entropy(logits, batch["labels"], reduction="none")
        else:
            anchor = _kl(logits, _of(self.warm_logits, batch), temperature)
        loss = _mean(anchor, self.weights, batch)
        if self.student_weight:
            loss = loss + self.student_weight * _kl(logits, _of(self.student_logits, batch), temperature).mean()
        teacher = (logits / temperature).softmax(-1)
        influence = -(1 - self.hard_label_weight) * temperature * (teacher * _of(self.tangents, batch)).sum(-1)
        return loss - self.influence_weight * influence.mean()


def co_teaching_loss(
    logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    *,
    label_weight: float,
    teacher_kl_weight: float,
    student_kl_weight: float,
) -> Tensor:
    """a CE(y, p_T) + b KL(p_T ‖ p_S) + c KL(p_S ‖ p_T): a teacher's loss beside its student, but for the influence."""
    labelled = label_weight * F.cross_entropy(logits, labels, reduction="none")
    towards = teacher_kl_weight * _kl(logits, student_logits) + student_kl_weight * _kl(student_logits, logits)
    return (labelled + towards).mean()


def _kl(logits: Tensor, other: Tensor, temperature: float = 1.0) -> Tensor:
    """T² KL(softmax(logits / T) ‖ softmax(other / T)) of every row."""
    own, others = ((values / temperature).log_softmax(-1) for values in (logits, other))
    return temperature**2 * F.kl_div(others, own, log_target=True, reduction="none").sum(-1)


def _mean(losses: Tensor, weights: Tensor | None, batch: dict[str, Tensor]) -> Tensor:
    """The batch's mean of its samples' losses, weighted where there are weights (N)."""
    return losses.mean() if weights is None else (_of(weights, batch) * losses).mean()


def _of(table: Table, batch: dict[str, Tensor]) -> Tensor:
    """The batch's rows of a table, on the batch's device."""
    return table[batch["index"].cpu()].to(batch["labels"].device)


def _put(table: Table, index: Tensor, values: Tensor) -> None:
    """Put new values in place of a table's rows."""
    table[index.cpu()] = values.detach().cpu().to(table.dtype)
