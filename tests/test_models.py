"""Networks from configurations and checkpoints, for every architecture the project claims."""

import pytest
import tiny
import torch

from lgtm.errors import UserError
from lgtm.influence.direction import scope_parameters
from lgtm.networks.models import classifier, load_tokenizer, starting_network
from lgtm.networks.pairs import Network


def save_checkpoint(kind, folder):
    encoder, tokenizer = tiny.encoder(kind), tiny.tokenizer()
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return encoder


def network(folder, **fields):
    # A test's checkpoint lies in a temporary folder, which the card's own rule would refuse.
    return Network.model_construct(
        checkpoint=str(folder), revision=None, layers=None, config=None, learning_rate=1e-3
    ).model_copy(update=fields)


@pytest.mark.parametrize("kind", tiny.SIZES)
def test_a_student_keeps_the_layers_it_is_told_to(kind, tmp_path):
    teacher = save_checkpoint(kind, tmp_path / "teacher")
    kept = network(tmp_path / "teacher", layers=[0, 2])
    student, tokenizer = starting_network(kept, None, tiny.LABELS, 16, "card: student")
    student.save_pretrained(tmp_path / "student")
    tokenizer.save_pretrained(tmp_path / "student")
    built = classifier(tmp_path / "student", tiny.LABELS)
    assert built.config.num_hidden_layers == 2
    weights, kept = teacher.state_dict(), built.base_model.state_dict()
    renamed = {name.replace("layer.2.", "layer.1."): value for name, value in weights.items() if "layer.1." not in name}
    pooler = {name for name in renamed if name.startswith("pooler")}
    assert set(kept) - pooler == set(renamed) - pooler
    assert all(torch.equal(kept[name], renamed[name]) for name in kept)
    tokens = load_tokenizer(tmp_path / "student")(["good day", "bad"], padding=True, return_tensors="pt")
    assert built(**tokens).logits.shape == (2, 2)


@pytest.mark.parametrize("kind", tiny.SIZES)
def test_embeddings_are_frozen_where_the_card_says_so_and_no_longer(kind, tmp_path):
    """Wherever the folder is loaded, and in no direction; a later card that starts from it says for itself."""
    save_checkpoint(kind, tmp_path / "checkpoint")
    start = tmp_path / "checkpoint"
    for freeze in ("embeddings", None):
        parts = starting_network(network(start, freeze=freeze), None, tiny.LABELS, 16, "card: student")
        start = tmp_path / f"start-{freeze}"
        for part in parts:
            part.save_pretrained(start)
        classifier(start, tiny.LABELS).save_pretrained(tmp_path / "saved")
        built = classifier(tmp_path / "saved", tiny.LABELS)
        frozen = {name for name, parameter in built.named_parameters() if not parameter.requires_grad}
        tokens = {name for name, value in built.named_parameters() if value is built.get_input_embeddings().weight}
        assert frozen == (tokens if freeze else set())
        assert len(tokens) == 1
        assert set(scope_parameters(built, "all")) == {name for name, _ in built.named_parameters()} - frozen


@pytest.mark.parametrize("kind", tiny.SIZES)
def test_a_saved_classifier_comes_back_the_same(kind, tmp_path):
    first = tiny.model(kind, num_labels=2)
    first.save_pretrained(tmp_path)
    again = classifier(tmp_path, tiny.LABELS)
    assert again.config.id2label == dict(enumerate(tiny.LABELS))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 15}, "hidden size (15) is not a multiple"),
        ({"hidden_size": "big"}, "'hidden_size' expected int, got str"),
        ({"hiden_size": 16}, "config.hiden_size: a bert configuration has no such key"),
        ({"model_type": "brt"}, "config.model_type: 'brt' is not a transformers model type"),
        ({"hidden_act": "blah"}, "blah"),
    ],
)
def test_a_configuration_that_transformers_refuses(change, message):
    config = {"model_type": "bert", "hidden_size": 16, "num_attention_heads": 2} | change
    with pytest.raises(UserError) as error:
        starting_network(Network(config=config, learning_rate=1e-3), tiny.tokenizer(), tiny.LABELS, 16, "card: teacher")
    assert str(error.value).startswith("card: teacher.config")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_tokenizer_is_the_same_every_time():
    assert tiny.tokenizer().get_vocab() == tiny.tokenizer().get_vocab()
    pieces = tiny.tokenizer()("Good DAY", "night").input_ids
    assert tiny.tokenizer().decode(pieces) == "[CLS] good day [SEP] night [SEP]"
