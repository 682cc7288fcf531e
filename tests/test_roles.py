import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lgtm.data.duplicates import near_duplicates, normalise, text_key
from lgtm.data.roles import ROLES, assign_roles, plant_noise
from lgtm.data.sources import RawTask
from lgtm.errors import UserError

LABELS = ["bad", "good", "odd"]


def settings(**changes):
    shares, limits = {"test": 0.2, "selection": 0.1, "feedback": 0.1}, ("max_train", "max_selection", "max_test")
    return SimpleNamespace(**shares | dict.fromkeys(limits) | {"seed": 0} | changes)


def table(texts, labels, split="train", pairs=None, groups=None):
    frame = pd.DataFrame({"sample_id": [f"{split}-{row}" for row in range(len(texts))], "text": texts})
    if pairs is not None:
        frame["text_pair"] = pairs
    if groups is not None:
        frame["group"] = groups
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
    assert list(roles["train"].columns) == ["sample_id", "text", "label", "true_label", "group"]
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


@pytest.mark.parametrize("role", ["test", "selection"])
@pytest.mark.parametrize("official", [(), ("validation", "test")])
def test_a_limit_leaves_the_other_roles_alone(role, official):
    """A role that is cut is limited as an official one is: what is left out is not given back to train."""
    raw = task(train=rows(200), **{split: rows(100, split) for split in official})
    (whole, _), (limited, summary) = (assign_roles(raw, settings(**{f"max_{role}": limit})) for limit in (None, 10))
    for other in set(ROLES) - {role}:
        pd.testing.assert_frame_equal(whole[other], limited[other])
    assert limited[role]["label"].value_counts().to_dict() == {0: 5, 1: 3, 2: 2}
    assert summary["roles"][role]["left_out"] == len(whole[role]) - 10


def test_a_limit_shares_by_largest_remainder():
    raw = task(train=rows(100), test=rows(100, "test", (0.6, 0.3, 0.1)))
    # 7 of 100 rows: 4.2, 2.1 and 0.7 of the classes.
    roles, _ = assign_roles(raw, settings(max_test=7))
    assert roles["test"]["label"].value_counts().to_dict() == {0: 4, 1: 2, 2: 1}


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


def test_pairs_differ_by_either_text_and_not_by_their_order():
    frame = table(["a", "a", "a b", "A", "B c"], [0, 1, 0, 1, 0], pairs=["b c", "b  C", "c", "x", "a"])
    assert text_key(frame).tolist() == ["a\x1fb c", "a\x1fb c", "a b\x1fc", "a\x1fx", "a\x1fb c"]


def test_an_accent_is_one_letter_however_it_is_written():
    composed, apart = "Caf\u00e9 %d", "cafe\u0301 %d"
    train = table([apart % row for row in range(60)] + [f"tea {row}" for row in range(60)], [0, 1] * 60)
    test = table([composed % row for row in range(60)], [0, 1] * 30, "test")
    roles, summary = assign_roles(task(LABELS[:2], train=train, test=test), settings())
    assert summary["roles"]["train"]["in_higher_role"] == 60
    assert roles["test"]["text"].tolist() == test["text"].tolist()


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
        "task.yaml: train: every row is empty or stands in another role"
    )
    many = rows(40, shares=(0.5, 0.5))
    assert message_of(task(two, train=many, validation=few.assign(text=" "), test=rows(4, "test", (0.5, 0.5)))) == (
        "task.yaml: validation: every row is empty or stands in another role"
    )
    half = many.loc[many["label"] == 1].assign(part="test")
    assert message_of(task(two, train=many, test=half)) == (
        "task.yaml: train: class 'good' has only empty rows and texts of other roles"
    )
    rare = rows(100, shares=(0.99, 0.01))
    assert message_of(task(two, train=rare), max_train=20) == (
        "params.yaml: prepare.max_train: no row of class 'good' is left; raise it"
    )
    assert message_of(task(two, train=rare), test=0.6) == (
        "params.yaml: prepare.test, prepare.selection, prepare.feedback: no row of class 'good' is left in train; "
        "lower them"
    )


# --- Groups ---


def nli(premises, split="train", first=0):
    """Three hypotheses to a premise, one of each class."""
    numbers = np.repeat(range(first, first + premises), 3)
    premise = [f"premise {number}" for number in numbers]
    hypothesis = [f"{split} hypothesis {row}" for row in range(len(numbers))]
    return table(premise, [0, 1, 2] * premises, split, pairs=hypothesis, groups=premise)


def grouped(named=False, **splits):
    return RawTask(LABELS, splits, grouped_by="premise", group_named=named)


def shared(roles, column="text"):
    """The part of each role's rows, train's left out, whose value of a column stands in train."""
    return {role: roles[role][column].isin(roles["train"][column]).mean() for role in ROLES[:-1]}


