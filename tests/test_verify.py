"""`lgtm verify` sees every byte that is not as dvc.lock says, and its remedies put it right."""

import os
import shutil
from pathlib import Path

import pytest
import small
import yaml
from small import shell

from lgtm.errors import UserError
from lgtm.runner.graph import Graph
from lgtm.runner.integrity import Verified, verify

GRAPH = {
    "stages": {
        "first": {
            "cmd": "mkdir -p work/first/deep && cat data/x > work/first/x && cat code.py > work/first/deep/y",
            "deps": ["data", "code.py"],
            "params": ["rate"],
            "outs": ["work/first"],
        },
        "other": {"cmd": "cat data/x data/x > work/other", "deps": ["data"], "outs": ["work/other"]},
        "last": {
            "cmd": "cat work/first/x > work/last && echo '{\"a\": 1}' > figures.json",
            "deps": ["work/first"],
            "outs": ["work/last"],
            "metrics": [{"figures.json": {"cache": False}}],
        },
    }
}
STAGES = list(GRAPH["stages"])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project of DVC in which all has run."""
    files = {"data/x": "the rows\n", "code.py": "code = 1\n", "params.yaml": "rate: 1.0\n"}
    return small.make(tmp_path_factory.mktemp("verify") / "made", GRAPH, files)


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    """A copy of it, the times of its files too, to work in."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "project", symlinks=True))
    return Path.cwd()


def flip(path: str) -> None:
    """Change the last byte; size, time and mode stay."""
    file = Path(path)
    was, mode = file.stat(), file.stat().st_mode
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    file.chmod(mode)


def in_cache(content: str) -> str:
    """The file of DVC's cache with this content."""
    (found,) = (path for path in Path(".dvc/cache/files").rglob("*") if path.is_file() and path.read_text() == content)
    return str(found)


def remedied(found: Verified) -> list[str]:
    """Do what the lines say, once each, and look again."""
    for remedy in dict.fromkeys(line.partition("; ")[2] for line in found.problems):
        shell(remedy.removeprefix("put back what was there, or ").partition(", ")[0])
    return verify().problems


def test_what_is_as_it_was_made(project):
    found = verify()
    assert found.problems == []
    # Code, a row of data, and what the stages wrote; the cache has one file for the same bytes.
    assert (found.cells, found.files, found.cached, found.not_cached) == (3, 7, 4, 0)


@pytest.mark.parametrize("path", ["work/first/deep/y", "work/last"])
def test_a_byte_flipped_with_size_and_time_kept(project, path):
    assert not Graph().changed(STAGES)  # DVC has seen it now
    flip(path)
    assert not Graph().changed(STAGES)
    (line,) = verify().problems
    assert line.startswith(f"{path}: has other bytes than dvc.lock says (md5 ")
    assert remedied(verify()) == []


def test_two_outputs_that_were_swapped(project):
    Path("work/last").rename("kept")
    Path("work/other").rename("work/last")
    Path("kept").rename("work/other")
    first, second = verify().problems
    assert first.startswith("work/other: has other bytes than dvc.lock says, those of work/first/x (md5 ")
    assert second.startswith("work/last: has other bytes than dvc.lock says, those of work/other (md5 ")
    assert remedied(verify()) == []


def test_what_is_missing_or_was_not_there(project):
    Path("work/first/deep/y").unlink()
    Path("work/first/z").touch()
    Path("work/other").unlink()
    lines = [line.partition(";")[0] for line in verify().problems]
    assert lines == [
        "work/first/deep/y: missing",
        "work/first/z: was not there",
        "work/other: missing, and other has written it",
    ]
    assert remedied(verify()) == []


def test_a_figure_that_was_written_by_hand(project):
    Path("figures.json").write_text('{"a": 9}\n')
    (line,) = verify(["figures.json"]).problems
    assert line.startswith("figures.json: has other bytes than dvc.lock says")
    assert remedied(verify()) == []
    assert Path("figures.json").read_text() == '{"a": 1}\n'


def test_settings_code_and_data_that_have_changed_since(project):
    Path("params.yaml").write_text("rate: 2.0\n")
    Path("code.py").write_text("code = 2\n")
    flip("data/x")
    lines = [line.partition("; ")[0] for line in verify().problems]
    assert [line.partition(" (")[0] for line in lines] == [
        "data: is not as it was, and first has read it",
        "code.py: has other bytes than dvc.lock says",
        "params.yaml: rate is modified since first has run",
    ]
    assert remedied(verify()) == []


def test_a_result_stands_on_what_its_stages_need_and_on_no_more(project):
    flip("work/other")
    assert verify(["figures.json"]).problems == []
    assert verify(["work/last"]).cells == 2
    assert len(verify(["work"]).problems) == 1
    flip("data/x")
    assert [line for line in verify(["work/last"]).problems if line.startswith("data")]
    with pytest.raises(UserError, match=r"nosuch: no stage of dvc\.yaml writes it"):
        verify(["nosuch"])


def test_a_stage_that_was_made_of_something_else_than_what_is_there(project):
    """Its input was made anew, and whoever did that recorded it."""
    Path("code.py").write_text("code = 2\n")
    shell("dvc repro -q first")
    (line,) = verify().problems
    assert line.startswith("work/first: is not as it was, and last has read it; put back what was there, or ")


def test_a_damaged_file_of_the_cache_is_named(project):
    path = in_cache("code = 1\n")
    flip(path)
    (line,) = verify().problems
    assert line.startswith(f"{path}: damaged in DVC's cache, it was work/")
    assert remedied(verify()) == []  # it is not needed as long as the output itself is well


def test_an_output_that_the_cache_cannot_give_back_is_made_again(project):
    flip(in_cache("the rows\nthe rows\n"))
    flip("work/other")
    found = verify()
    assert found.problems[1].endswith("; rm -rf work/other && dvc repro other")
    assert remedied(found) == []


def test_a_damaged_file_of_the_cache_is_never_taken_for_an_output(project, capfd):
    flip(in_cache("the rows\nthe rows\n"))
    Path("work/other").unlink()
    Graph().reproduce("other")
    assert "damaged in DVC's cache, and removed from it" in capfd.readouterr().err
    assert Path("work/other").read_text() == "the rows\nthe rows\n"
    assert verify().problems == []


def test_a_stage_that_never_ran(project):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    del lock["stages"]["last"]
    Path("dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    assert verify().problems[0] == "last: has never run, by dvc.lock; dvc repro last"
