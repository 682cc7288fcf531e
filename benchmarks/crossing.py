"""What still crosses roles in pair tasks, by what the card says of groups.

    PYTHONPATH=src python -m benchmarks.crossing DATA/rte DATA/mrpc DATA/qnli

On folders of parquet files, train and validation, with the columns sentence1, sentence2 and label: roles as `prepare`
gives them with the settings of params.yaml, once cut from train alone and once with validation as the official test.
`group: false` is a card that turns groups off. Shared: rows of a role, in %, whose first text stands in train.
"""

import argparse
from pathlib import Path

from lgtm.config import parse
from lgtm.data.duplicates import normalise
from lgtm.data.roles import ROLES, assign_roles
from lgtm.data.sources import read_splits
from lgtm.data.tasks import TaskCard
from lgtm.params import load_params

HELD = ROLES[:-1]  # out of train
FILES = {"cut": {"train": "train.parquet"}, "official": {"train": "train.parquet", "test": "validation.parquet"}}
# What the card says: no groups, nothing, or the column by name.
GROUPS = {"false": False, "not named": None, "sentence1": "sentence1"}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    columns = ["task", "test", "group", "train rows", *(f"shared, {role}" for role in HELD), "groups that cross"]
    columns += [f"near-duplicates, {role}" for role in HELD]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for folder in parser.parse_args().folders:
        for splits, files in FILES.items():
            for name, group in GROUPS.items():
                print(f"| {' | '.join([folder.name, splits, name, *figures(folder, files, group)])} |", flush=True)


def figures(folder: Path, files: dict[str, str], group: str | bool | None) -> list[str]:
    """The figures of one row, as written."""
    card = {
        "description": folder.name,
        "source": "local",
        "files": files,
        "columns": {"text": "sentence1", "text_pair": "sentence2", "label": "label", "group": group},
        "metrics": ["accuracy"],
        "max_length": 128,
        "label_noise": 0.0,
    }
    raw = read_splits(parse(TaskCard, card, "the card"), folder)
    roles, summary = assign_roles(raw, load_params().prepare)
    first = {role: rows["text"].map(normalise) for role, rows in roles.items()}
    shared = [f"{first[role].isin(first['train']).mean():.1%}" for role in HELD]
    crossing = summary["crossing"]
    near = [str(crossing["near_duplicates"][role]) for role in HELD]
    return [str(len(roles["train"])), *shared, str(crossing["groups"]), *near]


if __name__ == "__main__":
    main()
