"""How many cells at a time: by cores, and by a GPU's memory as nvidia-smi says it."""

import os

import pytest

from lgtm.runner import jobs


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of eight cores; what nvidia-smi says there is set by calling it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    def says(text: str) -> None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{text}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return says


@pytest.mark.parametrize(("free", "places"), [("80000", 8), ("10001", 4), ("100", 1), ("no devices were found", 8)])
def test_places_by_the_memory_of_a_gpu(machine, free, places):
    machine(free)
    assert jobs.default_jobs()() == places


def test_without_a_gpu_all_cores(machine):
    assert jobs.default_jobs()() == 8


def test_larger_networks_take_more(machine, tmp_path):
    machine("20000")
    for role in ("teacher", "student"):
        folder = tmp_path / "work/init" / role
        folder.mkdir(parents=True)
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(250 * 2**20)
    assert jobs.default_jobs()() == 20000 // (2500 + 5 * 500)


def test_a_gpu_that_is_hidden_is_none_and_the_first_visible_one_is_asked(machine, tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text('#!/bin/sh\n[ "$1" = "--id=3" ] && echo 10001\n')
    (tmp_path / "nvidia-smi").chmod(0o755)
    for visible, places in {"3,1": 4, "1": 8, "-1": 8, "": 8}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert jobs.default_jobs()() == places


def test_a_system_that_does_not_say_which_cores(machine, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert jobs.default_jobs()() == 6
