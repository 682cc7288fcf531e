"""What the head reads: the first position or the mean over a text's tokens, for every architecture where it can be."""

import copy
import json

import numpy as np
import pytest
import tiny
import torch
from test_architectures import SUPPORTED, TRAIN, save_checkpoint
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from lgtm.errors import UserError
from lgtm.networks.encoding import READS_PADDING, EncodedTexts
from lgtm.networks.models import READS_LAST, classifier, load_tokenizer, starting_network
from lgtm.networks.pairs import Network
from lgtm.networks.pooling import OWN_WORDS
from lgtm.networks.training import predict
from lgtm.networks.trial import try_out

REFUSED = {"fnet": "a fnet network takes no attention mask", "funnel": "6 tokens make 3 states"}


def write_start(tmp_path, kind, pooling):
    """The folder of a tiny network that starts from a checkpoint and pools so."""
    if not (tmp_path / kind).exists():
        save_checkpoint(kind, tmp_path / kind, **SUPPORTED[kind])
    network = Network.model_construct(checkpoint=str(tmp_path / kind), pooling=pooling, learning_rate=1e-3)
    out = tmp_path / f"{kind}-{pooling}"
    torch.manual_seed(0)  # for a pooler that the checkpoint lacks
    for part in starting_network(network, None, tiny.LABELS, 16, "card: student"):
        part.save_pretrained(out)
    try_out(out, tiny.LABELS, TRAIN, 16, "card: student")
    return out


def built(folder):
    torch.manual_seed(0)
    return classifier(folder, tiny.LABELS).eval()


@pytest.mark.parametrize("kind", sorted(SUPPORTED.keys() - REFUSED))
def test_the_mean_is_over_a_text_s_own_tokens(kind, tmp_path):
    out = write_start(tmp_path, kind, "mean")
    model, data = built(out), EncodedTexts(TRAIN, load_tokenizer(out), 16, kind)
    logits, hidden = predict(model, data, 16, hidden=True)
    np.testing.assert_allclose(predict(model, data, 1), logits, atol=2e-5)

    encoder = AutoModel.from_pretrained(out).eval()
    for row in range(4):
        batch = data.collate([data[row]])
        mask = batch["attention_mask"][0].bool()
        assert mask.all() == (kind not in READS_PADDING)
        inputs = {name: value for name, value in batch.items() if name not in ("labels", "index")}
        if kind == "longformer":  # its classifier lets the first position look everywhere
            inputs["global_attention_mask"] = (torch.arange(len(mask)) == 0).long()[None]
        with torch.no_grad():
            states = encoder(**inputs).last_hidden_state
        np.testing.assert_allclose(hidden[row], states[0][mask].mean(0), atol=2e-3)

    # The head hears of nothing else: told the same mean, it says the same whatever the rest was.
    other, again = built(write_start(tmp_path, kind, None)), copy.deepcopy(model)
    np.testing.assert_array_equal(predict(again, data, 16), logits)
    if SUPPORTED[kind].get("hidden_size") and kind not in OWN_WORDS:
        assert np.abs(predict(other, data, 16) - logits).max() > 1e-3
    again.save_pretrained(tmp_path / "saved")
    assert json.loads((tmp_path / "saved/config.json").read_text())["pooling"] == "mean"
    np.testing.assert_array_equal(predict(built(tmp_path / "saved"), data, 16), logits)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_network_whose_tokens_have_no_mean_is_one_line(kind, tmp_path):
    with pytest.raises(UserError, match=rf"^card: student: .*pooling: mean: {REFUSED[kind]}") as error:
        write_start(tmp_path, kind, "mean")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", sorted(SUPPORTED.keys() - READS_LAST - OWN_WORDS.keys() - {"fnet"}))
def test_the_first_position_is_what_most_read_by_themselves(kind, tmp_path):
    own, first = (write_start(tmp_path, kind, pooling) for pooling in (None, "cls"))
    data = EncodedTexts(TRAIN, load_tokenizer(own), 16, kind)
    np.testing.assert_array_equal(predict(built(first), data, 16), predict(built(own), data, 16))
    assert "pooling" not in json.loads((own / "config.json").read_text())


def test_a_network_that_reads_the_last_position_has_no_first_one(tmp_path):
    with pytest.raises(UserError, match=r"^card: student.pooling: an xlnet network is padded in front of its texts"):
        write_start(tmp_path, "xlnet", "cls")


@pytest.mark.parametrize("kind", OWN_WORDS)
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_where_transformers_can_pool_it_is_told_to(kind, pooling, tmp_path):
    out = write_start(tmp_path, kind, pooling)
    ours = built(out)
    ours.save_pretrained(tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    batch = EncodedTexts(TRAIN, load_tokenizer(out), 16, kind)
    inputs = {k: v for k, v in batch.collate([batch[0], batch[3]]).items() if k not in ("labels", "index")}
    with torch.no_grad():
        torch.testing.assert_close(plain(**inputs).logits, ours(**inputs).logits)


def test_a_network_from_scratch_pools_too(tmp_path):
    config = {"model_type": "bert"} | SUPPORTED["bert"]
    network = Network(config=config, pooling="mean", learning_rate=1e-3)
    start, _ = starting_network(network, tiny.tokenizer(), tiny.LABELS, 16, "card: student")
    start.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).pooling == "mean"
    assert "forward" in vars(type(classifier(tmp_path, tiny.LABELS).base_model))
