"""How DVC is set up here: its configuration, read as DVC layers it.

Knows DVC's files and the rules for paths in them (dvc/config.py of DVC 3), without importing DVC.
Reads the user's own work tree, user and system files; never a tree that somebody else pushed.
Knows nothing of what lies in a cache, or of how a remote is reached.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gittrack import glimpse, secrets
from gittrack.errors import BadFile
from gittrack.git import Repo
from gittrack.quoting import one_line

__all__ = [
    "LINKS",
    "Setup",
    "cache_of",
    "config_for_run",
    "earlier",
    "is_apart",
    "read",
]

LINKS = ("reflink", "hardlink", "symlink", "copy")
"""The ways in which DVC puts an object of its cache into a work tree."""

_DEFAULT_LINKS = ("reflink", "copy")
_LARGEST = 1 << 20
_COMMA = "a value with a comma in it needs quotes."
# What may stand in a commit that others read: where a remote is, never how to get in.
_PUBLIC = ("url", "endpointurl", "region")
# Beside the cache of a repository without a `.dvc`: what `initialize` has yet to move.
_ASIDE = "dvc.aside"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/@+-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Where DVC keeps things for this repository.

    `directory` is its `.dvc`, None where there is none. `cache` is where objects go, `links` how
    they get out, the first that works. `remotes` maps a name to a URL or an absolute path;
    `remote` is the default one. `formers` are the caches from before there was a `.dvc` in which
    something is left. `options` of a remote are those that say where it is, not how to get in.
    `site` is `core.site_cache_dir`, where DVC keeps its own state.
    """

    directory: Path | None
    cache: Path
    links: tuple[str, ...] = _DEFAULT_LINKS
    remotes: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    remote: str | None = None
    formers: tuple[Path, ...] = ()
    options: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _NOTHING)
    site: str | None = None

    @property
    def former(self) -> Path | None:
        """The first of `formers`."""
        return self.formers[0] if self.formers else None


# -- reading ------------------------------------------------------------------------------------


def read(repo: Repo) -> Setup:
    """Read how DVC is set up for this repository.

    The `.dvc` that counts is that of the work tree's root; else one above it, as DVC looks for it;
    else the only tracked one below it (`dvc init --subdir`). All work trees of a clone share one
    cache: where `cache.dir` names none, a linked work tree uses the one that the main work tree
    uses, because its own would go when the work tree goes. Without a `.dvc` that is `dvc` in the
    repository's state.

    Raises:
        BadFile: a configuration file cannot be understood; the message names the line.
    """
    directory = _directory(repo)
    config = _layered(directory)
    section = config.get("cache", {})
    remotes = config.get("remote", {})
    core = config.get("core", {})
    default, site = core.get("remote"), core.get("site_cache_dir")
    cache = section.get("dir")
    found = Path(cache) if cache else _default_cache(repo, directory, repo.state / "dvc")
    return Setup(
        directory=directory,
        cache=found,
        links=section.get("type", _DEFAULT_LINKS),
        remotes={name: options["url"] for name, options in remotes.items() if "url" in options},
        remote=default.lower() if isinstance(default, str) and default else None,
        formers=tuple(place for place in earlier(repo) if _holds_other(place, found)),
        options={name: _public(options) for name, options in remotes.items()},
        site=site if isinstance(site, str) else None,
    )


def earlier(repo: Repo) -> tuple[Path, ...]:
    """Where objects may lie that were kept before there was a `.dvc`, there or not."""
    return repo.state / "dvc", repo.state / _ASIDE


def cache_of(directory: Path) -> Path:
    """The cache that DVC uses for the project whose `.dvc` this is.

    Raises:
        BadFile: as `read` does.
    """
    named = _layered(directory).get("cache", {}).get("dir")
    return Path(named) if named else directory / "cache"


def _directory(repo: Repo) -> Path | None:
    if repo.root is None:
        return None
    own = repo.root / ".dvc"
    return own if own.is_dir() else _above(repo, repo.root) or _below(repo, repo.root)


