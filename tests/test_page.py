"""The report's page: what it says, what it leaves out, and that nothing of a text can run in it or lead out of it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lgtm.config import read_yaml
from lgtm.report import calibration, classes, lineage, moved, page, plots, samples, searched
from lgtm.report.pictures import Picture, picture
from lgtm.report.text import to_html
from lgtm.report.words import tailoring_helped
from stages import opinions
from stages import report as stage
from stages.artifacts import DATA, VALIDATION, cell, write_json
from tests.reported import ARMS, HOSTILE, SEEDS, poison, relist, write_workspace

ROOT = Path(__file__).parents[1]
UNDRAWN = Picture(b"", b"", "", "", "", "")


class Elements(HTMLParser):
    """All elements of a page, with the content of its scripts, and its text."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.said: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        (self.scripts if self.lasttag == "script" else self.said).append(data)
        if self.lasttag == "script":
            self.scripts[-2:] = ["".join(self.scripts[-2:])]

    def table(self, name: str) -> dict:
        places = [attrs.get("id") for tag, attrs in self.found if tag == "script"]
        return json.loads(self.scripts[places.index(name)])


@pytest.fixture
def report(tmp_path, monkeypatch):
    """A function that writes a workspace and its report, without the figures, and gives the page's elements."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage.pictures, "picture", lambda name, figure: UNDRAWN)

    def write(change=lambda: None, **settings):
        write_workspace(tmp_path, **settings)
        change()
        stage.main()
        return Elements(html())

    return write


def html() -> str:
    return (stage.REPORTS / "report.html").read_text()


def said() -> str:
    """The page's text, its white space as a reader sees it."""
    return " ".join("".join(Elements(html()).said).split())


def test_nothing_of_a_text_is_an_element_or_a_request(hostile):
    text = (hostile / "reports/report.html").read_text()
    elements = Elements(text)
    kinds = [attrs.get("type") for tag, attrs in elements.found if tag == "script"]
    assert kinds == ["application/json", "application/json", None]  # two tables, and the page's own
    assert not [tag for tag, _ in elements.found if tag in ("img", "iframe", "object", "embed", "base", "form")]
    for tag, attrs in elements.found:
        assert not [name for name in attrs if name.startswith("on")], tag
        for name in ("href", "src", "xlink:href", "action", "srcset", "data"):
            assert attrs.get(name, "#").startswith(("#", "data:,")), (tag, attrs)
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", text)
    assert "@import" not in text
    (policy,) = [attrs["content"] for _, attrs in elements.found if "Content-Security-Policy" in attrs.values()]
    assert policy.startswith("default-src 'none'; ") and "script-src 'sha256-" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1]


def test_what_goes_into_the_page_is_escaped(report):
    elements = report(poison, arms=["kd"], transfer=40)
    kinds = [attrs.get("type") for tag, attrs in elements.found if tag == "script"]
    assert kinds == ["application/json", "application/json", None]
    assert "(&lt;/script&gt;&lt;script&gt;window.ran = 1" in html()


def test_what_would_act_on_a_terminal_or_turn_a_line_is_written_out(hostile):
    for name in ("report.html", "results.md", "details.md", "summary.json", "svg/confusion.svg"):
        text = (hostile / "reports" / name).read_text()
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u2028]", text), name
    table = Elements((hostile / "reports/report.html").read_text()).table("taught")
    texts = [row[0] for row in table["rows"]]
    assert HOSTILE[0] in texts and HOSTILE[4] in texts
    assert r"\x1b[31mred \u202eturned\u2066 \x07bell" in texts
    assert table["labels"] == [HOSTILE[0], r"\x1b[31mred \u202eturned\u2066 \x07bell"]


def test_a_cell_is_one_line_in_which_nothing_is_hidden():
    assert searched.plain("a\n b\t\x1b[1m\u202ec") == r"a b \x1b[1m\u202ec"
    assert len(searched.plain("x" * 5000)) == samples.LONGEST
    assert searched.plain("x" * 5000).endswith("…")


def test_markdown_has_no_html_of_a_text():
    found = to_html("| a | b |\n| --- | ---: |\n| <b>x</b> | [go](javascript:1) <https://example.org> ![p](q.png) |")
    assert re.findall(r"<(\w+)", found) == ["div", "table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert to_html("`a` <i>", inline=True) == "<code>a</code> &lt;i&gt;"


def test_the_drawings_have_the_pages_colours_and_ids_of_their_own(hostile):
    text = (hostile / "reports/report.html").read_text()
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) and all(
        a or b in ids for a, b in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text) if (a or b)
    )
    drawings = re.findall(r'<svg viewBox="0 0 (\S+) \S+" class="drawing".*?</svg>', text, re.DOTALL)
    assert len(drawings) == 2 * len(list((hostile / "reports/svg").iterdir()))
    assert {float(width) for width in drawings} == {7.5 * 72, 4.1 * 72}
    body = text[text.index("<main>") :]
    assert "#000000" not in body and "var(--ink)" in body


