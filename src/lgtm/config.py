"""Reading and validating the YAML files a user writes: params.yaml, task cards and pair cards.

The schemas have no defaults for values that change a result: what is not in the file is an error. That is what lets
dvc.yaml leave this module and the schemas out of the stages' dependencies.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lgtm.errors import UserError, one_line
from lgtm.inputs import watch


class Strict(BaseModel):
    """Base of all schemas: unknown keys are errors, values finite and not coerced (except an integer for a float)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True, allow_inf_nan=False)


Schema = TypeVar("Schema", bound=BaseModel)


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML mapping with DVC's own dialect (YAML 1.2: `1e-05` is a float, `no` is a string).

    Raises UserError when the file is missing, is not YAML, or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    watch(path)
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start})") from error


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """The YAML mapping in the text of a file. Raises UserError as read_yaml does."""
    try:
        data = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {one_line(error)}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected a mapping of keys to values, found {type(data).__name__}")
    return data


def cards(params: dict[str, Any]) -> list[str]:
    """The paths of the cards that the content of a params.yaml names: the pair's, the task's."""
    return [f"pairs/{params.get('pair')}.yaml", f"tasks/{params.get('task')}/task.yaml"]


def settings_of(params: dict, pair: dict, task: dict) -> str:
    """A short digest of all that a user sets: the contents of params.yaml and of the two cards that it names."""
    content = json.dumps([params, pair, task], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def parse(schema: type[Schema], data: Any, path: Path | str, prefix: str = "") -> Schema:
    """Validate `data` (the content of `path`, or its section `prefix`) against `schema`.

    Raises UserError with one line: the file, the field, what was found and what would be right.
    """
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        problems = [_describe(problem, prefix) for problem in error.errors()]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{path}: {problems[0]}{more}", [f"{path}: {each}" for each in problems]) from error


def _describe(problem: dict[str, Any], prefix: str) -> str:
    field = ".".join(str(part) for part in (*filter(None, [prefix]), *problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    match problem["type"]:
        case "missing":
            return f"{field}: missing, and it has no default"
        case "extra_forbidden":
            return f"{field}: unknown key; check the spelling"
        case _:
            where = f"{field}: " if field else ""
            found = "" if isinstance(problem["input"], dict) else f" (found {problem['input']!r})"
            return f"{where}{message[:1].lower()}{message[1:]}{found}"


def flat(section: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of nested sections by key, as in `dvc exp run -S`."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
