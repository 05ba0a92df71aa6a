"""YAML, the one door to it: canonical bytes out, bounded and safe values in.

Knows how values are spelled so that readers of YAML 1.1 and 1.2 agree, and what a hostile document
may not do. Knows nothing of what the values mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from gittrack.errors import BadFile
from gittrack.quoting import utf8

__all__ = ["LIMIT", "dump", "load_untrusted"]

LIMIT = 8 << 20
"""The largest YAML document that is read, in bytes."""

_MOST_NODES = 50_000
_MOST_DEPTH = 64
_MOST_DIGITS = 4300

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

# Plain only if no schema of YAML, old or new, could see anything but this string.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+=-]+)*")
_WORDS = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf", "infinity")
)


def dump(value: Mapping[str, Any]) -> bytes:
    """Canonical YAML: UTF-8, block style, keys sorted, floats exact.

    Equal values give equal bytes. Strings are quoted wherever YAML 1.1 or 1.2 could read something
    else; text that is not UTF-8 is written as Git quotes it.
    """
    text: bytes = yaml.dump(
        value,
        Dumper=_CanonicalDumper,
        default_flow_style=False,
        sort_keys=True,
        allow_unicode=True,
        width=1 << 30,
        encoding="utf-8",
    )
    return text


def load_untrusted(data: bytes, where: str) -> Any:
    """Read one YAML document by the core schema of YAML 1.2, whoever wrote it; keys become text.

    `NO` and `12:30:45` are strings, `1e-3` is a number, dates stay as written. Anchors and merge
    keys are followed as long as the whole stays small. An empty document gives None.

    Raises:
        BadFile: it is no YAML, not UTF-8, has an explicit tag, a repeated key or more than one
            document, or is too large, too deep or too long; `where` is its path.
    """
    if len(data) > LIMIT:
        raise BadFile(f"{where}: too large ({len(data)} bytes, at most {LIMIT})", path=where)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFile(f"{where}: not UTF-8 ({error.reason})", path=where) from error
    try:
        _check(text, where)
        return yaml.load(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        raise BadFile(f"{where}: {_explain(error)}", path=where) from error
    except (ValueError, RecursionError) as error:
        raise BadFile(f"{where}: {error}", path=where) from error


def _check(text: str, where: str) -> None:
    """Walk the events, which costs no more than the text is long, before anything is composed."""
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    count = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise ValueError("more than one document")
        elif isinstance(event, yaml.AliasEvent):
            # An alias stands for all that its anchor held, merged or not: count it so.
            if event.anchor not in sizes:
                raise ValueError("an alias to what is not complete")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            tag = getattr(event, "tag", None)
            if tag not in (None, "!"):
                raise ValueError(f"explicit tag {tag[:60]!r} is not allowed")
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_anchors.append((event.anchor, count - 1))
                if len(open_anchors) > _MOST_DEPTH:
                    raise ValueError(f"nested deeper than {_MOST_DEPTH} levels")
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_anchors.pop()
            if anchor:
                sizes[anchor] = count - before
        if count > _MOST_NODES:
            raise ValueError(f"more than {_MOST_NODES} values")


def _explain(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0] or "no YAML"
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


class _CoreLoader(_Loader):  # type: ignore[misc]
    """PyYAML's safe loader with the core schema of YAML 1.2 (yaml.org/spec/1.2.2, 10.3.2)."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors = dict(_Loader.yaml_constructors)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[str, Any]:
        """Build a mapping with text keys; a repeated key is an error, a merged one gives way."""
        own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        plain = [key for key in own if key != "<<"]
        if len(set(plain)) != len(plain):
            twice = next(key for key in plain if plain.count(key) > 1)
            second = [key for key, _ in node.value if key.value == twice][1]
            raise ValueError(f"line {second.start_mark.line + 1}: key {twice[:80]!r} stands twice")
        self.flatten_mapping(node)
        built = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {key.start_mark.line + 1}: a key that is no scalar")
            built[key.value] = self.construct_object(value, deep=deep)
        return built


def _mapping(loader: Any, node: Any) -> Any:
    built: dict[str, Any] = {}
    yield built
    built.update(loader.construct_mapping(node))


def _integer(loader: Any, node: Any) -> int:
    text = node.value
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"line {node.start_mark.line + 1}: a number of {len(text)} digits")
    if text[:2] in ("0o", "0x"):
        if len(text) > _MOST_DIGITS // 2:
            # Python counts decimal digits when it prints, and a hexadecimal one is 1.2 of them.
            raise ValueError(f"line {node.start_mark.line + 1}: a number of {len(text)} digits")
        return int(text[2:], 8 if text[1] == "o" else 16)
    return int(text)


def _floating(loader: Any, node: Any) -> float:
    text = node.value.lower()
    if text.endswith((".inf", ".nan")):
        return float(text.replace(".", ""))
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"line {node.start_mark.line + 1}: {text[:40]} is beyond a float")
    return value


def _resolve(tag: str, pattern: str, first: str) -> None:
    _CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first)
    )


_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("null", "~|null|Null|NULL|", "~nN")
_CoreLoader.yaml_implicit_resolvers.setdefault("", []).append(
    ("tag:yaml.org,2002:null", re.compile("^$"))
)
_resolve("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)
_resolve("merge", "<<", "<")
_CoreLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _integer)
_CoreLoader.add_constructor("tag:yaml.org,2002:float", _floating)


class _CanonicalDumper(_Dumper):  # type: ignore[misc]
    yaml_representers = dict(_Dumper.yaml_representers)

    def ignore_aliases(self, data: Any) -> bool:
        """Write everything out: a record has no anchors."""
        return True


@lru_cache(4096)
def _style(text: str) -> str | None:
    plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return None if plain else '"'


def _represent_text(dumper: Any, text: str) -> Any:
    text = utf8(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _represent_float(dumper: Any, value: float) -> Any:
    if math.isnan(value):
        text = ".nan"
    elif math.isinf(value):
        text = ".inf" if value > 0 else "-.inf"
    else:
        text = repr(value)
        if "." not in text:
            text = text.replace("e", ".0e", 1)
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_CanonicalDumper.add_representer(str, _represent_text)
_CanonicalDumper.add_representer(float, _represent_float)
_CanonicalDumper.add_representer(
    tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value)
)