def _above(repo: Repo, root: Path) -> Path | None:
    """The nearest `.dvc` above the root, up to the mount point, if it is no stranger's."""
    trusted = {os.geteuid(), os.stat(root).st_uid}
    place = root
    while not os.path.ismount(place) and place.parent != place:
        place = place.parent
        found = place / ".dvc"
        if found.is_dir():
            return found if os.stat(found).st_uid in trusted else None
    return None


def _below(repo: Repo, root: Path) -> Path | None:
    """The only `.dvc/config` of the index below the root; None if there are several."""
    listed = repo.git("ls-files", "-z", "--", ":(glob)*/**/.dvc/config").split(b"\0")
    found = [root / os.fsdecode(path) for path in listed if path]
    return found[0].parent if len(found) == 1 and found[0].parent.is_dir() else None


def _default_cache(repo: Repo, directory: Path | None, former: Path) -> Path:
    if _dangling(former):
        # `initialize` made it lead to a `.dvc/cache` that is no more.
        former.unlink(missing_ok=True)
    if _is_linked(repo):
        # `git worktree remove` would take its ignored files, the cache, along.
        main = repo.common_dir.parent / _inside(repo, directory)
        if repo.common_dir.name != ".git" or not main.is_dir():
            return former
        return cache_of(main)
    return directory / "cache" if directory else former


def _is_linked(repo: Repo) -> bool:
    return repo.git_dir != repo.common_dir


def _inside(repo: Repo, directory: Path | None) -> Path:
    """Where a `.dvc` lies below the root of its work tree."""
    if directory is None or repo.root is None or not directory.is_relative_to(repo.root):
        return Path(".dvc")
    return directory.relative_to(repo.root)


def _holds_other(former: Path, cache: Path) -> bool:
    """Whether objects lie in the former cache that are not in the cache of now."""
    if former == cache or not (former / "files").is_dir():
        return False
    return os.path.realpath(former) != os.path.realpath(cache)


def _layered(directory: Path | None) -> dict[str, Any]:
    """The configuration, each level laid over the one before; paths absolute."""
    files = [Path(place) / "config" for place in glimpse.config_dirs()]
    if directory is not None:
        files += [directory / "config", directory / "config.local"]
    merged: dict[str, Any] = {}
    for file in files:
        _merge(merged, _load(file))
    return merged


