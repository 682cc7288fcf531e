"""What a text, a name or a folder may carry: nothing of it runs, draws on the terminal or leads elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tiny_project
import yaml
from dvc.config import Config

from lgtm.cli.compare import compare
from lgtm.config import read_yaml
from lgtm.data.files import read_file
from lgtm.data.sources import read_splits
from lgtm.data.tasks import load_card
from lgtm.errors import UserError, visible
from lgtm.report.page_tables import samples_table
from stages.prepare import written_classes

HOSTILE = (
    "<script>alert(1)</script> \x1b[2J\x1b]0;title\x07 [link](javascript:x) | ![](http://x/y) \u202egpj.exe ` $x$ \x00"
)


def test_a_hostile_text_is_only_text_on_the_page():
    sample = {"text": HOSTILE, "text_pair": HOSTILE, "role": "train", "label": 0, "true_label": 1, "planted": True}
    rows = pd.DataFrame([sample | {"influence": 0.1, "helps": 1}])
    page = samples_table(rows, [f"{HOSTILE}a", f"{HOSTILE}b"], 1)
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not set("\x1b\x07\x00\u202e") & set(page)
    assert "](" not in page.replace("\\](", ""), "no link and no picture"
    header, _, *lines = page.splitlines()
    assert len(lines) == 1
    assert lines[0].replace("\\|", "").count("|") == header.count("|"), "no cell of its own"


def test_what_is_written_out_and_what_stays():
    assert visible("a\x1b[31mb\nc\u202ed\ud800") == "a\\x1b[31mb\\nc\\u202ed\\ud800"
    joined = "می‌خواهم 👩‍💻 naïve 日本"
    assert visible(joined) == joined
    assert str(UserError("no column '\x1b[2J'\n")) == "no column '\\x1b[2J'\\n"


def test_a_leaderboards_classes_are_no_formulas():
    leaderboard = type("Leaderboard", (), {"write": "names"})
    for name in ("=1+1", "+x", "-x", "@sum"):
        with pytest.raises(UserError, match="is a formula to a spreadsheet; write ids"):
            written_classes(["good", name], leaderboard)
    assert written_classes(["-1", "+1"], leaderboard) == ["-1", "+1"]


def test_runs_side_by_side_are_text(tmp_path, monkeypatch, capsys):
    """Rich would take [kd,tailored] for a style, and an escape for an escape."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"arms": ["kd", "tailored"], "task": "\x1b[2Jx", "pair": "y"}))
    monkeypatch.setattr("dvc.api.exp_show", lambda: [{"rev": "abc", "Experiment": None, "State": None}])
    monkeypatch.setattr("lgtm.compare.runs.content", content)
    compare(on="test")
    shown = capsys.readouterr().out
    assert "[kd,tailored]" in shown.replace("\n", "").replace(" ", "").replace("'", "")
    assert "\x1b[2J" not in shown


def content(revision: str, path: str) -> str:
    """A commit with no settings of its own, and the workspace's."""
    return Path(path).read_text() if revision == "workspace" else "{}"


@pytest.fixture
def task(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_project.write_cards(tmp_path)
    return Path("tasks/tiny")


def test_a_tasks_folder_may_lie_elsewhere_and_a_file_in_dvcs_cache(task, tmp_path):
    shutil.move(task, tmp_path / "elsewhere")
    task.symlink_to(tmp_path / "elsewhere")
    whole = read_splits(load_card(task), task).splits["train"]
    cached = Path(".dvc/cache/files/md5/00/11")
    cached.parent.mkdir(parents=True)
    shutil.move(task / "train.csv", cached)
    (task / "train.csv").symlink_to(cached.absolute())
    assert read_splits(load_card(task), task).splits["train"].equals(whole)
    shutil.move(cached, tmp_path / "outside.csv")
    (task / "train.csv").unlink()
    (task / "train.csv").symlink_to(tmp_path / "outside.csv")
    with pytest.raises(UserError, match=r"tasks/tiny/train.csv: a link to outside of tasks/tiny"):
        read_splits(load_card(task), task)


def test_an_object_in_yaml_is_not_built(task):
    for card in (task / "task.yaml", Path("pairs/tiny.yaml")):
        card.write_text("description: !!python/object/apply:os.system ['touch pwned']\n")
        with pytest.raises(UserError, match="not valid YAML: could not determine a constructor"):
            read_yaml(card)
    assert not Path("pwned").exists()


def test_json_within_json_is_refused(task):
    path = task / "deep.jsonl"
    path.write_text("[" * 200_000 + "\n")
    with pytest.raises(UserError, match="line 1: JSON within JSON too often"):
        read_file(path, None, True, task / "task.yaml")


def test_a_stage_asks_nothing_and_tells_the_hub_nothing(tmp_path):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    told = "print(repr(sys.stdin.read()), constants.HF_HUB_DISABLE_TELEMETRY)"
    (tmp_path / "stages/own.py").write_text(
        f"import sys\nfrom huggingface_hub import constants\ndef main() -> None:\n    {told}\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tiny_project.ROOT / "src")}
    environment.pop("HF_HUB_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-m", "lgtm.stage", "own"],
        cwd=tmp_path, env=environment, input="y\ny\n", capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("'' True\n", "")


def test_dvc_calls_nobody():
    core = Config.load_file(tiny_project.ROOT / ".dvc/config")["core"]
    assert (core["analytics"], core["check_update"]) == ("false", "false")


def test_nothing_is_unpickled_and_no_code_of_others_is_trusted():
    """By the names of what could: weights come by safetensors, and no call lets code of others run."""
    for path in [*(tiny_project.ROOT / "src").rglob("*.py"), *(tiny_project.ROOT / "stages").glob("*.py")]:
        text = path.read_text()
        for name in ("torch.load", "pickle.load(", "joblib", "allow_pickle=True", "trust_remote_code=True", "eval("):
            assert name not in text.replace(".eval()", ""), f"{path}: {name}"


def test_the_cards_of_the_project_are_read_by_the_safe_loader_alone():
    for path in (tiny_project.ROOT / "tasks").glob("*/task.yaml"):
        assert read_yaml(path) == yaml.safe_load(path.read_text())
