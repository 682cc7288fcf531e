"""The embedded task: what a review means, and what the generator promises."""

import numpy as np
import pytest

from lgtm.config import parse, read_yaml
from lgtm.data.demo import (
    LABELS,
    Comparison,
    Contrast,
    GeneratorSettings,
    Remark,
    Report,
    generate,
    polarity,
    render,
    unlabelled,
)
from lgtm.errors import UserError

SETTINGS = {
    "train": 300, "test": 100, "transfer": 200,
    "negation": 0.25, "report": 0.1, "comparison": 0.1, "contrast": 0.5, "seed": 0,
}  # fmt: skip

FUNNY = Remark("plot", "", "", "funny")
NOT_FUNNY = Remark("plot", "not", "", "funny")
VERY_DULL = Remark("cast", "", "very", "dull")
SLIGHTLY_FRESH = Remark("script", "", "slightly", "fresh")


@pytest.mark.parametrize(
    ("tree", "text", "label"),
    [
        (FUNNY, "the plot was funny", "positive"),
        (NOT_FUNNY, "the plot was not funny", "negative"),
        (Report("critics denied that", FUNNY), "critics denied that the plot was funny", "negative"),
        (Report("critics agreed that", FUNNY), "critics agreed that the plot was funny", "positive"),
        (
            Comparison(VERY_DULL, SLIGHTLY_FRESH),
            "the cast was very dull and the script was slightly fresh",
            "negative",
        ),
        (
            Contrast("{0} , but {1}", VERY_DULL, FUNNY),
            "the cast was very dull , but the plot was funny",
            "positive",
        ),
        (
            Contrast("although {0} , {1}", FUNNY, NOT_FUNNY),
            "although the plot was funny , the plot was not funny",
            "negative",
        ),
        (
            Contrast("{0} even though {1}", FUNNY, Report("nobody felt that", FUNNY)),
            "the plot was funny even though nobody felt that the plot was funny",
            "positive",
        ),
    ],
)
def test_a_review_reads_and_means(tree, text, label):
    assert render(tree) == text
    assert LABELS[int(polarity(tree) > 0)] == label


def test_negation_and_denial_turn_the_sign_and_keep_the_strength():
    assert polarity(NOT_FUNNY) == -polarity(FUNNY)
    assert polarity(Report("it is false that", VERY_DULL)) == -polarity(VERY_DULL)


def test_reviews_are_different_balanced_and_the_same_every_time():
    first, again = (generate(GeneratorSettings(**SETTINGS)) for _ in range(2))
    other = generate(GeneratorSettings(**SETTINGS | {"seed": 1}))
    texts = [*first["train"]["text"], *first["test"]["text"]]
    labels = [*first["train"]["label"], *first["test"]["label"]]
    assert [len(first["train"]), len(first["test"])] == [300, 100]
    assert len(set(texts)) == 400
    assert labels.count("positive") == 200
    assert all(first[split].equals(again[split]) for split in first)
    assert not first["train"].equals(other["train"])


def test_the_shipped_card_has_more_new_texts_without_a_label_than_with_one():
    """Else the transfer set could bring nothing; a drawn review that is known is left out later."""
    settings = GeneratorSettings(**read_yaml("tasks/demo/task.yaml")["generated"])
    known = {text for split in generate(settings).values() for text in split["text"]}
    new = {text for piece in unlabelled(settings) for text in piece["text"]} - known
    assert len(new) > settings.train


@pytest.mark.parametrize(("length", "limit"), [(1, 0.7), (2, 0.93)])
def test_counting_words_or_pairs_of_words_is_not_composing(length, limit):
    """On the shipped card, a linear model of counts stays far below what composing gives, which is everything."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    splits = generate(GeneratorSettings(**read_yaml("tasks/demo/task.yaml")["generated"]))
    vectorizer = CountVectorizer(ngram_range=(1, length))
    counts = vectorizer.fit_transform(splits["train"]["text"])
    model = LogisticRegression(max_iter=500).fit(counts, splits["train"]["label"])
    accuracy = np.mean(model.predict(vectorizer.transform(splits["test"]["text"])) == splits["test"]["label"])
    assert 0.5 < accuracy < limit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contrast": 1.5}, "generated.contrast"),
        ({"negation": 0.9}, "negation + report + comparison is 1.1"),
        ({"depth": 3}, "generated.depth"),
    ],
)
def test_impossible_settings_are_named(change, message, tmp_path):
    with pytest.raises(UserError) as error:
        parse(GeneratorSettings, SETTINGS | change, tmp_path / "task.yaml", "generated")
    assert message in str(error.value)


def test_more_reviews_than_there_are_is_an_error():
    narrow = SETTINGS | {"train": 5000, "negation": 0.0, "report": 0.0, "comparison": 0.0, "contrast": 0.0}
    with pytest.raises(UserError, match=r"about \d+ different reviews"):
        generate(GeneratorSettings(**narrow))