def test_a_drawing_is_made_of_the_same_bytes_again():
    students = pd.DataFrame({"warmup": [0.7, 0.71, 0.7], "kd": [0.8, 0.81, 0.79], "tailored": [0.8, 0.82, 0.8]})
    figures = [plots.arms_figure(students, students["kd"] + 0.1, 0.5, "accuracy", "test") for _ in range(2)]
    first, second = (picture("arms", figure) for figure in figures)
    assert first == second
    assert first.title == "Students by arm"
    assert first.caption.startswith("Large dot: mean over 3 seeds.") and "\n" not in first.caption
    # The page says title and caption itself.
    assert "Students by arm" in first.svg.decode() and "Students by arm" not in first.wide + first.narrow
    assert "Large dot" not in first.wide + first.narrow
    for drawing in (first.wide, first.narrow):
        assert "warmed-up teacher, mean" in drawing and "majority class, 50.0" in drawing


def test_a_reader_is_told_first_what_to_ship_and_whether_tailoring_helped(report):
    report(transfer=30)
    text = said()
    places = [text.index(words) for words in ("Ship: kd", "Did tailoring help?", "What was done", "Which differences")]
    assert places == sorted(places)
    assert "400,000 parameters" in text and "1,800,000 parameters" in text
    assert "There are 1,200 texts with labels and 30 without" in text
    summary = json.loads((stage.REPORTS / "summary.json").read_text())
    assert summary["recommendation"][0].startswith("Ship: kd. ")
    assert summary["recommendation"][1].startswith("Did tailoring help? ")
    results = (stage.REPORTS / "results.md").read_text()
    assert len(results.splitlines()) < 70
    for sentence in summary["recommendation"][1:2]:
        assert sentence.split("? ")[1].split(".")[0] in text
    for link in [attrs["href"][1:] for tag, attrs in Elements(html()).found if tag == "a"]:
        assert f'id="{link}"' in html()


def test_one_seed_without_transfer_truth_tailoring_or_validation(report):
    def change():
        for seed in (7,):
            path = VALIDATION / str(seed) / "validation.json"
            found = json.loads(path.read_text())
            for measure in ("lds", "subsets", "nothing_dropped", "removals"):
                found.pop(measure)
            write_json(path, found)

    elements = report(change, seeds=[7], arms=["ce", "kd"], flips=0.0)
    text = said()
    assert "With so few seeds, nothing here is settled." in text
    assert "No arm of this run tailors its teacher." in text
    assert "No arm of this run has a teacher of its own that spoke of the same rows." in text
    assert "No student was retrained" in text
    assert "Rounds" not in text and "Choices of λ" not in text
    titles = [column["title"] for column in elements.table("taught")["columns"]]
    # No truth beside the label, no seeds to tell apart, no role but train, no second teacher.
    assert titles == ["text", "influence", "label", "teacher", "student", "shown for", "id"]
    assert "None" not in text and "nan" not in text


def test_a_teacher_that_is_a_file_of_answers(report):
    def change():
        path = Path("pairs") / f"{read_yaml('params.yaml')['pair']}.yaml"
        path.write_text(yaml.safe_dump(read_yaml(path) | {"teacher": {"predictions": {"file": "answers.csv"}}}))
        for seed in SEEDS:
            for path in (stage.REPORTS.parent / "work/evaluation" / str(seed)).glob("*/results.parquet"):
                rows = pd.read_parquet(path)
                gone = (rows["model"] == "teacher") & rows["metric"].isin(["parameters", "megabytes"])
                rows[~gone].to_parquet(path)

    report(change, arms=["kd"])
    assert "learns a task from a teacher of which only the answers are known" in said()


def test_many_classes_have_no_matrix_and_the_hardest_are_named(report, monkeypatch):
    labels = [f"a_class_with_a_name_that_is_far_too_long_for_one_column_{n}" for n in range(77)]
    elements = report(labels=labels, arms=["kd"])
    assert not (stage.FIGURES / "confusion.png").exists()
    assert "Too many classes for a matrix" in said()
    assert "the 12 classes that are hardest on the mean, of 77" in said()
    assert "confusion.png" not in (stage.REPORTS / "details.md").read_text()
    assert elements.table("tested")["labels"] == labels


