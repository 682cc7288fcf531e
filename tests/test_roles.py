import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lgtm.data.roles import ROLES, assign_roles, plant_noise, text_key
from lgtm.data.sources import RawTask
from lgtm.errors import UserError

LABELS = ["bad", "good", "odd"]


def settings(**changes):
    base = {"test": 0.2, "selection": 0.1, "feedback": 0.1, "max_train": None, "max_test": None, "seed": 0}
    return SimpleNamespace(**base | changes)


def table(texts, labels, split="train", pairs=None):
    frame = pd.DataFrame({"sample_id": [f"{split}-{row}" for row in range(len(texts))], "text": texts})
    if pairs is not None:
        frame["text_pair"] = pairs
    frame["label"] = frame["true_label"] = labels
    return frame.assign(part="test") if split == "test" else frame


def task(labels=LABELS, **splits):
    return RawTask(list(labels), splits)


def rows(count, split="train", shares=(0.5, 0.3, 0.2)):
    """Different texts, with the classes in the given shares, in a mixed but fixed order."""
    labels = np.repeat(range(len(shares)), np.round(np.array(shares) * count).astype(int))
    return table([f"{split} text {row}" for row in range(count)], np.random.default_rng(1).permutation(labels), split)


def message_of(raw, **changes):
    with pytest.raises(UserError) as caught:
        assign_roles(raw, settings(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("official", "expected"),
    [
        (["train"], {"test": "train", "selection": "train"}),
        (["train", "validation"], {"test": "validation", "selection": "train"}),
        (["train", "test"], {"test": "test", "selection": "train"}),
        (["train", "validation", "test"], {"test": "test", "selection": "validation"}),
    ],
)
def test_which_split_gives_which_role(official, expected):
    raw = task(**{split: rows(100, split) for split in official})
    roles, summary = assign_roles(raw, settings())
    assert list(roles) == ["train", "feedback", "selection", "test"]
    for role, split in (expected | {"feedback": "train", "train": "train"}).items():
        assert summary["roles"][role]["split"] == split
        assert roles[role]["sample_id"].str.startswith(split).all()
        assert summary["roles"][role]["rows"] == len(roles[role])
    assert sum(map(len, roles.values())) == 100 * len(official)
    assert roles["test"]["part"].tolist() == ["test"] * len(roles["test"])
    assert list(roles["train"].columns) == ["sample_id", "text", "label", "true_label"]
    json.dumps(summary)


def test_cuts_keep_the_classes_in_proportion_and_rows_in_order():
    roles, summary = assign_roles(task(train=rows(100)), settings())
    assert summary["roles"]["test"]["classes"] == {"bad": 10, "good": 6, "odd": 4}
    assert summary["roles"]["selection"]["classes"] == {"bad": 5, "good": 3, "odd": 2}
    assert summary["roles"]["feedback"]["classes"] == {"bad": 5, "good": 3, "odd": 2}
    for frame in roles.values():
        positions = frame["sample_id"].str.removeprefix("train-").astype(int)
        assert positions.is_monotonic_increasing
        assert frame.index.tolist() == list(range(len(frame)))
        assert frame["label"].dtype == "int64"


def test_the_seed_alone_decides():
    raw = task(train=rows(100))
    first, again, other = (assign_roles(raw, settings(seed=seed))[0] for seed in (0, 0, 1))
    for role in ROLES:
        pd.testing.assert_frame_equal(first[role], again[role])
        assert first[role]["sample_id"].tolist() != other[role]["sample_id"].tolist()


def test_max_test_leaves_the_other_roles_alone():
    raw = task(train=rows(100), test=rows(100, "test"))
    whole, limited = (assign_roles(raw, settings(max_test=limit))[0] for limit in (None, 10))
    for role in ("train", "feedback", "selection"):
        pd.testing.assert_frame_equal(whole[role], limited[role])
    assert limited["test"]["label"].value_counts().to_dict() == {0: 5, 1: 3, 2: 2}


def test_max_test_keeps_the_parts_in_proportion():
    test = pd.concat([rows(100, "test").assign(part=part) for part in ("near", "far")], ignore_index=True)
    roles, _ = assign_roles(task(train=rows(50), test=test), settings(max_test=20))
    assert roles["test"].groupby(["part", "label"]).size().tolist() == [5, 3, 2, 5, 3, 2]


def test_max_train_comes_before_the_cuts():
    roles, summary = assign_roles(task(train=rows(200), test=rows(10, "test")), settings(max_train=100))
    assert {role: len(frame) for role, frame in roles.items()} == {
        "train": 80, "feedback": 10, "selection": 10, "test": 10,
    }  # fmt: skip
    assert summary["roles"]["train"]["left_out"] == 100
    assert summary["roles"]["train"]["classes"] == {"bad": 40, "good": 24, "odd": 16}


def test_no_text_stands_in_two_roles():
    # Half of the texts occur up to five times, in another case or with other spaces, in any of the splits.
    generator = np.random.default_rng(0)
    raw = {}
    for split in ("train", "validation", "test"):
        numbers = generator.integers(0, 200, 400)
        texts = [("Text  {} " if number % 2 else "text {}").format(number // 2) for number in numbers]
        raw[split] = table(texts, numbers % 3, split)
    roles, summary = assign_roles(task(**raw | {"train": pd.concat([raw["train"], rows(300)])}), settings())
    keys = {role: set(text_key(frame)) for role, frame in roles.items()}
    assert sum(map(len, keys.values())) == len(set.union(*keys.values()))
    assert len(roles["test"]) == 400
    counts = summary["roles"]
    assert sum(role["rows"] + role["in_higher_role"] for role in counts.values()) == 1500


def test_the_lower_role_loses_a_repeated_text():
    train, validation, test = rows(40), rows(4, "validation", (0.5, 0.5)), rows(4, "test", (0.5, 0.5))
    train.loc[0, "text"] = "  TEST text 0"
    train.loc[1, "text"] = "validation text 0"
    validation.loc[1, "text"] = "test\u00a0text 1"
    roles, summary = assign_roles(task(train=train, validation=validation, test=test), settings())
    dropped = {role: counts["in_higher_role"] for role, counts in summary["roles"].items()}
    assert dropped == {"train": 2, "feedback": 0, "selection": 1, "test": 0}
    assert roles["selection"]["sample_id"].tolist() == ["validation-0", "validation-2", "validation-3"]
    assert not {"train-0", "train-1"} & set(roles["train"]["sample_id"])


def test_equal_texts_stay_together_and_are_counted():
    repeated = [f"text {row // 3}" for row in range(90)]
    labels = [(row // 3) % 2 for row in range(90)]
    labels[1] = 1 - labels[1]
    roles, summary = assign_roles(task(LABELS[:2], train=table(repeated, labels)), settings())
    for frame in roles.values():
        assert set(text_key(frame).value_counts()) == {3}
    counts = summary["roles"].values()
    assert sum(role["duplicates"] for role in counts) == 60
    assert sum(role["conflicting_duplicates"] for role in counts) == 3


def test_a_text_that_fills_its_class_does_not_stop_the_cuts():
    texts = ["the same"] * 60 + [f"text {row}" for row in range(140)]
    roles, _ = assign_roles(task(LABELS[:2], train=table(texts, [0] * 100 + [1] * 100)), settings())
    assert {role: len(frame) for role, frame in roles.items()} == {
        "train": 120, "feedback": 20, "selection": 20, "test": 40,
    }  # fmt: skip


def test_pairs_differ_by_either_text():
    frame = table(["a", "a", "a b", "A"], [0, 1, 0, 1], pairs=["b c", "b  C", "c", "x"])
    assert text_key(frame).nunique() == 3


def test_empty_rows_are_dropped_and_counted():
    train = rows(50)
    train.loc[[3, 4], "text"] = ["", " \t"]
    test = rows(10, "test")
    train["text_pair"], test["text_pair"] = "pair", "pair"
    train.loc[5, "text_pair"] = "\n"
    test.loc[0, "text_pair"] = ""
    roles, summary = assign_roles(task(train=train, test=test), settings())
    assert {role: counts["empty"] for role, counts in summary["roles"].items()} == {
        "train": 3, "feedback": 0, "selection": 0, "test": 1,
    }  # fmt: skip
    assert sum(map(len, roles.values())) == 56


def test_roles_and_classes_without_rows():
    few = table(["a", "b", "c", "d"], [0, 1, 0, 1])
    two = LABELS[:2]
    assert message_of(task(two, train=few)) == (
        "params.yaml: prepare.selection: 0.1 of 4 train rows is no row; raise it"
    )
    assert message_of(task(two, train=few, test=few.assign(part="test"))) == (
        "the task's train: every row is empty or in a higher role"
    )
    many = rows(40, shares=(0.5, 0.5))
    assert message_of(task(two, train=many, validation=few.assign(text=" "), test=rows(4, "test", (0.5, 0.5)))) == (
        "the task's validation: every row is empty or in a higher role"
    )
    half = many.loc[many["label"] == 1].assign(part="test")
    assert message_of(task(two, train=many, test=half)) == (
        "the task's train: class 'good' has only empty rows and texts of other roles"
    )
    rare = rows(100, shares=(0.99, 0.01))
    assert message_of(task(two, train=rare), max_train=20) == (
        "params.yaml: prepare.max_train: no row of class 'good' is left; raise it"
    )
    assert message_of(task(two, train=rare), test=0.6) == (
        "params.yaml: prepare.test, prepare.selection, prepare.feedback: no row of class 'good' is left in train; "
        "lower them"
    )


# --- Planted noise ---


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.999])
def test_noise_flips_exactly_so_many_rows(fraction):
    train = rows(100)
    noisy = plant_noise(train, fraction, 3, seed=0)
    flipped = noisy["label"] != train["label"]
    assert flipped.sum() == round(fraction * 100)
    assert noisy["true_label"].equals(train["label"])
    assert noisy["label"].between(0, 2).all()
    assert noisy["label"].dtype == "int64"
    assert noisy["label"].equals(plant_noise(train, fraction, 3, seed=0)["label"])


def test_noise_is_uniform_over_the_other_classes():
    noisy = plant_noise(table(["x"] * 3000, [0] * 3000), 0.5, 4, seed=0)
    counts = noisy["label"].value_counts()
    assert counts[0] == 1500
    assert all(abs(counts[label] - 500) < 80 for label in (1, 2, 3))


def test_noise_spares_rows_that_are_already_wrong():
    train = rows(100, shares=(0.5, 0.5))
    train["label"] = train["label"].mask(train.index < 40, 1 - train["label"])
    noisy = plant_noise(train, 0.5, 2, seed=0)
    assert noisy["label"][:40].equals(train["label"][:40])
    assert (noisy["label"] != noisy["true_label"]).sum() == 90
    with pytest.raises(UserError, match=r"^task.yaml: label_noise: 0.7 of 100 rows is 70, but only 60 are correct$"):
        plant_noise(train, 0.7, 2, seed=0)
