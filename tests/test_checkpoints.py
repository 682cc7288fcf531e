"""Checkpoints as the world has them: each is loaded whole and as it is, or refused in one line that says why."""

import builtins
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from dvc.repo import Repo
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from lgtm.errors import UserError
from lgtm.networks import checkpoints
from lgtm.networks.checkpoints import NETWORK_FILES, keep_layers, load_encoder
from lgtm.networks.encoding import EncodedTexts
from lgtm.networks.models import classifier, load_tokenizer, starting_network, suited
from lgtm.networks.pairs import Network
from lgtm.networks.training import predict
from lgtm.networks.trial import try_out

FIELD = "pairs/x.yaml: student"


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path / "bert")


def save(folder, kind="bert", **changes):
    """A tiny checkpoint of an encoder, far from its start, with a tokenizer."""
    torch.manual_seed(0)
    fields = tiny.SIZES[kind] | {"vocab_size": 100, "max_position_embeddings": 32, "pad_token_id": 0} | changes
    encoder = AutoModel.from_config(AutoConfig.for_model(kind, **fields))
    for parameter in encoder.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    encoder.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def card(folder, **fields):
    # A test's checkpoint lies in a temporary folder, which the card's own rule would refuse.
    return Network.model_construct(
        checkpoint=str(folder), revision=None, layers=None, config=None, learning_rate=1e-3
    ).model_copy(update=fields)


def start(folder, max_length=16):
    return starting_network(card(folder), None, tiny.LABELS, max_length, FIELD)


def write_start(folder, out):
    for part in start(folder):
        part.save_pretrained(out)
    return out


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder, reason):
    with pytest.raises(UserError, match=reason) as error:
        start(folder)
    assert str(error.value).startswith(f"{FIELD}.checkpoint: {folder}")
    assert "\n" not in str(error.value)


def test_weights_under_names_with_a_prefix(folder):
    edit_weights(folder, lambda weights: {f"0.auto_model.{name}": value for name, value in weights.items()})
    # 53: all of them but the pooler's two, which may be missing.
    refused(folder, r"53 of 55 weights are missing .* such as 'embeddings.\S+'; the file has '0.auto_model.embeddings")


def test_a_missing_last_layer(folder):
    edit_weights(folder, lambda weights: {name: value for name, value in weights.items() if "layer.2." not in name})
    refused(folder, r"16 of 55 weights are missing from the file, such as 'encoder.layer.2.attention")


def test_a_missing_pooler_is_drawn_anew(folder):
    edit_weights(folder, lambda weights: {name: value for name, value in weights.items() if "pooler" not in name})
    assert start(folder)[0].pooler


def test_weights_of_another_width(folder):
    edit_json(folder / "config.json", intermediate_size=48)
    refused(folder, r"encoder.layer.0.intermediate.dense.bias is 32 in the file and 48 by config.json")


def test_weights_that_are_not_finite(folder):
    edit_weights(folder, lambda weights: weights | {"pooler.dense.bias": torch.full((16,), torch.nan)})
    refused(folder, "pooler.dense.bias has values that are not finite")