def test_none_that_helps_is_not_called_helpful_without_a_word(report):
    def change():
        for seed in SEEDS:
            path = cell(seed, "influence") / "influence.parquet"
            scores = pd.read_parquet(path)
            low = scores["sample_id"].str.startswith("transfer")
            scores.assign(influence=np.where(low, -1 - scores["influence"].abs(), 0.5)).to_parquet(path)

    report(change, transfer=30, arms=["kd"])
    word = "No more rows of transfer help: those at or below zero are its least harmful."
    assert word in said() and word in (stage.REPORTS / "details.md").read_text()
    assert "No more rows of train help" not in said()


def test_the_rows_that_are_shown_are_the_extremes_the_moved_the_wrong_and_some_by_chance():
    random = np.random.default_rng(0)
    rows = 5000
    ranked = pd.DataFrame(
        {
            "sample_id": [f"s{n}" for n in range(rows)],
            "role": np.where(random.random(rows) < 0.5, "train", "transfer"),
            "planted": random.random(rows) < 0.1,
            "influence": np.sort(random.normal(size=rows))[::-1],
            "helps": 1,
        }
    )
    far = pd.Series(random.random(rows), ranked["sample_id"])
    found = samples.choose(ranked, far)
    assert len(found) == samples.SHOWN and found["sample_id"].is_unique
    assert found.index.is_monotonic_increasing
    for role in ("train", "transfer"):
        own = ranked[ranked["role"] == role]
        most, least = own["sample_id"][: samples.OF_A_KIND], own["sample_id"][-samples.OF_A_KIND :]
        shown = found[found["role"] == role].set_index("sample_id")["reason"]
        assert set(shown[most]) == {"most helpful"} and set(shown[least]) == {"least helpful"}
        farthest = far[own["sample_id"]].nlargest(samples.OF_A_KIND).index
        assert set(shown[farthest]) <= {"most helpful", "least helpful", "teacher moved most"}
    assert (found["reason"] == "at random").sum() > 200
    pd.testing.assert_frame_equal(found, samples.choose(ranked, far))
    few = samples.choose(ranked[:300], pd.Series(dtype="float64"))
    assert len(few) == 300 and "" not in set(few["reason"])


def test_the_tests_rows_are_those_on_which_the_arms_differ(report):
    elements = report(arms=["kd", "tailored"])
    table = elements.table("tested")
    assert len(table["rows"]) == samples.SHOWN_OF_TEST
    path = {arm: [Path(f"work/evaluation/{seed}/{arm}/student.parquet") for seed in SEEDS] for arm in ("warmup", "kd")}
    right = {
        arm: sum((rows := pd.read_parquet(one).set_index("sample_id"))["predicted"] == rows["label"] for one in own)
        for arm, own in path.items()
    }
    assert [column["title"] for column in table["columns"]] == ["id", "label", "warm student", "kd", "tailored"]
    for sample, label, warm, kd, _ in table["rows"]:
        assert label == [1, None]
        for found, arm in ((warm, "warmup"), (kd, "kd")):
            assert found[1:] == [right[arm][sample], 3]
            assert (found[0] == 1) == (found[1] > 1.5)
    spread = [max(row[2][1], row[3][1], row[4][1]) - min(row[2][1], row[3][1], row[4][1]) for row in table["rows"]]
    assert spread == sorted(spread, reverse=True) and spread[0] > spread[-1]


