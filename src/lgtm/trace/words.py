"""A trace as lines of at most WIDTH columns."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lgtm.errors import visible
from lgtm.trace.lineage import Item, Lineage, Step
from lgtm.trace.sample import Said, Sample
from lgtm.trace.target import Target

WIDTH = 100
DIGITS = 8  # of a hash
FIRST = 11  # columns that the words before a list take
LONGEST = 600  # letters of a text


def of_target(target: Target) -> Iterator[str]:
    """What is asked about, and the value of a figure."""
    yield from _wrapped(f"{target.path}: {target.key}" if target.key else target.path, 0)
    if target.key:
        yield from _wrapped(_value(target.value), 2)


def of_lineage(found: Lineage, full: bool) -> Iterator[str]:
    """The stages behind a result; full: whole hashes, and every setting."""
    cells = sum(len(step.cells) for step in found.steps)
    yield from ("", f"Behind it, by dvc.lock: {_count(cells, 'cell')} of {_count(len(found.steps), 'stage')}")
    told: set[Item] = set()  # what an earlier stage wrote need not stand there again
    for number, step in enumerate(found.steps, start=1):
        yield from _of_step(number, step, full, told)
        told.update(step.outs)
    if found.environments:
        yield from ("", "Networks were made with")
    for environment, cells in found.environments.items():
        yield from _listed("", environment.split(", "))
        yield from _listed("in", cells)


def of_commit(found: Lineage, path: str, command: str) -> Iterator[str]:
    """The commit, and how to have the result again."""
    written = (Path(item.path) for step in found.steps for item in step.outs)
    checkout = f"dvc checkout {path}" if any(Path(path).is_relative_to(out) for out in written) else "dvc checkout"
    yield from ("", "Git")
    yield from _wrapped(found.commit or "no commit has a dvc.lock", 2)
    if found.head != found.commit:
        yield from _wrapped(f"now at {found.head}", 2)
    if found.uncommitted:
        yield from _listed("but not", found.uncommitted)
    yield from ("", "Again")
    if found.commit and not found.uncommitted:
        yield f"  git checkout {found.commit.split()[0]}"
    else:
        yield "  git add -A && git commit      # first: what is above is in no commit"
    yield f"  {checkout}      # dvc pull, where a remote has it"
    yield f"  {command}      # where neither has it"


def of_verified(found: Lineage) -> Iterator[str]:
    """Whether the bytes still are these."""
    seen = found.verified
    yield from ("", "Now")
    looked = f"{_count(seen.files, 'file')} read and made, {seen.size / 1e6:,.1f} MB"
    yield from _wrapped(
        f"{looked}: " + (f"{len(seen.problems)} not as dvc.lock says" if seen.problems else "all as dvc.lock says"), 2
    )


def of_sample(sample: Sample) -> Iterator[str]:
    """What is known of a row."""
    yield from _wrapped(f"{sample.id}: {sample.origin.place}", 0)
    for name, text in sample.texts.items():
        yield from _pair(name, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
    for name, now in sample.origin.now.items():
        if name in sample.texts and now != sample.texts[name]:
            yield from _pair("changed", f"its file now has another {name}: {now[:LONGEST]}")
    yield from _pair("role", sample.role)
    if sample.label is not None:
        wrong = "; a planted or known flip" if sample.truth not in (None, sample.label) else ""
        yield from _pair("label", sample.label + wrong)
    if sample.truth is None:
        yield from _pair("truth", "not known")
    elif sample.truth == sample.label:  # of a file's rows the label is taken for it
        yield from _pair("truth", "no other than the label is known")
    else:
        yield from _pair("truth", sample.truth)
    if sample.influence:
        yield from ("", "Influence: above zero, a step on it lowers the held-out loss (docs/influence.md)")
        yield f"  {'seed':>6}  {'under the teacher':>18}  {'under the label':>18}  rank in {sample.role}"
        for seed, (teacher, label, rank, of) in sample.influence.items():
            shown = f"{label:+18.4g}" if sample.label is not None else f"{'–':>18}"
            yield f"  {seed:>6}  {teacher:+18.4g}  {shown}  {rank:,} of {of:,}"
    for title, said in (("Teachers say", sample.teachers), ("Students say", sample.students)):
        if said:
            yield from ("", title)
            yield from _said(said)


def _said(said: Iterable[Said]) -> Iterator[str]:
    by_who: dict[str, list[Said]] = {}
    for one in said:
        by_who.setdefault(one.who, []).append(one)
    wide = max(map(len, by_who)) + 2
    for who, ones in by_who.items():
        if all(one.label is None and one.why == ones[0].why for one in ones):
            line = ones[0].why
        else:
            line = ", ".join(
                f"{one.seed}: {one.label or one.why}{f' {one.probability:.2f}' if one.label else ''}" for one in ones
            )
        yield from _wrapped(f"{who:<{wide}}{line}", 2, 2 + wide)


def _of_step(number: int, step: Step, full: bool, told: set[Item]) -> Iterator[str]:
    yield from _wrapped(f"{number} {step.stage}{_cells(step.cells)}", 0, 4)
    if full and step.params:
        yield from _listed("settings", [f"{key}={_value(value)}" for key, value in step.params.items()])
    elif step.params:
        yield from _listed("settings", [f"{_count(len(step.params), 'value')}, md5 {step.params_hash[:DIGITS]}"])
    own = step.own if full else [item for item in step.own if item not in told]
    for name, items in (("code", step.code), ("data", step.data), ("each", own), ("wrote", step.outs)):
        if items:
            yield from _listed(name, [_item(item, full) for item in items])


def _cells(cells: list[str]) -> str:
    """The names of a stage's cells; where they are all seeds with all arms, these."""
    names = [name for cell in cells if (name := cell.partition("@")[2])]
    seeds, arms = ({name.partition("-")[place]: None for name in names} for place in (0, 2))
    if len(names) > 2 and names == [f"{seed}-{arm}" for seed in seeds for arm in arms]:
        return f": {', '.join(seeds)}, each with {', '.join(arms)}"
    return f": {', '.join(names)}" if names else ""


def _item(item: Item, full: bool) -> str:
    return f"{item.path} {(item.hash if full else item.hash.partition('.')[0][:DIGITS]) or 'not run'}"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _pair(name: str, text: str) -> Iterator[str]:
    return _wrapped(f"{name:<{FIRST - 2}}{' '.join(text.split())}", 2, FIRST)


def _listed(name: str, items: list[str]) -> Iterator[str]:
    """Items with commas, none of them torn apart where a line has room for it."""
    whole = [visible(item).replace(" ", "\x00") for item in items]
    for line in _wrapped(f"{name:<{FIRST - 2}}{', '.join(whole)}", 4, FIRST + 2):
        yield line.replace("\x00", " ")


def _wrapped(text: str, indent: int, hanging: int | None = None) -> Iterator[str]:
    hanging = indent if hanging is None else hanging
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * hanging, break_on_hyphens=False
    )