def test_no_premise_stands_in_two_roles():
    roles, summary = assign_roles(grouped(train=nli(1000)), settings())
    assert shared(roles) == {"test": 0, "selection": 0, "feedback": 0}
    assert {role: len(roles[role]) for role in ROLES} == {
        "test": 600, "selection": 300, "feedback": 300, "train": 1800,
    }  # fmt: skip
    for role, counts in summary["roles"].items():
        assert len(set(counts["classes"].values())) == 1
        assert counts["groups"] == len(roles[role]) / 3
        assert counts["in_crossing_group"] == 0
    assert summary["grouped_by"] == "premise"
    assert summary["crossing"]["groups"] == 0
    assert list(roles["train"].columns) == ["sample_id", "text", "text_pair", "label", "true_label", "group"]

    alone = nli(1000).drop(columns="group")
    assert min(shared(assign_roles(task(train=alone), settings())[0]).values()) > 0.8


@pytest.mark.parametrize("seed", range(8))
def test_neither_a_group_nor_a_text_stands_in_two_roles(seed):
    """Groups of any size, unevenly labelled; texts that repeat within and across them, turned round and misspelt."""
    generator = np.random.default_rng(seed)
    size = 1500
    group = np.floor(generator.pareto(1 + seed / 4, size) * 20).astype(int).astype(str)
    first, second = (generator.integers(0, 2000, size) for _ in range(2))
    turned, upper = generator.random((2, size)) < 0.2
    repeated = generator.integers(0, size, size // 10)
    first[-len(repeated) :], second[-len(repeated) :] = first[repeated], second[repeated]
    texts = np.where(turned, [second, first], [first, second])
    texts = [[f"T {text}" if big else f" t  {text}" for text, big in zip(row, upper, strict=True)] for row in texts]
    labels = (generator.integers(0, 3, size) + [int(number) for number in group]) % 3
    frame = table(texts[0], labels, pairs=texts[1], groups=group)
    roles, summary = assign_roles(RawTask(LABELS, {"train": frame}, "user", True), settings(seed=seed))

    groups = frame.set_index("sample_id")["group"]
    for values in (lambda rows: rows["sample_id"].map(groups), text_key):
        sets = [set(values(rows)) for rows in roles.values()]
        assert sum(map(len, sets)) == len(set.union(*sets))
    counts = summary["roles"]
    assert sum(role["rows"] + role["in_higher_role"] for role in counts.values()) == size
    # Whole groups fill a role but for less than the smallest that is left; repeated texts may leave it again.
    smallest = roles["train"]["sample_id"].map(groups).value_counts().min()
    for role, share in (("test", 0.2), ("selection", 0.1), ("feedback", 0.1)):
        wanted = round(share * size)
        assert wanted - smallest < counts[role]["rows"] + counts[role]["in_higher_role"] <= wanted


def test_large_groups_fill_a_role_though_their_classes_do_not_fit():
    users = np.repeat(range(10), 300)
    labels = np.random.default_rng(0).integers(0, 3, 3000)
    frame = table([f"text {row}" for row in range(3000)], labels, groups=[f"user {user}" for user in users])
    roles, summary = assign_roles(grouped(train=frame), settings())
    assert {role: len(rows) for role, rows in roles.items()} == {
        "train": 1800, "feedback": 300, "selection": 300, "test": 600,
    }  # fmt: skip
    assert summary["roles"]["test"]["groups"] == 2
    assert message_of(grouped(train=frame), feedback=0.09) == (
        "params.yaml: prepare.feedback: 0.09 of 3000 train rows is 270, and every group has more; raise it"
    )


def test_a_row_without_a_group_is_alone():
    frame = rows(100).assign(group=["", " "] * 50)
    assert assign_roles(grouped(train=frame), settings())[1]["roles"]["train"]["groups"] == 60


def test_a_group_in_two_official_splits_is_dropped_only_if_the_card_names_it():
    """Twenty of the test's premises are train's: who compares with published figures needs their rows."""
    splits = {"train": nli(100), "test": nli(40, "test", first=80)}
    roles, summary = assign_roles(grouped(**splits), settings())
    assert len(roles["test"]) == 120
    assert summary["crossing"]["groups"] == 20
    crossing = {role: counts["in_crossing_group"] for role, counts in summary["roles"].items()}
    assert crossing["test"] == 60
    assert crossing["train"] + crossing["selection"] + crossing["feedback"] == 60
    assert all(counts["group_in_higher_role"] == 0 for counts in summary["roles"].values())

    roles, summary = assign_roles(grouped(named=True, **splits), settings())
    assert len(roles["test"]) == 120
    assert summary["roles"]["train"]["group_in_higher_role"] == 60
    assert summary["crossing"]["groups"] == 0
    assert shared(roles)["test"] == 0


# --- Near-duplicates ---

SENTENCE = "the committee {} met on Tuesday to discuss the budget of the coming year"


def test_near_duplicates_differ_by_case_punctuation_order_or_a_letter():
    names = ["alpha", "beta", "gamma", "delta"]
    train = table([SENTENCE.format(name) for name in names], [0] * 4, pairs=["It was short, and dull."] * 4)
    near = [
        ("The committee alpha met, on Tuesday, to discuss the budget of the coming year!", "it was short and dull"),
        ("it was short and dull", SENTENCE.format("beta")),
        (SENTENCE.format("gamma").replace("budget", "budgets"), "It was short, and dull"),
    ]
    far = [
        (SENTENCE.format("delta"), "It was long, and quite amusing."),
        (SENTENCE.format("delta"), "It was short, and dull again."),
        ("The committee did not meet on Wednesday and will have no budget this year", "It was short, and dull."),
    ]
    roles = {
        "test": table(*zip(*[(first, 0) for first, _ in near + far], strict=True), pairs=[b for _, b in near + far]),
        "selection": table(["..."], [0], pairs=["?"]),
        "feedback": table([near[0][0], "!!"], [0, 0], pairs=[near[0][1], "!"]),
        "train": train,
    }
    assert near_duplicates(roles) == {"test": 3, "selection": 0, "feedback": 1}
    assert near_duplicates(roles) == near_duplicates(dict(roles))


def test_the_estimate_is_close_to_the_shared_pieces():
    """Texts of common words, each role beside the others, held against every pair's own pieces."""
    generator = np.random.default_rng(0)
    stems = generator.choice(["budget", "council", "on", "the", "of", "school", "a", "road", "vote"], (61, 12))
    texts = [" ".join(np.where(generator.random(12) < 0.05, "x", stems[row % 61])) for row in range(240)]
    roles = {role: table(texts[start::4], [0] * 60) for start, role in enumerate(ROLES)}
    pieces = {
        role: [{text[start : start + 5] for start in range(len(text) - 4)} for text in map(normalise, frame["text"])]
        for role, frame in roles.items()
    }
    exact = {}
    for role in ROLES[:-1]:
        others = [other for name in ROLES if name != role for other in pieces[name]]
        exact[role] = sum(any(len(a & b) >= 0.8 * len(a | b) for b in others) for a in pieces[role])
    estimate = near_duplicates(roles)
    assert all(20 < exact[role] < 50 and abs(estimate[role] - exact[role]) < 8 for role in exact), (exact, estimate)


def test_the_summary_counts_near_duplicates_and_drops_none():
    train = table([f"{SENTENCE.format(row * 12345)}" for row in range(100)], [0, 1] * 50)
    test = table([f"{text}!" for text in train["text"][:30]], [0, 1] * 15, "test")
    roles, summary = assign_roles(task(LABELS[:2], train=train, test=test), settings())
    assert summary["crossing"]["near_duplicates"]["test"] == 30
    assert sum(map(len, roles.values())) == 130


# --- Planted noise ---


def noisy(frame, fraction, num_labels, clean=()):
    """A table with planted noise, as the train role, beside others."""
    return plant_noise(dict.fromkeys(ROLES, frame), fraction, list(clean), num_labels, seed=0)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.999])
