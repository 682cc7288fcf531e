"""Whether what lies on disk is still what dvc.lock says that was read and made: every byte is hashed anew.

DVC itself believes a file whose time, size and inode are as before, and a file of its cache that is read-only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import networkx as nx
from dvc.dependency.param import ParamsDependency
from dvc.output import Output
from dvc.stage import PipelineStage
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from lgtm.errors import UserError
from lgtm.runner.graph import Graph, dvc_errors
from lgtm.runner.once import one_look

ALGORITHM = "md5"  # DVC's
SHOWN = 8  # digits of a hash
BACK = "put back what was there, or"


@dataclass
class Verified:
    """What was hashed, and a line for everything that is not as dvc.lock has it."""

    cells: int = 0
    files: int = 0
    size: int = 0
    cached: int = 0
    not_cached: int = 0
    problems: list[str] = field(default_factory=list)


def verify(paths: Sequence[str] = ()) -> Verified:
    """Hash what the files or folders stand on, through the graph, and they themselves; all of dvc.lock without paths.

    Code, settings and data are looked at as well as what stages wrote, and the files of DVC's cache where they are
    there. Raises UserError for a path that no stage writes, and while a run writes what is looked at.
    """
    graph = Graph()
    return verify_stages(graph, stages_of(graph, paths))


def verify_stages(graph: Graph, wanted: dict[str, PipelineStage]) -> Verified:
    """As verify, for these stages of a graph, in the order of a run."""
    with dvc_errors(), graph.repo.lock, one_look(graph.repo, wanted.values()):
        return _Look(graph, wanted).found


def stages_of(graph: Graph, paths: Sequence[str]) -> dict[str, PipelineStage]:
    """The stages that write the paths, or something in them, and all that these need, in the order of a run."""
    if not paths:
        return graph.stages
    writers = set()
    for given in paths:
        path = Path(given).absolute()
        own = {
            name
            for name, stage in graph.stages.items()
            for out in stage.outs
            if path.is_relative_to(out.fs_path) or Path(out.fs_path).is_relative_to(path)
        }
        if not own:
            raise UserError(f"{given}: no stage of dvc.yaml writes it; name a result, such as reports/summary.json")
        writers |= own
    needs = nx.DiGraph([(name, needed) for name, all_needed in graph.needs.items() for needed in all_needed])
    needs.add_nodes_from(writers)
    wanted = writers.union(*(nx.descendants(needs, name) for name in writers))
    return {name: stage for name, stage in graph.stages.items() if name in wanted}


class _Look:
    """One look at some stages of a graph."""

    def __init__(self, graph: Graph, stages: dict[str, PipelineStage]):
        self.repo, self.stages = graph.repo, stages
        self.plain = HashFileDB(self.repo.fs, self.repo.root_dir)  # it knows no times
        self.hashed: dict[str, tuple[HashInfo, Tree | None]] = {}
        self.sound: dict[str, bool] = {}
        self.found = Verified(cells=len(stages))
        for name, stage in stages.items():
            self._stage(name, stage)

    def _stage(self, name: str, stage: PipelineStage) -> None:
        if not any(out.hash_info for out in stage.outs):
            self._tell(f"{name}: has never run, by dvc.lock", f"dvc repro {name}")
            return
        if stage.cmd_changed:
            self._tell(f"{name}: dvc.yaml has another command than the one that was run", f"dvc repro {name}")
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency):
                self._params(name, dep)
            else:
                self._dependency(name, dep)
        for out in stage.outs:
            self._output(name, out)

    def _params(self, name: str, dep: ParamsDependency) -> None:
        for path, changes in dep.workspace_status().items():
            keys = changes if isinstance(changes, dict) else {}
            what = ", ".join(f"{key} is {how}" for key, how in keys.items()) or f"is {changes}"
            self._tell(f"{path}: {what} since {name} has run", f"{BACK} dvc repro")

    def _dependency(self, name: str, dep: Output) -> None:
        """Code and data; what another stage writes is told there, but for one that has been made anew since."""
        if not dep.hash_info:
            self._tell(f"{dep}: {name} has run without it, by dvc.lock", f"dvc repro {name}")
        elif not dep.exists:
            self._tell(f"{dep}: missing, and {name} has read it", f"{BACK} dvc repro")
        elif self._now(dep)[0] != dep.hash_info and not self._is_told(dep):
            now, tree = self._now(dep)
            what = "is not as it was" if tree else self._other(dep.hash_info.value, now.value)
            # Touched, since DVC believes the times.
            self._tell(f"{dep}: {what}, and {name} has read it", f"{BACK} find {dep} -exec touch {{}} + && dvc repro")

    def _output(self, name: str, out: Output) -> None:
        recorded = self._recorded(out)
        bad = self._cache(out, recorded) if out.use_cache else True
        if not out.hash_info:
            self._tell(f"{out}: {name} has not written it, by dvc.lock", f"dvc repro {name}")
        elif not out.exists:
            self._told(out, f"{out}: missing, and {name} has written it", name, bad)
        elif self._now(out)[0] != out.hash_info:
            for line in self._differing(out, recorded) or [f"{out}: is not what {name} has written"]:
                self._told(out, line, name, bad)

    # --- what is there now, and what was ---

    def _now(self, out: Output) -> tuple[HashInfo, Tree | None]:
        """The hash of a file or folder as it is now, and of a folder what is in it."""
        if out.fs_path not in self.hashed:
            ignore = out.dvcignore
            _, meta, made = build(self.plain, out.fs_path, out.fs, ALGORITHM, ignore=ignore, dry_run=True)
            self.hashed[out.fs_path] = made.hash_info, made if isinstance(made, Tree) else None
            self.found.files += meta.nfiles or 1
            self.found.size += meta.size or 0
        return self.hashed[out.fs_path]

    def _recorded(self, out: Output) -> Tree | None:
        """What was in a folder, by the cache; None for a file, and where the cache's list is missing or damaged."""
        if not (out.hash_info and out.hash_info.isdir and self._is_sound(out.hash_info.value)):
            return None
        return Tree.load(self.repo.cache.local, out.hash_info)

    def _differing(self, out: Output, recorded: Tree | None) -> list[str]:
        """A line for every file that is not as it was; none where what was is not known."""
        now, tree = self._now(out)
        if tree is None:
            return [f"{out}: {self._other(out.hash_info.value, now.value)}"]
        if recorded is None:
            return []
        was, has = ({"/".join(key): info.value for key, (_, info) in each.iteritems()} for each in (recorded, tree))
        lines = []
        for key in sorted(was.keys() | has.keys()):
            if key not in has:
                lines.append(f"{out}/{key}: missing")
            elif key not in was:
                lines.append(f"{out}/{key}: was not there")
            elif was[key] != has[key]:
                lines.append(f"{out}/{key}: {self._other(was[key], has[key])}")
        return lines

    def _other(self, was: str, now: str) -> str:
        swapped = self._owners.get(now)
        of = f", those of {swapped}" if swapped else ""
        return f"has other bytes than dvc.lock says{of} ({ALGORITHM} {now[:SHOWN]}, not {was[:SHOWN]})"

    @cached_property
    def _owners(self) -> dict[str, str]:
        """Whose bytes a hash is of, among the recorded outputs."""
        found = {}
        for stage in self.stages.values():
            for out in stage.outs:
                for path, value in self._files(out, self._recorded(out)):
                    found.setdefault(value, path)
        return found

    @staticmethod
    def _files(out: Output, recorded: Tree | None) -> Iterator[tuple[str, str]]:
        if recorded is not None:
            yield from ((f"{out}/{'/'.join(key)}", info.value) for key, (_, info) in recorded.iteritems())
        elif out.hash_info and not out.hash_info.isdir:
            yield str(out), out.hash_info.value

    # --- DVC's cache ---

    def _cache(self, out: Output, recorded: Tree | None) -> bool:
        """Look at the cache's files of an output; whether it cannot be had from there."""
        if not out.hash_info:
            return True
        files = [*self._files(out, recorded)]
        if out.hash_info.isdir:
            files.append((f"the list of {out}", out.hash_info.value))
        known = recorded is not None or not out.hash_info.isdir
        return not all([self._is_sound(value, path) for path, value in files]) or not known

    def _is_sound(self, value: str, of: str | None = None) -> bool:
        """Whether the cache has the bytes of this hash; a file of it that has others is told."""
        if value not in self.sound:
            path = Path(self.repo.cache.local.oid_to_path(value))
            if not path.is_file():
                self.found.not_cached += 1
                self.sound[value] = False
            else:
                self.found.cached += 1
                _, actual = hash_file(str(path), self.repo.fs, ALGORITHM)
                self.sound[value] = actual.value == value.partition(".")[0]
                if not self.sound[value]:
                    shown = path.relative_to(self.repo.root_dir) if path.is_relative_to(self.repo.root_dir) else path
                    self.found.problems.append(
                        f"{shown}: damaged in DVC's cache{f', it was {of}' if of else ''}; rm -f {shown}, and run"
                        " lgtm verify again"
                    )
        return self.sound[value]

    # --- telling ---

    def _is_told(self, dep: Output) -> bool:
        """Whether a dependency is, or lies in, an output of these stages that is not as it was written."""
        return any(
            Path(dep.fs_path).is_relative_to(out.fs_path) or Path(out.fs_path).is_relative_to(dep.fs_path)
            for stage in self.stages.values()
            for out in stage.outs
            if not out.exists or self._now(out)[0] != out.hash_info
        )

    def _told(self, out: Output, line: str, name: str, not_cached: bool) -> None:
        """An output that is not as it was written: it comes from the cache again, or is made again."""
        remedy = f"rm -rf {out} && dvc {'repro ' + name if not_cached else 'checkout ' + str(out)}"
        self.found.problems.append(f"{line}; {remedy}")

    def _tell(self, line: str, remedy: str) -> None:
        what = line.partition(", and ")[0]  # others may have read it too
        if all(known.partition(", and ")[0] != what for known in self.found.problems):
            self.found.problems.append(f"{line}; {remedy}")
