"""A YAML file in, a validated model out, with the place of every entry; what is wrong is told at its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from corecast.lang.problems import Problem, RulesError, nearest
from corecast.lang.source import Source, Span

if TYPE_CHECKING:
    import yaml

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document(Generic[Model]):
    """What a file says, and where it says it: `places["requires", "tvm"]`."""

    value: Model
    source: Source
    places: dict[Path, Span]

    def place(self, *path: str | int) -> Span:
        """Where an entry stands, or the nearest entry around it."""
        return _nearest_place(self.places, path)


def read_document(source: Source, kind: type[Model]) -> Document[Model]:
    """Read a YAML file. Every scalar is a text to begin with, so that `version: 1.10` is no number.

    Raises:
        RulesError: with every problem of the file.
    """
    import yaml  # which who reads no file never needs

    places: dict[Path, Span] = {(): Span(source, 0, len(source.line(1)))}
    reader = _Reader(source, places)
    try:
        root = yaml.compose(source.text, Loader=yaml.BaseLoader)
        data = {} if root is None else reader.data(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        span = Span(source, mark.index, mark.index + 1) if mark else places[()]
        raise RulesError(Problem("not-yaml", f"this is no YAML: {error.problem}", span)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RulesError(Problem("not-yaml", "this is no YAML that can be read", places[()])) from error
    if reader.problems:
        raise RulesError(reader.problems)
    try:
        return Document(kind.model_validate(data), source, places)
    except ValidationError as error:
        raise RulesError([_problem(item, places, kind) for item in error.errors(include_url=False)]) from None


class _Reader:
    """Turns the nodes of a YAML file into data, and notes where each entry stands."""

    def __init__(self, source: Source, places: dict[Path, Span]):
        self.source = source
        self.places = places
        self.problems: list[Problem] = []
        self.seen: set[int] = set()

    def data(self, node: yaml.Node, path: Path = ()) -> Any:
        from yaml import MappingNode, SequenceNode

        if id(node) in self.seen:  # an alias can make a small file expand without end, and none is needed
            self.problems.append(Problem("not-yaml", "an alias cannot stand here", self.places[path], "write it out"))
            return None
        self.seen.add(id(node))
        if isinstance(node, MappingNode):
            return dict(self._entry(key, value, path) for key, value in node.value)
        if isinstance(node, SequenceNode):
            return [self._item(item, (*path, number)) for number, item in enumerate(node.value)]
        return node.value

    def _entry(self, key: yaml.Node, value: yaml.Node, path: Path) -> tuple[str, Any]:
        inner = (*path, str(key.value))
        if inner in self.places:
            span = Span(self.source, key.start_mark.index, key.end_mark.index)
            self.problems.append(Problem("duplicate-key", f"a second `{key.value}`", span, "keep one of the two"))
        self.places[inner] = Span(self.source, key.start_mark.index, value.end_mark.index)
        return str(key.value), self.data(value, inner)

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self.places[path] = Span(self.source, node.start_mark.index, node.end_mark.index)
        return self.data(node, path)


def _problem(item: Any, places: dict[Path, Span], kind: type[BaseModel]) -> Problem:
    path: Path = tuple(item["loc"])
    place = _nearest_place(places, path)
    name = str(path[-1]) if path else ""
    if item["type"] == "extra_forbidden":
        known = set(_names(kind.model_json_schema()))
        help = nearest(name, known) or f"known entries: {', '.join(sorted(known))}"
        return Problem("unknown-key", f"there is no entry `{name}` here", place, help)
    if item["type"] == "missing":
        return Problem("missing-key", f"the entry `{name}` is missing", place)
    message = item["msg"].removeprefix("Value error, ")
    return Problem("bad-value", f"`{name}`: {message}" if name else message, place)


def _nearest_place(places: dict[Path, Span], path: Path) -> Span:
    while path not in places:
        path = path[:-1]
    return places[path]


def _names(schema: dict[str, Any]) -> Iterator[str]:
    for part in (schema, *schema.get("$defs", {}).values()):
        yield from part.get("properties", ())
