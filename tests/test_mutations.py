"""Wrong code is noticed: the tests are tried on every mutation of mutations.yaml."""

import json
import subprocess
import sys

import mutants
import pytest
from mutants import MUTATIONS


@pytest.fixture(scope="module")
def trials():
    command = [sys.executable, mutants.__file__, "--json"]
    done = subprocess.run(command, cwd=mutants.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {trial["what"]: trial for trial in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.what)
def test_a_mutation_is_killed(trials, mutation):
    trial = trials[mutation.what]
    assert trial["status"] == "killed", f"{mutation.file}: {mutation.what}: {trial['status']}\n{trial['output']}"


def test_without_mutation_the_same_tests_pass(trials):
    assert trials[None]["status"] == "passed", trials[None]["output"]


def test_the_page_has_the_list():
    assert mutants.PAGE.read_text() == mutants.page(), "python tests/mutants.py writes it"


def test_a_mutation_that_does_not_fit_any_more_says_so():
    stale = mutants.Mutation("stages/distill.py", "never", "no such code", "", "test_stages.py")
    with pytest.raises(ValueError, match=r"stale: stages/distill.py has 'no such code' 0 times"):
        mutants.mutated(stale)
