"""DVC's listing of a directory: its bytes, and what is never followed."""

from __future__ import annotations

import json
from hashlib import md5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import manifest
from gittrack.errors import BadFile, BadPath
from gittrack.manifest import Member

ONE, TWO = "b026324c6904b2a9cb4b88d6d61c81d1", "26ab0db90d72e28ad0ba1e22ee510510"

HOSTILE = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../x",
    "../../x",
    "a/../../x",
    "a/..",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    "..\\x",
    "a\\..\\..\\x",
    "\\x",
    "\\\\server\\share",
    "C:\\x",
    "c:/x",
    ".git",
    ".git/config",
    "../.git/config",
    "../.git/hooks/post-checkout",
    "a/.git/hooks/x",
    ".GIT/config",
    ".Git",
    "a\\.git\\config",
    "git~1/config",
    "GIT~2",
    ".git./config",
    ".git /config",
    ".git::$INDEX_ALLOCATION/config",
    ".g\u200cit/config",
    "\ufeff.git/config",
    ".dvc/config",
    ".dvc/config.local",
    "a/.DVC/config",
    "DVC~1/config",
    ".gittrack/run.yaml",
    "a\0b",
    "\ud800",
    "\udcc3\udca9",
    "x" * 4097,
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_could_leave_the_directory_is_refused(path: str) -> None:
    """Whoever can push a listing would otherwise write hooks into our repository."""
    with pytest.raises(BadPath):
        manifest.check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b/c.txt",
        ".gitignore",
        ".dvcignore",
        ".dvcs/x",
        "model.dvc",
        ".github/x",
        "git",
        "a.git/x",
        "...",
        "..a",
        "a..",
        "git~x",
        "é/日本.txt",
        'a"b',
        "a\\b",
        "new\nline",
        " a ",
        "a:b",
        "\udcff\udcfe.txt",
        "x" * 255,
    ],
)
def test_an_odd_name_that_stays_inside_is_let_through(path: str) -> None:
    """Data sets have odd names, and DVC keeps them."""
    assert manifest.check_path(path) == path


def _listing(*entries: object) -> bytes:
    return json.dumps(entries).encode()


@pytest.mark.parametrize("path", HOSTILE)
def test_a_listing_with_a_hostile_path_is_refused_whole(path: str) -> None:
    """One bad entry among good ones must not be skipped: the listing is a lie."""
    with pytest.raises(BadFile):
        manifest.decode(_listing({"md5": ONE, "relpath": "good"}, {"md5": TWO, "relpath": path}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"null",
        b'"text"',
        b"[1]",
        b"[[]]",
        b"[" * 100_000,
        b'[{"relpath": "a"}]',
        b'[{"md5": null, "relpath": "a"}]',
        b'[{"md5": "' + ONE.encode() + b'", "relpath": ["a"]}]',
        _listing({"md5": "x" * 32, "relpath": "a"}),
        _listing({"md5": ONE[:-1], "relpath": "a"}),
        _listing({"md5": ONE.upper(), "relpath": "a"}),
        _listing({"md5": ONE + "\n", "relpath": "a"}),
        _listing({"md5": ONE + ".dir", "relpath": "a"}),
        _listing({"md5": "../../../../etc/passwd", "relpath": "a"}),
        _listing({"md5": ONE, "relpath": "a"}, {"md5": TWO, "relpath": "a"}),
        _listing({"md5": ONE, "relpath": "a"}, {"md5": ONE, "relpath": "a"}),
        _listing({"md5": ONE, "relpath": "a/b/c"}, {"md5": ONE, "relpath": "a"}),
    ],
    ids=range(20),
)
def test_what_is_no_listing_is_refused(data: bytes) -> None:
    """A damaged or hostile object must end in one line, never in a traceback."""
    with pytest.raises(BadFile):
        manifest.decode(data)


def test_more_entries_than_any_data_set_has_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A listing of a few megabytes can hold millions of entries, which cost gigabytes."""
    data = _listing(*({"md5": ONE, "relpath": str(number)} for number in range(5)))
    monkeypatch.setattr(manifest, "MOST", 5)
    assert len(manifest.decode(data)) == 5
    monkeypatch.setattr(manifest, "MOST", 4)
    with pytest.raises(BadFile, match="more than 4 files"):
        manifest.decode(data)
    monkeypatch.setattr(manifest, "MOST", 5)
    monkeypatch.setattr(manifest, "LARGEST", len(data) - 1)
    with pytest.raises(BadFile, match="bytes"):
        manifest.decode(data)


def test_fields_that_later_versions_add_are_passed_over() -> None:
    """DVC writes `size` and `isexec` into listings of some remotes."""
    data = _listing({"md5": ONE, "relpath": "a", "size": 2, "isexec": True})
    assert manifest.decode(data) == (Member("a", ONE),)


def test_an_empty_directory_has_the_hash_that_dvc_gives_it() -> None:
    """It is in many repositories, and looks like a mistake where it is another one."""
    assert manifest.encode([]) == b"[]"
    assert manifest.digest([]) == "d751713988987e9331980363e24189ce.dir"


@pytest.mark.parametrize("bad", ["", "x", ONE.upper(), ONE + ".DIR", ONE + ".dir.dir", "../" + ONE])
def test_what_is_no_hash_never_becomes_a_path(bad: str) -> None:
    """The hash of a pointer names a file below the cache; `..` would leave it."""
    with pytest.raises(BadFile):
        manifest.check_md5(bad)


def _lets_through(path: str) -> bool:
    try:
        manifest.check_path(path)
    except BadPath:
        return False
    return True


_names = st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=20)
_hashes = st.binary(max_size=4).map(lambda data: md5(data).hexdigest())


@settings(deadline=None)
@given(st.dictionaries(_names.filter(_lets_through), _hashes, max_size=20))
def test_what_is_encoded_is_decoded_to_the_same(files: dict[str, str]) -> None:
    """The round trip, for any names; and the bytes are those that DVC's own code makes."""
    members = tuple(sorted(Member(path, md5) for path, md5 in files.items()))
    data = manifest.encode(reversed(members))
    assert manifest.decode(data) == members
    assert data == _as_dvc_does(members)
    assert manifest.digest(members) == md5(data).hexdigest() + ".dir"


def _as_dvc_does(members: tuple[Member, ...]) -> bytes:
    """The lines of `Tree.as_list` and `Tree.as_bytes` in dvc_data/hashfile/tree.py."""
    entries = [{"md5": md5, "relpath": path} for path, md5 in members]
    return json.dumps(sorted(entries, key=lambda one: one["relpath"]), sort_keys=True).encode()


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """Listings come from others."""
    try:
        manifest.decode(data)
    except BadFile:
        pass
