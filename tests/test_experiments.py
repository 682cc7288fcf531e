"""Experiments: side by side in this folder, in DVC's queue, and over hosts with a git and a DVC remote between them."""

import json

import pytest
from project import Project

from lgtm.errors import UserError
from lgtm.runner import experiment
from lgtm.runner.warm import WarmPython

RUNNER = ("env", "PYTHONPATH=src", "python", "-m", "lgtm.runner")
COMMIT = ("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "--all", "--message")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of one seed and one arm, with remotes in folders."""
    place = tmp_path_factory.mktemp("experiments")
    project = Project(place / "project")
    project.edit({"arms": ["kd"], "validation.subsets": 0, "validation.removals": []})
    project("git", "init", "--quiet", "--bare", str(place / "remote.git"))
    project("git", "remote", "add", "origin", str(place / "remote.git"))
    project("dvc", "remote", "add", "--default", "shared", str(place / "remote"))
    project(*COMMIT, "settings and remotes")
    project("git", "push", "--quiet", "origin", "HEAD")
    return project


def experiments(project: Project) -> dict[str, dict]:
    """The experiments of the current commit by name, as `dvc exp show` tells them: settings and metrics."""
    rows = json.loads(project("dvc", "exp", "show", "--json"))
    found = {}
    for row in rows:
        for kept in row["experiments"] or []:
            data = kept["revs"][-1]["data"]
            params = data["params"]["params.yaml"]["data"]
            metrics = data["metrics"]["reports/summary.json"]["data"]
            found[kept["name"]] = {"temperature": params["distill"]["temperature"], "metrics": metrics}
    return found


def figures(project: Project) -> dict:
    """The figures of the workspace's report, without its words, which DVC does not show."""
    summary = json.loads((project.root / "reports/summary.json").read_text())
    return {name: value for name, value in summary.items() if not isinstance(value, list)}


@pytest.fixture(scope="module")
def shared(project):
    """The same, run, committed and pushed to both remotes."""
    project(*RUNNER)
    project("git", "add", "--all")
    project(*COMMIT, "base")
    project("git", "push", "--quiet", "origin", "HEAD")
    project("dvc", "push", "--quiet", "--run-cache")
    return project


def test_a_clone_that_pulls_has_the_page_the_figures_and_the_student_and_runs_nothing(shared, tmp_path):
    clone = Project.clone(shared, tmp_path / "clone")
    clone("dvc", "pull", "--quiet")
    for made in ("reports/report.html", "reports/metrics.json", "work/runs/1/kd/student/model.safetensors"):
        assert (clone.root / made).read_bytes() == (shared.root / made).read_bytes()
    assert clone.repro() == set()


def test_a_grid_over_hosts_comes_back_as_experiments(shared, tmp_path):
    project = shared
    for temperature in (1, 4):
        host = Project.clone(project, tmp_path / f"host-{temperature}")
        host("dvc", "pull", "--quiet", "--run-cache", "--allow-missing")
        said = host(*RUNNER, "-S", f"distill.temperature={temperature}", "--name", f"t{temperature}")
        assert "teacher_warmup@" not in said, "what the settings do not touch is not run again"
        assert "distill@1-kd" in said
        host("dvc", "exp", "push", "--quiet", "--run-cache", "origin", f"t{temperature}")
    project("dvc", "exp", "pull", "--quiet", "origin", "t1", "t4")
    found = experiments(project)
    assert {name: found[name]["temperature"] for name in ("t1", "t4")} == {"t1": 1, "t4": 4}
    assert found["t1"]["metrics"] != found["t4"]["metrics"]
    project("dvc", "exp", "apply", "t4")
    assert project("dvc", "status").strip() == "Data and pipelines are up to date."
    assert figures(project) == found["t4"]["metrics"]


def test_a_name_that_is_taken_ends_in_one_line_before_anything_runs(project, monkeypatch):
    head = project("git", "rev-parse", "HEAD").strip()
    project("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/taken", "HEAD")  # where DVC keeps an experiment
    monkeypatch.chdir(project.root)
    experiment.require_free("free")
    with pytest.raises(UserError, match=r"^--name taken: there is an experiment of this name"):
        experiment.require_free("taken")


@pytest.mark.parametrize("name", ["", "two words", "a..b"])
def test_a_name_that_git_does_not_take_is_told_before_anything_runs(project, monkeypatch, name):
    monkeypatch.chdir(project.root)
    with pytest.raises(UserError, match="name"):
        experiment.require_free(name)


def test_nothing_is_kept_of_what_has_not_run_with_the_settings_and_files_of_now(project, tmp_path, monkeypatch):
    other = Project.clone(project, tmp_path / "other")
    monkeypatch.chdir(other.root)
    with pytest.raises(UserError, match=r"^--name none: not kept: .* is out of date"):
        experiment.keep("none")
    assert (other("git", "status", "--short"), other("dvc", "exp", "list")) == ("", "")


@pytest.mark.parametrize(
    "setting, words",
    [
        ("distill.temperatur=5", "distill.temperatur=5: .*override .distill.temperatur."),
        ("distill.temperature=-5", "-S: distill.temperature: input should be greater than or equal to 0.01 .found -5"),
        ("seeds=[1", "seeds=.1: "),
        ("distill", " distill: .*distill"),
        ("seeds=range(1,3)", "range"),
        ("task=nowhere", "-S: .*nowhere"),
    ],
)
def test_a_setting_that_is_none_ends_in_one_line_and_is_not_written(project, monkeypatch, setting, words):
    monkeypatch.chdir(project.root)
    before, files = (project.root / "params.yaml").read_bytes(), sorted(project.root.iterdir())
    with pytest.raises(UserError, match=words) as told:
        experiment.change(["distill.epochs=2", setting])
    assert "\n" not in str(told.value)
    assert ((project.root / "params.yaml").read_bytes(), sorted(project.root.iterdir())) == (before, files)


@pytest.mark.parametrize("upstream", ["cold", "warm"])
def test_the_queue_with_two_workers_gives_what_one_run_gives(project, upstream, tmp_path):
    if upstream == "cold":
        project.edit({"prepare.seed": 5})
        project(*COMMIT, "another cut")
    with WarmPython(project.root) as warm:
        # It has read the graph before `exp run` takes DVC's lock until its workers, which wait for it, have ended.
        assert warm.run("timeit", "-n1", "pass", log=tmp_path / "log") == 0
        project.path.insert(0, warm.folder)
        names = {f"{upstream}-{temperature}": temperature for temperature in (1.5, 2.5)}
        for name, temperature in names.items():
            project("dvc", "exp", "run", "--queue", "--name", name, "-S", f"distill.temperature={temperature}")
        project("dvc", "exp", "run", "--run-all", "-j", "2")
        project.path.pop(0)
    found = experiments(project)
    assert {name: found[name]["temperature"] for name in names} == names
    project(*RUNNER, "-S", "distill.temperature=2.5")
    assert figures(project) == found[f"{upstream}-2.5"]["metrics"]