def test_what_the_page_says_of_a_row_is_what_the_tables_say(report):
    elements = report(transfer=40)
    table = elements.table("taught")
    assert len(table["rows"]) == 1000
    titles = [column["title"] for column in table["columns"]]
    influences = {seed: pd.read_parquet(cell(seed, "influence") / "influence.parquet") for seed in SEEDS}
    influences = {seed: rows.set_index("sample_id") for seed, rows in influences.items()}
    teachers = {
        name: [pd.read_parquet(cell(seed, *where) / "targets.parquet").set_index("sample_id") for seed in SEEDS]
        for name, where in (("teacher", ("teacher",)), ("teacher of tailored", ("tailored", "teacher")))
    }
    train = pd.read_parquet(DATA / "train.parquet").set_index("sample_id")

    def softmax(logits):
        return np.exp(logits) / np.exp(logits).sum()

    for row in table["rows"][::50]:
        shown = dict(zip(titles, row, strict=True))
        sample = shown["id"]
        by_seed = [influences[seed].loc[sample, "influence"] for seed in SEEDS]
        assert shown["by seed"] == pytest.approx(by_seed, rel=0.01)
        assert shown["influence"] == pytest.approx(np.mean(by_seed), rel=0.01)
        probabilities = {
            name: np.mean([softmax(rows.loc[sample, "logits"]) for rows in own], axis=0)
            for name, own in teachers.items()
        }
        own = [softmax(influences[seed].loc[sample, "student_logits"]) for seed in SEEDS]
        probabilities["student"] = np.mean(own, axis=0)
        for who, expected in probabilities.items():
            assert shown[who] == [int(expected.argmax()), pytest.approx(expected.max(), abs=0.001)]
        far = [
            np.abs(softmax(a.loc[sample, "logits"]) - softmax(b.loc[sample, "logits"])).sum() / 2
            for a, b in zip(*teachers.values(), strict=True)
        ]
        assert shown["teacher moved"] == pytest.approx(100 * np.mean(far), abs=0.06)
        if shown["role"] == "train":
            assert shown["label"] == [train.loc[sample, "label"], None]
            assert shown["truth"] == [train.loc[sample, "true_label"], None]
            assert shown["text"] == train.loc[sample, "text"]
        else:
            assert shown["label"] is shown["truth"] is None


def test_what_moved_against_a_loop():
    random = np.random.default_rng(0)
    before, after = random.normal(size=(2, 50, 3))
    rows = pd.DataFrame(
        {"role": ["train"] * 30 + ["transfer"] * 20, "known": [*random.integers(3, size=30), *[None] * 20]}
    )
    found = moved.measures(moved.shift(before, after), rows.astype({"known": float}))
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (before, after))
    assert found.loc["train", "changed"] == np.mean(
        [a.argmax() != b.argmax() for a, b in zip(p[:30], q[:30], strict=True)]
    )
    assert found.loc["transfer", "moved"] == pytest.approx(np.abs(p[30:] - q[30:]).sum(1).mean() / 2)
    assert found.loc["train", "right_after"] == np.mean(q[:30].argmax(1) == rows["known"][:30].to_numpy(int))
    assert found.loc["train", "confidence_before"] == pytest.approx(p[:30].max(1).mean())
    assert np.isnan(found.loc["transfer", "right_before"])
    summary = moved.summarise_moved({"tailored": {1: found, 2: found}})
    assert "right_before" not in summary["tailored"]["transfer"]
    assert summary["tailored"]["train"]["changed"]["n"] == 2


def test_a_teacher_of_other_rows_is_not_held_against_the_warm_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_workspace(tmp_path, transfer=20)
    rows = opinions.read_rows()
    assert rows["known"].notna().sum() == 1200 and list(rows["sample_id"][-1:]) == ["transfer-19"]
    found, far = opinions.read_shifts(SEEDS, ARMS, rows)
    assert list(found) == list(far) == ["control", "tailored"]
    path = cell(2, "tailored", "teacher") / "targets.parquet"
    own = pd.read_parquet(path)
    more = pd.concat([own, own[:3].assign(sample_id=["feedback-0", "feedback-1", "feedback-2"])], ignore_index=True)
    more.to_parquet(path)  # as `pooled` does
    np.testing.assert_array_equal(opinions.read_shifts(SEEDS, ARMS, rows)[1]["tailored"], far["tailored"])
    for other in (own[::-1], own[:-1], own[["sample_id"]]):
        other.to_parquet(path)
        assert list(opinions.read_shifts(SEEDS, ARMS, rows)[0]) == ["control"]


def test_classes_and_confusions_against_a_loop():
    random = np.random.default_rng(0)
    said = pd.DataFrame(
        {
            "arm": np.repeat(["a", "b"], 200),
            "label": np.tile(random.integers(3, size=200), 2),
            "predicted": random.integers(3, size=400),
        }
    )

    def share(arm, label, predicted):
        own = said[(said["arm"] == arm) & (said["label"] == label)]
        return (own["predicted"] == predicted).mean()

    found = classes.recalls(said, ["a", "b"])
    for label, row in found.iterrows():
        assert row.tolist() == pytest.approx([share(arm, label, label) for arm in ("a", "b")])
    assert found.mean(axis="columns").is_monotonic_increasing
    wrong = classes.confusions(said, ["a", "b"])
    assert len(wrong) == 6
    for (label, predicted), row in wrong.iterrows():
        assert row.tolist() == pytest.approx([share(arm, label, predicted) for arm in ("a", "b")])
    assert wrong.mean(axis="columns").is_monotonic_decreasing
    matrix = classes.matrix(said, "b", 4)
    assert matrix[1, 2] == pytest.approx(share("b", 1, 2))
    assert np.isnan(matrix[3]).all()


