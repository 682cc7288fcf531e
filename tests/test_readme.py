"""The README's picture of the graph is DVC's graph."""

import re
from pathlib import Path

import networkx as nx
from dvc.repo import Repo

ROOT = Path(__file__).parents[1]
EDGE = re.compile(r"^\s*(\w+) --> (\w+)$", re.MULTILINE)


def test_the_picture_has_the_stages_and_what_each_waits_for():
    drawn = set(EDGE.findall((ROOT / "README.md").read_text()))
    stages = nx.DiGraph()
    for later, earlier in Repo(str(ROOT)).index.graph.edges:
        first, second = (
            re.split("[:@]", stage.addressing)[-1 if ":" in stage.addressing else 0] for stage in (earlier, later)
        )
        stages.add_edge(first, second)
    assert drawn == set(nx.transitive_reduction(stages).edges)


def test_it_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
