"""What lies on disk in place of memory: numbers, tables of them, tokens, and the matrices of parquet tables."""

import errno
import os
import tempfile

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from transformers import DataCollatorWithPadding

from lgtm.errors import UserError
from lgtm.networks import encoding
from lgtm.networks.encoding import EncodedTexts, count_truncated
from lgtm.networks.storage import DiskArray, DiskTable
from stages import artifacts
from stages.artifacts import TableWriter, at, read_matrix, write_table
from stages.influence import MatrixReader


def on_disk(array: DiskArray) -> int:
    return os.fstat(array.file.fileno()).st_size


def matrix(rows: int, width: int = 3, kind=np.float32) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, width)).astype(kind)


# --- numbers ---


def test_numbers_are_read_where_they_were_put():
    array = DiskArray(np.int32)
    array.append(np.arange(5))
    array.append(np.arange(5, 9))
    array.write(3, np.array([-3, -4]))
    assert array.read(2, 4).tolist() == [2, -3, -4, 5]
    array.append(np.array([9]))  # behind the others, wherever was written last
    assert array.read(0, 10).tolist() == [0, 1, 2, -3, -4, 5, 6, 7, 8, 9]
    assert on_disk(array) == 40


def test_a_full_disk_is_one_line(monkeypatch):
    class Full:
        def write(self, values):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(UserError, match=r"No space left on device for tokens.*; set TMPDIR to a larger disk"):
        DiskArray(np.int32).append(np.arange(10))


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_table_on_disk_is_looked_up_and_overwritten_as_a_tensor_is(kind):
    whole = torch.from_numpy(matrix(20, kind=kind))
    table = DiskTable(part.numpy() for part in whole.split(6))
    assert (table.shape, table.dtype) == (whole.shape, whole.dtype)
    rows = torch.tensor([19, 0, 7, 7])
    assert torch.equal(table[rows], whole[rows])
    new = torch.ones(2, 3, dtype=whole.dtype)
    for each in (table, whole):
        each[torch.tensor([5, 11])] = new
    assert torch.equal(table[torch.arange(20)], whole)


# --- tokens ---


def bert_tokenizer():
    """One that tells the types of tokens, as BERT's does."""
    tokenizer = tiny.tokenizer()
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return tokenizer


def pairs(rows: int) -> pd.DataFrame:
    return tiny.table(rows).assign(text_pair=[f"bad {'night ' * (row % 3)}" for row in range(rows)])


@pytest.mark.parametrize("frame", [tiny.table(50), pairs(50), pairs(50).drop(columns="label")], ids=len)
def test_batches_are_those_of_the_tokenizers_own_encodings(frame, monkeypatch):
    monkeypatch.setattr(encoding, "AT_ONCE", 8)
    tokenizer = bert_tokenizer()
    data = EncodedTexts((frame[first : first + 20] for first in range(0, 50, 20)), tokenizer, max_length=7)
    columns = [frame[name].tolist() for name in ("text", "text_pair") if name in frame]
    whole = tokenizer(*columns, truncation=True, max_length=7)
    rows = [11, 49, 0, 23]
    plain = [{name: values[row] for name, values in whole.items()} | {"index": row} for row in rows]
    if "label" in frame:
        plain = [item | {"labels": frame["label"][item["index"]]} for item in plain]
    expected, found = DataCollatorWithPadding(tokenizer)(plain), data.collate([data[row] for row in rows])
    assert set(found) == set(expected) >= {"token_type_ids", "attention_mask"}
    assert found["token_type_ids"].any() == ("text_pair" in frame)
    assert all(torch.equal(found[name], values) for name, values in expected.items())
    assert data.lengths.tolist() == [len(ids) for ids in whole["input_ids"]]
    assert (data.labels is None) == ("label" not in frame)


def test_a_token_is_four_bytes_on_disk_and_its_type_one_and_a_row_as_many_in_memory_however_long_its_text():
    short, long = tiny.table(100), tiny.table(100)
    long["text"] += " day night" * 200
    for frame in (short, long):
        data = EncodedTexts(frame, bert_tokenizer(), max_length=500)
        assert sum(map(on_disk, data.tokens.values())) == 5 * data.lengths.sum()
        held = [value for value in vars(data).values() if isinstance(value, np.ndarray)]
        assert sum(value.nbytes for value in held) == 32 * 100
    assert data.lengths.mean() > 400
    assert data.take([1, 2]).tokens is data.tokens


def test_rows_that_will_be_cut_are_counted_and_the_tokenizer_stays_one_that_does_not_cut(monkeypatch):
    monkeypatch.setattr(encoding, "AT_ONCE", 8)
    frame, tokenizer = pairs(50), tiny.tokenizer()
    lengths = [len(ids) for ids in tokenizer(frame["text"].tolist(), frame["text_pair"].tolist())["input_ids"]]
    for most in (4, 7, 8, 20):
        assert count_truncated(frame, tokenizer, most) == sum(length > most for length in lengths)
    assert count_truncated(frame[:0], tokenizer, 4) == 0
    assert tokenizer.backend_tokenizer.truncation is None


# --- parquet tables ---


@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_a_matrix_comes_back_bit_for_bit(tmp_path, monkeypatch, rows, kind):
    monkeypatch.setattr(artifacts, "CHUNK", 16)
    path, said = tmp_path / "table.parquet", matrix(rows, kind=kind)
    ids = pd.Series([f"train-{row}" for row in range(rows)], dtype="str")
    write_table(path, ids, row=np.arange(rows), logits=said)
    found = read_matrix(path, "logits")
    assert found.dtype == kind and np.array_equal(found, said) and found.shape == (rows, 3)
    table = pd.read_parquet(path)
    assert table["sample_id"].tolist() == ids.tolist() and table["row"].tolist() == list(range(rows))


def test_a_part_of_a_matrix_is_written_as_that_part(tmp_path):
    path, said = tmp_path / "table.parquet", matrix(9)
    with TableWriter(path) as table:
        for rows in (said[1:4], said[::2], said[:, :]):
            table.write(pd.Series(range(len(rows))).astype("str"), logits=rows)
    assert np.array_equal(read_matrix(path, "logits"), np.concatenate([said[1:4], said[::2], said]))


def test_a_matrix_is_read_on_from_where_it_was_left(tmp_path, monkeypatch):
    monkeypatch.setattr(artifacts, "CHUNK", 7)
    path, said = tmp_path / "table.parquet", matrix(40)
    write_table(path, pd.Series(range(40)).astype("str"), logits=said)
    reader = MatrixReader(path, "logits")
    assert np.array_equal(np.concatenate([reader.take(count) for count in (3, 0, 20, 1, 16)]), said)
    with pytest.raises(UserError, match="has fewer rows than what it goes with"):
        reader.take(1)


def test_rows_at_places_of_chunks_are_those_of_the_whole():
    whole = pd.DataFrame({"n": range(100)})
    chunks = [whole[first : first + 9] for first in range(0, 100, 9)]
    for places in ([], [0], [99], [8, 9, 10, 50], list(range(100))):
        found = list(at(np.array(places, int), chunks))
        assert [n for rows, _ in found for n in rows["n"]] == places
        assert [place for _, own in found for place in own] == places
        assert all(len(own) for _, own in found)
        assert [
            n for rows, _ in at(np.array(places, int), (chunk.to_numpy() for chunk in chunks)) for n in rows
        ] == places