def test_noise_flips_exactly_so_many_rows_of_every_role_but_test(fraction):
    frame = rows(100)
    roles = noisy(frame, fraction, 3)
    assert roles["test"].equals(frame)
    for role in ("selection", "feedback", "train"):
        found = roles[role]
        assert (found["label"] != frame["label"]).sum() == round(fraction * 100)
        assert found["true_label"].equals(frame["label"])
        assert found["label"].between(0, 2).all()
        assert found["label"].dtype == "int64"
        assert found.equals(noisy(frame, fraction, 3)[role])


def test_roles_have_their_own_noise_and_train_has_what_it_had():
    """Its flips are those of the time when train alone had noise, so that runs compare."""
    frame = rows(100)
    roles = noisy(frame, 0.1, 3)
    flipped = {role: np.flatnonzero(found["label"] != frame["label"]).tolist() for role, found in roles.items()}
    assert flipped["train"] == [6, 24, 30, 47, 56, 60, 63, 73, 85, 90]
    assert len(set(map(tuple, flipped.values()))) == 4


@pytest.mark.parametrize("clean", [["feedback"], ["selection"], ["feedback", "selection"]])
def test_roles_that_the_card_calls_clean(clean):
    frame = rows(100)
    roles, everywhere = noisy(frame, 0.1, 3, clean), noisy(frame, 0.1, 3)
    for role in ROLES:
        assert roles[role].equals(frame if role in clean else everywhere[role])


def test_noise_is_uniform_over_the_other_classes():
    found = noisy(table(["x"] * 3000, [0] * 3000), 0.5, 4)["train"]
    counts = found["label"].value_counts()
    assert counts[0] == 1500
    assert all(abs(counts[label] - 500) < 80 for label in (1, 2, 3))


def test_noise_spares_rows_that_are_already_wrong():
    frame = rows(100, shares=(0.5, 0.5))
    frame["label"] = frame["label"].mask(frame.index < 40, 1 - frame["label"])
    found = noisy(frame, 0.5, 2)["train"]
    assert found["label"][:40].equals(frame["label"][:40])
    assert (found["label"] != found["true_label"]).sum() == 90
    message = r"^task.yaml: label_noise: 0.7 of 100 selection rows is 70, but only 60 are correct$"
    with pytest.raises(UserError, match=message):
        noisy(frame, 0.7, 2)