def _merge(into: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(into.get(key), dict) and isinstance(value, dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _load(file: Path) -> dict[str, Any]:
    """One file's sections, checked; empty where there is no file."""
    shown = one_line(os.fspath(file))
    try:
        with open(file, "rb") as opened:
            data = opened.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadFile(f"cannot read {shown}: {error.strerror}", path=shown) from error
    if len(data) > _LARGEST:
        raise BadFile(f"{shown} is larger than 1 MB", path=shown)
    if not data.strip():
        return {}
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFile(f"{shown}, line {line}: not UTF-8", path=shown) from error
    return _checked(_parse(text, shown), os.path.dirname(os.path.abspath(file)), text, shown)


def _parse(text: str, shown: str) -> dict[str, Any]:
    from configobj import ConfigObj, ConfigObjError

    try:
        parsed = ConfigObj(text.splitlines()).dict()
    except ConfigObjError as error:
        first = (getattr(error, "errors", None) or [error])[0]
        line = getattr(first, "line_number", None)
        where = f", line {line}" if line else ""
        said = re.sub(r' at line "?\d+"?\.?$', "", one_line(str(first)))
        raise BadFile(
            f"DVC's configuration {shown}{where}: {said.rstrip('.')}",
            path=shown,
            hint="`dvc config --list` shows what DVC makes of it.",
        ) from error
    sections: dict[str, Any] = {"remote": {}}
    for name, value in _lowered(parsed).items():
        named = re.match(r'^\s*remote\s*"(.*)"\s*$', name)
        if named and isinstance(value, dict):
            sections["remote"][named[1]] = value
        elif isinstance(value, dict) and name != "remote":
            sections[name] = value
    return sections


def _lowered(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key.lower(): _lowered(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }


def _checked(sections: dict[str, Any], place: str, text: str, shown: str) -> dict[str, Any]:
    """The sections with what we use of them checked, and paths resolved from `place`."""

    def refuse(header: str, key: str, value: object, what: str, hint: str) -> BadFile:
        words = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        line = _line(text, header, key)
        said = f"DVC's configuration {shown}, line {line}: {key} is {one_line(words)[:60]!r}"
        return BadFile(f"{said}, which is {what}", path=shown, hint=hint)

    cache = sections.get("cache", {})
    if "dir" in cache:
        said = cache["dir"]
        cache["dir"] = _resolve(said, place) if _is_text(said) else ""
        if not os.path.isabs(cache["dir"]):
            raise refuse("cache", "dir", said, "no directory of this machine", _COMMA)
    if "type" in cache:
        said = cache["type"]
        words = said.split(",") if isinstance(said, str) else said
        cache["type"] = tuple(dict.fromkeys(str(word).strip() for word in words))
        if not set(cache["type"]) <= set(LINKS):
            what = f"not of {', '.join(LINKS)}"
            raise refuse("cache", "type", said, what, "`dvc config cache.type reflink,copy`")
    for name, options in sections["remote"].items():
        if "url" in options:
            said = options["url"]
            if not _is_text(said):
                raise refuse(f'remote "{name}"', "url", said, "no address", _COMMA)
            options["url"] = _resolve(said, place)
    return sections


def _is_text(value: object) -> bool:
    # A comma outside of quotes makes a list (configobj, list_values).
    return isinstance(value, str) and value != "" and "\0" not in value


def _line(text: str, header: str, key: str) -> int:
    """The number of the line that sets a key, 1 if it hides."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            section = line.strip().strip("[]'").lower()
        elif section == header and re.match(rf"\s*{key}\s*=", line.lower()):
            return number
    return 1


def _resolve(path: str, place: str) -> str:
    """A path as dvc/config.py resolves it: a URL as it is, else from the file that names it."""
    if re.match(r"\w+://", path) or os.path.isabs(path):
        return path
    expanded = os.path.expanduser(path)
    if os.path.isabs(expanded):
        return expanded
    return os.path.abspath(os.path.join(place, path))


def _public(options: Mapping[str, Any]) -> dict[str, str]:
    return {key: options[key] for key in _PUBLIC if isinstance(options.get(key), str)}


# -- what a run's tree says ---------------------------------------------------------------------


def config_for_run(repo: Repo, setup: Setup) -> bytes | None:
    """The `.dvc/config` for the tree of a run whose snapshot has none.

    With it, stock DVC takes the tree for a project. It names the default data remote where that is
    a plain address that means the same on every machine, so that `dvc get URL PATH --rev RUN` finds
    the bytes; never a path of this machine (DVC resolves a relative one from the root of the disk),
    a password or an option that lets somebody in.
    """
    name = setup.remote
    if name is None or not _NAME.fullmatch(name):
        return b""
    options = setup.options.get(name, {})
    if not _is_plain(options):
        return b""
    lines = ["[core]", f"    remote = {name}", f"['remote \"{name}\"']"]
    lines += [f"    {key} = {options[key]}" for key in _PUBLIC if key in options]
    return ("\n".join(lines) + "\n").encode()


def _is_plain(options: Mapping[str, str]) -> bool:
    url = options.get("url", "")
    if not re.match(r"\w+://", url) or url.startswith("file:") or not options:
        return False
    return all(
        _PLAIN.fullmatch(value)
        and not re.search(r"://[^/]*:[^/]*@", value)
        and not secrets.find(value.encode())
        for value in options.values()
    )


def is_apart(repo: Repo, found: Setup) -> bool:
    """Whether DVC, in this linked work tree, uses another cache than all work trees share.

    Raises:
        BadFile: as `read` does.
    """
    place = found.directory
    if not _is_linked(repo) or place is None or not place.is_relative_to(repo.root or place):
        return False
    return "dir" not in _layered(place).get("cache", {}) and found.cache != place / "cache"


def _dangling(path: Path) -> bool:
    return path.is_symlink() and not path.exists()
