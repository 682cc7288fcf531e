"""Who still runs, by DVC's note of who reads and writes what."""

import json
import os
import subprocess
import time
from types import SimpleNamespace

import psutil

from lgtm.runner.rwlock import is_alive, running

ME = {"pid": os.getpid(), "cmd": "dvc repro"}


def test_a_process_is_who_wrote_the_note_if_it_was_there_then():
    assert is_alive(ME, time.time())
    assert is_alive(ME, psutil.Process().create_time())
    assert not is_alive(ME, psutil.Process().create_time() - 60)  # another had this number
    # A cell of the runner is a fork of a warm python, which this is not.
    assert not is_alive(ME | {"cmd": "src/lgtm/runner/cell.py prepare"}, time.time())
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not is_alive({"pid": ended.pid, "cmd": "dvc repro"}, time.time())


def test_a_stage_that_runs_just_now(tmp_path):
    repo, note = SimpleNamespace(tmp_dir=str(tmp_path)), tmp_path / "rwlock"
    assert running(repo) is None
    for text in ('{"write": {', "{}", json.dumps({"read": {"a": [ME | {"pid": 2**22 + 1}]}})):
        note.write_text(text)
        assert running(repo) is None
    note.write_text(json.dumps({"read": {"a": [{"pid": 2**22 + 1, "cmd": "x"}, ME]}, "write": {}}))
    assert running(repo) == ME
    note.write_text(json.dumps({"write": {"a": ME}}))
    assert running(repo) == ME
    os.utime(note, (1e9, 1e9))
    assert running(repo) is None