def test_reliability_has_the_gap_of_the_calibration_error():
    """Its bins, put together again, are the expected calibration error of the metrics."""
    from lgtm.networks.metrics import expected_calibration_error

    random = np.random.default_rng(0)
    logits, labels = 2 * random.normal(size=(400, 3)), random.integers(3, size=400)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    said = pd.DataFrame({"label": labels, "predicted": logits.argmax(1), "confidence": probabilities.max(1)})
    found = calibration.reliability(said.assign(arm="kd"), ["kd"])
    gap = (found["rows"] * (found["confidence"] - found["right"]).abs()).sum() / 400
    assert gap == pytest.approx(expected_calibration_error(logits, labels))


def compared(**decisions):
    """Metrics in which the arm tailored is held against baselines, with these outcomes: better, worse or even."""
    ends = {"better": (0.01, 0.03, 0.01), "worse": (-0.03, -0.01, 0.01), "even": (-0.01, 0.03, 0.5)}
    differences, tests = {}, {}
    for baseline, decision in decisions.items():
        low, high, p = ends[decision]
        differences[f"tailored-{baseline}"] = {"accuracy": {"mean": (low + high) / 2, "low": low, "high": high, "n": 5}}
        tests[f"tailored-{baseline}"] = {"p_holm": p, "accuracy": {"mean": (low + high) / 2}}
    arms = dict.fromkeys(["tailored", *decisions])
    return {"arms": arms, "differences": differences, "tests": tests, "environments": {}}


@pytest.mark.parametrize(
    ("decisions", "answer"),
    [
        ({"kd": "better", "control": "better"}, "Yes"),
        ({"kd": "better", "control": "even"}, "In part"),
        ({"kd": "even", "control": "even"}, "Not shown"),
        ({"kd": "better", "control": "worse"}, "No"),
        ({}, "Not to be said"),
    ],
)
def test_whether_tailoring_helped_is_against_all_baselines(decisions, answer):
    (found,) = tailoring_helped(compared(**decisions), "accuracy")
    assert found["said"] == answer
    for baseline in decisions:
        assert f"`{baseline}` (" in found["why"]


def test_whether_tailoring_helped_is_not_said_of_few_seeds_or_of_mixed_environments():
    metrics = compared(kd="better")
    mixed = tailoring_helped(metrics | {"environments": {"torch": {}}}, "accuracy")[0]
    few = tailoring_helped(metrics | {"tests": {}}, "accuracy")[0]
    assert mixed["said"] == few["said"] == "Not to be said"
    assert "cells of different environments" in mixed["why"] and "too few seeds" in few["why"]
    assert tailoring_helped(metrics | {"arms": {"kd": None}}, "accuracy") == []


def test_the_lineage_is_the_graph_of_dvc():
    graph = read_yaml(ROOT / "dvc.yaml")["stages"]
    line = {name: number for number, level in enumerate(lineage.LEVELS) for name in level}
    assert set(line) == set(graph) - {"selection", "evaluate_warmup", "evaluate_rounds", "ship"}
    outs = {name: [out for out in stage.get("outs", []) if isinstance(out, str)] for name, stage in graph.items()}
    for name in line:
        for other in line:
            if {dep for dep in graph[name]["deps"]} & set(outs[other]):
                assert line[other] < line[name], (other, name)


def test_a_digest_is_of_every_byte_that_was_read(report):
    report(arms=["kd", "tailored"])

    def digests():
        return dict(re.findall(r"<b>(\w+)</b> <span>[^<]*</span><code>(\w{12})</code>", html()))

    before = digests()
    assert set(before) == set().union(*lineage.LEVELS) - {"rounds", "report"}
    path = VALIDATION / "2/validation.json"
    path.write_text(path.read_text() + "\n")
    stage.main()
    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"validation"}
    stale = VALIDATION / "9"
    stale.mkdir()
    (stale / "validation.json").write_text("{}")
    stage.main()
    assert digests() == after
    relist(seeds=[1, 3])
    stage.main()
    assert digests()["influence"] != after["influence"]


def test_every_template_of_the_page_is_used():
    names = {path.name for path in page.TEMPLATES.iterdir()}
    texts = {path.name: path.read_text() for path in page.TEMPLATES.iterdir()}
    entered = {f"{name}.md.j2" for name in stage.PAGES} | {"page.html.j2", "page.css", "page.js"}
    for text in texts.values():
        entered |= set(re.findall(r'include "(.*?)"', text))
    assert entered == names
