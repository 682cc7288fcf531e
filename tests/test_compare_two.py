"""Two runs against each other, from what git and DVC's cache have of them."""

import hashlib
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dvc.repo import Repo

from lgtm.compare.page import print_comparison, write_page
from lgtm.compare.revisions import Cache, Revision, find
from lgtm.compare.screen import BESIDE, CELL, NAME, WIDEST, blocks
from lgtm.compare.two import Comparison, compare_two
from lgtm.config import settings_of
from lgtm.errors import UserError
from lgtm.report.statistics import paired_difference

PAIR, TASK = {"teacher": {"learning_rate": 1.0e-3}}, {"metrics": ["accuracy"]}
LABELS = ["bad", "good"]
ROWS, ARMS = 30, ["kd", "tailored"]
TEXTS = [f"text {i} <script>alert({i})</script> \x1b[2J [bold]" for i in range(ROWS)]
TRUTH = np.arange(ROWS) % 2


def git(*command: str) -> str:
    done = subprocess.run(["git", *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def keep(content: bytes, suffix: str = "") -> str:
    """Put bytes into DVC's cache, as DVC does; their hash."""
    value = hashlib.md5(content).hexdigest()
    path = Path(".dvc/cache/files/md5", value[:2], value[2:] + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return value + suffix


def out(path: str, files: dict[str, bytes]) -> dict:
    """An output of dvc.lock that is a folder."""
    listed = [{"md5": keep(content), "relpath": name} for name, content in files.items()]
    return {"path": path, "md5": keep(json.dumps(listed).encode(), ".dir")}


def parquet(**columns) -> bytes:
    file = io.BytesIO()
    pd.DataFrame(columns).to_parquet(file)
    return file.getvalue()


def said(of: int, seed: int, arm: str) -> np.ndarray:
    """What a student of the run `of` says of the test: mostly the truth."""
    random = np.random.default_rng([of, seed, len(arm)])
    return np.where(random.random(ROWS) < 0.3, 1 - TRUTH, TRUTH)


def student(of: int, seed: int, arm: str) -> dict[str, bytes]:
    predicted = said(of, seed, arm)
    ids = [f"test-{i}" for i in range(ROWS)]
    values = [float((predicted == TRUTH).mean()), 0.5 + of + seed / 10 + len(arm) / 100, 100.0]
    return {
        "student.parquet": parquet(sample_id=ids, label=TRUTH, predicted=predicted),
        "results.parquet": parquet(
            model="student", part="test", metric=["accuracy", "nll", "parameters"], value=values
        ),
    }  # fmt: skip


def commit(of: int, *, seeds=(1, 2, 3), arms=ARMS, texts=TEXTS, ended=True, **changes) -> str:
    """A commit of a run of which everything is in the cache."""
    params = {"task": "own", "pair": "small", "seeds": list(seeds), "arms": arms, "rate": 1.0} | changes
    for path, content in (("params.yaml", params), ("pairs/small.yaml", PAIR), ("tasks/own/task.yaml", TASK)):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(yaml.safe_dump(content))
    ids = [f"test-{i}" for i in range(ROWS)]
    data = {
        "test.parquet": parquet(sample_id=ids, text=texts),
        "task.json": json.dumps({"labels": LABELS}).encode(),
    }
    code = [{"path": "src/lgtm/networks", "md5": f"{of:032d}"}, {"path": "tasks/own", "md5": "0" * 32}]
    stages = {"prepare": {"cmd": "x", "deps": code, "outs": [out("work/data", data)]}}
    for seed in seeds:
        for arm in ["warmup", *arms]:
            outs = [out(f"work/evaluation/{seed}/{arm}", student(of, seed, arm))]
            stages[f"evaluate@{seed}-{arm}"] = {"cmd": "x", "deps": [{"path": "work/data", "md5": "1"}], "outs": outs}
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    own = settings_of(params, PAIR, TASK) if ended else "of another"
    Path("reports").mkdir(exist_ok=True)
    Path("reports/summary.json").write_text(json.dumps({"of": own, "metric": "accuracy"}))
    git("add", "--all")
    git("-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--message", "m")
    return git("rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    Path(".dvc").mkdir()
    Path(".dvc/config").touch()
    Path(".gitignore").write_text(".dvc/cache\n.dvc/tmp\n")
    return tmp_path


def compared(a: str, b: str) -> Comparison:
    with Repo() as repo:
        cache = Cache(repo)
        return compare_two(*(Revision(name, find(commit), cache) for name, commit in (("A", a), ("B", b))))


def test_what_two_runs_changed_and_what_came_of_it(project):
    found = compared(commit(1), commit(2, rate=2.0))
    assert found.settings == [("rate", "1", "2")]
    assert found.inputs == ["src/lgtm/networks"]
    assert found.notes == []
    accuracy = {
        (of, arm): pd.Series({seed: (said(of, seed, arm) == TRUTH).mean() for seed in (1, 2, 3)})
        for of in (1, 2)
        for arm in ["warmup", *ARMS]
    }
    rows = {(arm, metric): rest for arm, metric, *rest in found.metrics}
    assert set(rows) == {(arm, metric) for arm in ["warmup", *ARMS] for metric in ("accuracy", "nll")}
    for arm in ["warmup", *ARMS]:
        a, b, difference = rows[arm, "accuracy"]
        assert (a["mean"], b["mean"]) == pytest.approx((accuracy[1, arm].mean(), accuracy[2, arm].mean()))
        assert difference == paired_difference(accuracy[2, arm], accuracy[1, arm])
    assert rows["kd", "nll"][2]["mean"] == pytest.approx(1.0)


def test_samples_whose_prediction_changed(project):
    found = compared(commit(1), commit(2))
    for row in found.changed.to_dict("records"):
        pairs = [(said(1, seed, row["arm"]), said(2, seed, row["arm"])) for seed in (1, 2, 3)]
        assert row["changed"] == pytest.approx(sum((a != b).sum() for a, b in pairs) / 3)
        assert row["mended"] == pytest.approx(sum(((a != TRUTH) & (b == TRUTH)).sum() for a, b in pairs) / 3)
        assert row["broken"] == pytest.approx(sum(((a == TRUTH) & (b != TRUTH)).sum() for a, b in pairs) / 3)
    own = found.samples[found.samples["arm"] == "kd"]
    times = {f"test-{i}": sum(said(1, s, "kd")[i] != said(2, s, "kd")[i] for s in (1, 2, 3)) for i in range(ROWS)}
    assert dict(zip(own["sample_id"], own["changed"], strict=True)) == {k: n for k, n in times.items() if n}
    assert own["changed"].is_monotonic_decreasing
    first = own.iloc[0]
    place = int(first["sample_id"].removeprefix("test-"))
    assert (first["label"], first["text"]) == (LABELS[TRUTH[place]], TEXTS[place])
    assert first["a"] == LABELS[int(np.median([said(1, s, "kd")[place] for s in (1, 2, 3)]))]


def test_seeds_that_do_not_agree_are_not_paired(project):
    found = compared(commit(1, seeds=(1, 2, 3)), commit(2, seeds=(3, 2, 7)))
    assert found.seeds == [2, 3]
    rows = {(arm, metric): rest for arm, metric, *rest in found.metrics}
    assert [value["n"] for value in rows["kd", "accuracy"]] == [3, 3, 2]
    none = compared(commit(1, seeds=(1,)), commit(2, seeds=(4,)))
    assert {row[-1] for row in none.metrics} == {None}
    assert "no seed is in both: nothing is paired" in none.notes


def test_a_run_that_has_not_ended_has_no_figures(project):
    found = compared(commit(1), commit(2, rate=2.0, ended=False))
    assert (found.metrics, len(found.samples)) == ([], 0)
    assert "B is unfinished: it has no figures of its own settings" in found.notes
    assert found.settings == [("rate", "1", "2")]


def test_what_the_cache_has_not_is_said(project):
    a, b = commit(1), commit(2)
    gone = hashlib.md5(student(2, 3, "kd")["results.parquet"]).hexdigest()
    Path(".dvc/cache/files/md5", gone[:2], gone[2:]).unlink()
    found = compared(a, b)
    assert "B: not all of kd is in DVC's cache; dvc pull may bring it" in found.notes
    assert {row[0] for row in found.metrics} == {"warmup", "tailored"}
    assert found.figures == []
    shutil.rmtree(".dvc/cache")
    found = compared(a, b)
    assert found.figures == [("metric", "accuracy", "accuracy")]  # what git has
    assert "B: not all of warmup, kd, tailored is in DVC's cache; dvc pull may bring it" in found.notes


def test_other_test_rows_are_not_held_against_each_other(project):
    found = compared(commit(1), commit(2, texts=TEXTS[::-1]))
    assert len(found.samples) == 0
    assert "the test rows differ, or are not known: differences are not of the settings alone" in found.notes
    assert found.metrics


def test_names_of_runs(project):
    one, two = commit(1), commit(2)
    for revision, name in ((one, "owl"), (two, "bat"), (one, "twin"), (two, "twin")):
        git("update-ref", f"refs/exps/{revision[:2]}/{revision[2:]}/{name}", revision)
    assert (find("owl"), find("bat"), find("HEAD~1"), find("workspace")) == (one, two, one, "workspace")
    with pytest.raises(UserError, match="twin: 2 experiments are called so; give the commit: "):
        find("twin")
    with pytest.raises(UserError, match=r"experiments: bat, owl, twin$"):
        find("nosuch")
    with pytest.raises(UserError, match="--help: no commit"):
        find("--help")


def test_the_screen_is_not_wider_than_it_may_be_and_the_page_asks_for_nothing(project, capsys):
    found = compared(commit(1, note="x" * 300), commit(2, rate=2.0))
    print_comparison(found, "kd")
    screen = capsys.readouterr().out
    assert max(map(len, screen.splitlines())) <= WIDEST
    assert "\x1b[2J" not in screen
    assert "[bold]" in screen.replace("\n", "")
    write_page(found, None, Path("page.html"))
    page = Path("page.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not [word for word in ("http:", "https:", "src=", "url(", "@import") if word in page]
    with pytest.raises(UserError, match="--arm nosuch: no predictions of it in both; there are warmup, kd, tailored"):
        print_comparison(found, "nosuch")


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_page_that_cannot_be_written_is_one_line(project):
    with pytest.raises(UserError, match="/dev/full: cannot be written"):
        write_page(compared(commit(1), commit(2)), None, Path("/dev/full"))


@pytest.mark.parametrize("columns", [1, 3, 12, 40])
def test_blocks_fit_and_lose_nothing(columns):
    random = np.random.default_rng(columns)
    header = [f"c{i}" for i in range(columns)]
    row = ["x" * int(random.integers(1, 80)) for _ in range(columns)]
    found = blocks(header, [row], WIDEST)
    assert sorted({index for block in found for index in block}) == list(range(columns))
    for block in found:
        assert block[0] == 0
        wide = sum(BESIDE + min(len(row[i]), CELL if i else NAME) for i in block)
        assert 1 + wide <= WIDEST