def test_a_git_lfs_pointer_in_place_of_weights(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused(folder, "model.safetensors is a Git LFS pointer")


@pytest.mark.parametrize("length", [0, 4, 1000, 20000])
def test_a_torn_file_of_weights(folder, length):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    refused(folder, "model.safetensors is not a whole safetensors file")


def test_weights_in_several_files(folder):
    whole = start(folder)[0].state_dict()
    AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="10KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    parts = sorted(folder.glob("model-*.safetensors"))
    assert len(parts) > 1
    assert all(torch.equal(value, whole[name]) for name, value in start(folder)[0].state_dict().items())
    parts[-1].unlink()
    refused(folder, f"no {parts[-1].name} there")


def test_an_index_of_pickles_or_of_files_elsewhere(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for name in ("pytorch_model.bin", "../x.safetensors", "/x.safetensors", "a/x.safetensors"):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
        refused(folder, rf"index.json names '{name}'; expected .safetensors files beside it, and no others")
    for text in ("{}", '{"weight_map": []}', '{"weight_map": {}}'):
        (folder / "model.safetensors.index.json").write_text(text)
        refused(folder, "index.json has no weight_map")


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_attention_code_of_the_hub_is_not_run(folder, name):
    edit_json(folder / "config.json", **{name: "some/kernel"})
    refused(folder, f"config.json has {name} 'some/kernel', code from the hub, and none is run here")


def test_an_adapter_is_no_network(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/model"}')
    refused(folder, r"is an adapter \(adapter_config.json\), not a network")


def test_a_network_that_no_machine_holds(folder):
    edit_json(folder / "config.json", vocab_size=10**11)
    refused(folder, r"its weights take 6400 GB, and this machine has \d+ GB")
    edit_json(folder / "config.json", vocab_size=100, num_hidden_layers=10**6)
    refused(folder, "num_hidden_layers is 1000000; expected at most 1000")


def test_without_tokenizer_files(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(folder, "no tokenizer there")


def test_a_tokenizer_of_another_script(folder, tmp_path):
    out = write_start(folder, tmp_path / "start")
    try_out(out, tiny.LABELS, tiny.table(8), 16, FIELD)
    frame = tiny.table(8).assign(text=["день и ночь " + "солнце " * row for row in range(8)])
    with pytest.raises(UserError, match=rf"^{FIELD}: 100 % of the texts' tokens are unknown to its tokenizer"):
        try_out(out, tiny.LABELS, frame, 16, FIELD)


def test_a_tokenizer_with_more_tokens_than_the_network(tmp_path):
    refused(save(tmp_path / "bert", vocab_size=20), r"numbers its tokens to \d+, the network's end at 19")


def test_a_tokenizer_that_cannot_pad(folder):
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    refused(folder, "has no pad token")


def test_a_tokenizer_that_pads_on_the_left_pads_on_the_right_here(folder, tmp_path):
    tokenizer = tiny.tokenizer()
    tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"
    tokenizer.save_pretrained(folder)
    assert load_tokenizer(folder).padding_side == "left"
    out = write_start(folder, tmp_path / "start")
    model, data = classifier(out, tiny.LABELS), EncodedTexts(tiny.table(8), load_tokenizer(out), 16)
    together, alone = (predict(model, data, batch_size) for batch_size in (8, 1))
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_segment_ids_go_to_a_network_that_has_segments_and_to_no_other(tmp_path):
    frame = tiny.table(8).assign(text_pair=tiny.table(8)["text"])
    for name, types, expected in (("one", 1, False), ("two", 2, True)):
        folder = save(tmp_path / name, type_vocab_size=types)
        tokenizer = tiny.tokenizer()
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
        tokenizer.save_pretrained(folder)
        out = write_start(folder, tmp_path / f"{name}-start")
        assert ("token_type_ids" in load_tokenizer(out)("good", "day")) == expected
        try_out(out, tiny.LABELS, frame, 16, FIELD)
    bert, distilbert = (AutoConfig.for_model(kind) for kind in ("bert", "distilbert"))
    assert "token_type_ids" in suited(tokenizer, bert).model_input_names
    assert "token_type_ids" not in suited(tokenizer, distilbert).model_input_names


def test_code_of_a_checkpoint_is_never_asked_about_nor_run(folder, monkeypatch, tmp_path):
    trace = tmp_path / "it-ran"
    (folder / "own.py").write_text(f"open({str(trace)!r}, 'w')\nclass Config: pass\nclass Model: pass\n")
    own = {"AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    edit_json(folder / "config.json", model_type="own", auto_map=own)
    asked = []
    monkeypatch.setattr(builtins, "input", lambda question="": asked.append(question) or "y")
    refused(folder, r"needs code of its own \(auto_map\), and none is run here")
    # Where transformers knows the architecture, its own code is used.
    edit_json(folder / "config.json", model_type="bert")
    edit_json(folder / "tokenizer_config.json", auto_map=own)
    start(folder)
    assert not asked
    assert not trace.exists()


def test_a_text_longer_than_the_network_takes(folder, tmp_path):
    assert start(folder, max_length=32)
    with pytest.raises(UserError, match=r"student: the network takes 32 tokens, less than the task's max_length 33"):
        start(folder, max_length=33)
    # RoBERTa numbers positions from the one after its pad token's, here 0.
    roberta = save(tmp_path / "roberta", "roberta")
    assert start(roberta, max_length=31)
    with pytest.raises(UserError, match=r"student: the network takes 31 tokens, less than the task's max_length 32"):
        start(roberta, max_length=32)
    long = pd.DataFrame({"text": ["good " * 60, "day"], "label": [0, 1]})
    out = write_start(roberta, tmp_path / "start")
    tokenizer = load_tokenizer(out)
    tokenizer.model_max_length = 100
    tokenizer.save_pretrained(out)
    try_out(out, tiny.LABELS, long, 31, FIELD)
    with pytest.raises(UserError, match=r"student: the network cannot read the task's texts: index 32 is out"):
        try_out(out, tiny.LABELS, long, 32, FIELD)


def test_positions_counted_by_another_pad_token(tmp_path):
    with pytest.raises(UserError, match=r"student: the network counts positions by pad token 1, the tokenizer's is 0"):
        start(save(tmp_path / "roberta", "roberta", pad_token_id=1))


def test_networks_from_scratch_without_a_limit_of_positions():
    sizes = {
        "xlnet": {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32},
        "t5": {"num_layers": 1, "d_model": 16, "num_heads": 2, "d_ff": 32, "d_kv": 8},
        "funnel": {"block_sizes": [1], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32},
    }
    tokenizer = tiny.tokenizer()
    tokenizer.model_max_length = int(1e30)
    for kind, fields in sizes.items():
        network = Network(config={"model_type": kind} | fields, learning_rate=1e-3)
        assert starting_network(network, tokenizer, tiny.LABELS, 4096, FIELD)[0].model_type == kind


def test_layers_that_are_not_there(folder):
    encoder, _ = load_encoder(str(folder), None, f"{FIELD}.checkpoint")
    with pytest.raises(UserError, match=r"student.layers: the checkpoint has layers 0 to 2, found 3"):
        keep_layers(encoder, [0, 3], 16, FIELD)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"student.checkpoint: no folder .*missing with config.json"):
        load_encoder(str(tmp_path / "missing"), None, f"{FIELD}.checkpoint")


def test_without_safetensors_nothing_is_unpickled(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refused(folder, "has no model.safetensors, and no other weights are read")


def test_a_hub_commit_is_read_from_its_own_files_alone(folder, monkeypatch):
    asked = []

    def download(repository, revision, allow_patterns, ignore_patterns):
        asked.append((repository, revision))
        return str(folder)

    monkeypatch.setattr(checkpoints, "snapshot_download", download)
    load_encoder("some/model", "0" * 40, f"{FIELD}.checkpoint")
    (folder / "model.safetensors").unlink()
    shutil.copy(folder / "config.json", folder / "pytorch_model.bin")
    with pytest.raises(UserError) as error:
        load_encoder("some/model", "0" * 40, f"{FIELD}.checkpoint")
    zeros = "0" * 40
    expected = f"{FIELD}.checkpoint: some/model at {zeros} has no model.safetensors, and no other weights are read"
    assert str(error.value) == expected
    assert asked == [("some/model", zeros)] * 2


def test_of_a_repository_no_code_and_nothing_pickled_is_fetched():
    wanted = ["config.json", "model.safetensors", "model-00001-of-00002.safetensors", "vocab.txt", "spiece.model"]
    others = ["pytorch_model.bin", "modeling.py", "onnx/model.onnx", "onnx/config.json", "model.fp16.safetensors"]
    assert list(filter_repo_objects(wanted + others, allow_patterns=NETWORK_FILES, ignore_patterns=["*/*"])) == wanted


def test_the_hub_offline_is_one_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=rf"^{FIELD}.checkpoint: cannot load 'some/model'") as error:
        load_encoder("some/model", "0" * 40, f"{FIELD}.checkpoint")
    assert "\n" not in str(error.value)


def test_a_checkpoint_that_dvc_add_records_is_part_of_the_graph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    shutil.copy(tiny.ROOT / ".gitignore", tmp_path)
    folder = tmp_path / "checkpoints/bert"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    (tmp_path / "dvc.yaml").write_text("stages: {prepare: {cmd: 'true', deps: [checkpoints]}}")
    repo = Repo.init()
    repo.add("checkpoints/bert")
    assert not repo.scm.is_ignored("checkpoints/bert.dvc")
    assert repo.scm.is_ignored("checkpoints/bert")
    edges = [(stage.addressing, needed.addressing) for stage, needed in repo.index.graph.edges]
    assert edges == [("prepare", "checkpoints/bert.dvc")]
