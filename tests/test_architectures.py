"""Every architecture that the project claims, from a checkpoint folder to a scored student, and those it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from torch.nn.utils import get_total_norm
from transformers import AutoConfig, AutoModel

from lgtm.errors import UserError
from lgtm.influence.direction import feedback_gradient, feedback_loss, normalise, precondition, scope_parameters
from lgtm.influence.identity import tangents
from lgtm.networks.cost import Passes
from lgtm.networks.encoding import EncodedTexts, by_length, ordered_batches
from lgtm.networks.losses import LabelLoss
from lgtm.networks.models import classifier, load_tokenizer, starting_network
from lgtm.networks.pairs import Network
from lgtm.networks.training import count_steps, fit, predict
from lgtm.networks.trial import try_out

SIZE = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 3}
POSITIONS = {"max_position_embeddings": 34}  # of which RoBERTa's kind uses 33 or fewer
USUAL = SIZE | POSITIONS
XLM = {"emb_dim": 16, "n_layers": 3, "n_heads": 2, **POSITIONS}
# As the README names them: what each needs besides the usual to be tiny.
SUPPORTED = {
    "albert": USUAL | {"embedding_size": 8},
    "bert": USUAL,
    "big_bird": USUAL | {"block_size": 4, "num_random_blocks": 1},
    "camembert": USUAL,
    "convbert": USUAL | {"embedding_size": 16, "conv_kernel_size": 3},
    "data2vec-text": USUAL,
    "deberta": USUAL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "deberta-v2": USUAL | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    "distilbert": {"dim": 16, "n_heads": 2, "hidden_dim": 32, "n_layers": 3, **POSITIONS},
    "electra": USUAL | {"embedding_size": 8},
    "ernie": USUAL,
    "esm": USUAL | {"mask_token_id": 4},
    "eurobert": USUAL | {"num_key_value_heads": 2, "head_dim": 8},
    "flaubert": XLM,
    "fnet": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, **POSITIONS},
    "funnel": {
        "block_sizes": [1, 1],
        "d_model": 16,
        "n_head": 2,
        "d_head": 8,
        "d_inner": 32,
        "architectures": ["FunnelModel"],
    },
    "gte": USUAL,
    "ibert": USUAL,
    "longformer": USUAL | {"attention_window": [4, 4, 4]},
    "luke": USUAL | {"entity_vocab_size": 5, "entity_emb_size": 8},
    "megatron-bert": USUAL,
    "mobilebert": USUAL
    | {"embedding_size": 8, "intra_bottleneck_size": 16, "true_hidden_size": 16, "num_feedforward_networks": 4},
    "modernbert": USUAL | {"global_attn_every_n_layers": 2},
    "mpnet": USUAL,
    "nomic_bert": USUAL | {"head_dim": 8},
    "nystromformer": USUAL,
    "rembert": USUAL | {"input_embedding_size": 8, "output_embedding_size": 8},
    "roberta": USUAL,
    "roberta-prelayernorm": USUAL,
    "roformer": USUAL | {"embedding_size": 16},
    "squeezebert": USUAL
    | {f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention", "intermediate", "output")}
    | {"embedding_size": 16},
    "xlm": XLM,
    "xlm-roberta": USUAL,
    "xlm-roberta-xl": USUAL,
    "xlnet": {"d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 32},
    "xmod": USUAL | {"languages": ["en_XX", "de_DE", "fr_XX"], "default_language": "en_XX"},
}
UNCUTTABLE = {"flaubert": "list index", "funnel": "This model does not support", "xlm": "list index"}
TRAIN, FEEDBACK = tiny.table(16), tiny.table(8)
SETTINGS = SimpleNamespace(
    epochs=1,
    min_steps=0,
    batch_size=8,
    warmup_ratio=0.0,
    weight_decay=0.01,
    max_grad_norm=1.0,
    evaluations=1,
    keep="last",
)


def save_checkpoint(kind, folder, **fields):
    torch.manual_seed(0)
    encoder = AutoModel.from_config(AutoConfig.for_model(kind, **fields, vocab_size=100, pad_token_id=0))
    # Far from the start, where all that it says is nearly the same.
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    encoder.save_pretrained(folder)
    tokenizer = tiny.tokenizer()
    if kind == "mpnet":
        tokenizer.pad_token = "[UNK]"  # token 1, from which it counts positions whatever its configuration says
    tokenizer.save_pretrained(folder)


def write_start(folder, out, layers=None):
    network = Network.model_construct(checkpoint=str(folder), layers=layers)
    start, tokenizer = starting_network(network, None, tiny.LABELS, 16, "card: student")
    start.save_pretrained(out)
    tokenizer.save_pretrained(out)
    try_out(out, tiny.LABELS, TRAIN, 16, "card: student")
    return start


@pytest.mark.parametrize("kind", SUPPORTED)
def test_an_architecture_from_its_checkpoint_to_its_tangents(kind, tmp_path):
    save_checkpoint(kind, tmp_path / "checkpoint", **SUPPORTED[kind])
    write_start(tmp_path / "checkpoint", tmp_path / "start")
    model, tokenizer = classifier(tmp_path / "start", tiny.LABELS), load_tokenizer(tmp_path / "start")
    train, feedback = (EncodedTexts(frame, tokenizer, 16, kind) for frame in (TRAIN, FEEDBACK))
    fitted = fit(
        model,
        LabelLoss(),
        train,
        train,
        SETTINGS,
        steps=count_steps(len(train), SETTINGS),
        learning_rate=1e-3,
        precision="fp32",
        seed=1,
        metrics=["accuracy"],
        log=lambda step, values: None,
        description="test",
    )
    assert fitted.second_moments.keys() == dict(model.named_parameters()).keys()

    logits = predict(model, train, 16)
    assert not np.allclose(logits[0], logits[1])
    np.testing.assert_allclose(predict(model, train, 1), logits, atol=2e-5)
    model.save_pretrained(tmp_path / "trained")
    again = classifier(tmp_path / "trained", tiny.LABELS)
    passes = Passes(again)
    np.testing.assert_array_equal(predict(again, train, 16), logits)
    assert passes.total()["forward"] == 16

    model.double()  # a difference of fp32 logits of texts that are nearly alike has few digits
    loss = feedback_loss("margin", torch.zeros(8, 2), torch.tensor(feedback.labels))
    batches = list(ordered_batches(feedback, 4, by_length(feedback), torch.device("cpu")))
    for scope in ("head", "all"):
        gradient = feedback_gradient(model, batches, scope_parameters(model, scope), loss)
        assert normalise(precondition(gradient, fitted.second_moments))
        found = tangents(model, batches, normalise(gradient), method="finite_difference", step_size=1e-6)
        # The margin is linear in the logits: along its own gradient it grows by the gradient's length.
        parts = [loss(derivative, batch["labels"]) for (_, derivative), batch in zip(found, batches, strict=True)]
        assert sum(parts).item() / 8 == pytest.approx(get_total_norm(gradient.values()).item(), rel=5e-3)


@pytest.mark.parametrize("kind", sorted(SUPPORTED.keys() - UNCUTTABLE))
def test_an_architecture_cut_to_two_of_its_layers(kind, tmp_path):
    save_checkpoint(kind, tmp_path / "checkpoint", **SUPPORTED[kind])
    start = write_start(tmp_path / "checkpoint", tmp_path / "start", layers=[0, 2])
    built = classifier(tmp_path / "start", tiny.LABELS).eval()
    assert built.config.num_hidden_layers == 2
    tokens = {"input_ids": torch.tensor([[2, 9, 8, 7, 3]]), "attention_mask": torch.ones(1, 5, dtype=torch.long)}
    with torch.no_grad():
        said, says = (network(**tokens)[0] for network in (start.eval(), built.base_model))
    torch.testing.assert_close(says, said)


def test_a_list_that_has_nothing_to_do_with_layers_stays_whole_though_it_is_as_long(tmp_path):
    fields = SUPPORTED["deberta-v2"] | {"num_hidden_layers": 2}
    save_checkpoint("deberta-v2", tmp_path / "checkpoint", **fields)
    start = write_start(tmp_path / "checkpoint", tmp_path / "start", layers=[1])
    assert start.config.pos_att_type == fields["pos_att_type"]


@pytest.mark.parametrize("kind", UNCUTTABLE)
def test_an_architecture_whose_layers_cannot_be_chosen(kind, tmp_path):
    save_checkpoint(kind, tmp_path / "checkpoint", **SUPPORTED[kind])
    reason = rf"card: student.layers: layers \[1\] make no {kind} network: {UNCUTTABLE[kind]}"
    with pytest.raises(UserError, match=reason):
        write_start(tmp_path / "checkpoint", tmp_path / "start", layers=[1])


@pytest.mark.parametrize(
    ("kind", "fields", "layers", "reason"),
    [
        ("bert-generation", USUAL, None, "no sequence classifier of a bert-generation network"),
        ("canine", SIZE, None, "a canine network has no table of token embeddings"),
        ("esmc", USUAL, [0, 2], "what they compute depends on their places"),
        ("lilt", USUAL, None, "cannot be multiplied"),  # it wants the places of the words on a page
        ("modernbert", USUAL, [1, 2], "what they compute depends on their places"),
        # Its attention is a CUDA kernel; without, it is zero or whatever stood in memory.
        ("mra", USUAL, None, "(says the same of different texts|depends on the padding)"),
        ("yoso", USUAL, None, "depends on the padding"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(kind, fields, layers, reason, tmp_path):
    save_checkpoint(kind, tmp_path / "checkpoint", **fields)
    with pytest.raises(UserError, match=f"^card: student.*{reason}") as error:
        write_start(tmp_path / "checkpoint", tmp_path / "start", layers)
    assert "\n" not in str(error.value)
