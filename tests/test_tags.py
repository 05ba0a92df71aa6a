"""All tags of a repository in whatever state: one that is broken costs none of the others."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Git, World
from gittrack import registry, tags, whereabouts
from gittrack.tags import Tag

TAGGER = "tagger Ada Lovelace <ada@example.org> 1767268800 +0545"
SIGNED = "-----BEGIN {0} SIGNATURE-----\n\nU1NIU0lHAAAA\n-----END {0} SIGNATURE-----\n"


def asked(place: Path | str, *arguments: str | bytes, input: bytes = b"") -> str:
    done = subprocess.run(["git", *arguments], cwd=place, input=input, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def put(place: Path, name: str | bytes, body: bytes) -> str:
    """A tag of this name whose object has this content, right or not."""
    id = asked(place, "hash-object", "-t", "tag", "-w", "--literally", "--stdin", input=body)
    # Git itself points no ref at what is no tag inside.
    where = os.fsencode(place / ("refs/tags" if (place / "HEAD").exists() else ".git/refs/tags"))
    with open(os.path.join(where, os.fsencode(name)), "w") as file:
        file.write(id + "\n")
    return id


def body(place: Path, own_name: str = "churn@v1.0.0", text: bytes = b"Register\n") -> bytes:
    head = f"object {asked(place, 'rev-parse', 'HEAD')}\ntype commit\ntag {own_name}\n{TAGGER}\n\n"
    return head.encode() + text


def read(place: Path) -> list[Tag]:
    return tags.read(whereabouts.find(place))


def broken_too(place: Path) -> list[Tag]:
    """The same tags as `read`, asked for one by one because the object of another is missing."""
    name = place / ("refs" if (place / "HEAD").exists() else ".git/refs") / "tags/zz-missing"
    name.write_text("1" * 40 + "\n")
    found = read(place)
    name.unlink()
    assert found[-1] == Tag("zz-missing", "1" * 40, False, "", "", "broken", "", "", None, "")
    return found[:-1]


def test_a_tag_says_who_made_it_when_and_in_which_words(repo_dir: Path, git: Git) -> None:
    """This is all that the registry knows."""
    git(repo_dir, "tag", "-a", "-m", "Register churn\n\nVersion: 1.0.0", "churn@v1.0.0")
    (found,) = read(repo_dir)
    moment = int(git(repo_dir, "for-each-ref", "--format=%(taggerdate:unix)", "refs/tags"))
    assert found == Tag(
        "churn@v1.0.0", git(repo_dir, "rev-parse", "churn@v1.0.0").strip(), True, "churn@v1.0.0",
        git(repo_dir, "rev-parse", "HEAD").strip(), "commit", "Ada Lovelace", "ada@example.org",
        moment, "Register churn\n\nVersion: 1.0.0\n",
    )  # fmt: skip
    assert broken_too(repo_dir) == [found]


def test_what_is_no_tag_of_a_commit_is_told_apart(repo_dir: Path, git: Git) -> None:
    """None of these can be a version; a lightweight tag's text is the commit's own."""
    put(repo_dir, "a", body(repo_dir, "a"))
    git(repo_dir, "tag", "light")
    git(repo_dir, "update-ref", "refs/tags/tree", "HEAD^{tree}")
    git(repo_dir, "tag", "-a", "-m", "x", "of-tag", "a")
    git(repo_dir, "tag", "-a", "-m", "x", "on-tree", "HEAD^{tree}")
    git(repo_dir, "tag", "-a", "-m", "x", "on-blob", "HEAD:train.py")
    put(repo_dir, "replayed", body(repo_dir, "a"))
    git(repo_dir, "symbolic-ref", "refs/tags/symbolic", "refs/tags/a")
    expected = {
        "a": (True, "a", "commit"),
        "light": (False, "", ""),
        "of-tag": (True, "of-tag", "tag"),
        "on-blob": (True, "on-blob", "blob"),
        "on-tree": (True, "on-tree", "tree"),
        "replayed": (True, "a", "commit"),
        "symbolic": (True, "a", "commit"),
        "tree": (False, "", ""),
    }
    for found in (read(repo_dir), broken_too(repo_dir)):
        assert {t.name: (t.is_annotated, t.own_name, t.kind) for t in found} == expected
        assert all(tag.message == tag.by == "" for tag in found if not tag.is_annotated)


BODIES = {
    "plain": b"object %s\ntype commit\ntag x\n%s\n\nWords\n",
    "no message": b"object %s\ntype commit\ntag x\n%s\n\n",
    "no end": b"object %s\ntype commit\ntag x\n%s\n",
    "leading blank lines": b"object %s\ntype commit\ntag x\n%s\n\n\n\nWords\n\nKey: v\n",
    "NUL": b"object %s\ntype commit\ntag x\n%s\n\nWo\0rds\n\nVersion: 1.0.0\n",
    "escapes": b"object %s\ntype commit\ntag x\n%s\n\n\x1b[2J\x1b]0;t\x07\n",
    "CRLF": b"object %s\ntype commit\ntag x\n%s\n\nWords\r\n\r\nVersion: 1.0.0\r\n",
    "not UTF-8": b"object %s\ntype commit\ntag x\n%s\n\ncaf\xe9 \xff\n",
    "name not UTF-8": b"object %s\ntype commit\ntag caf\xe9\n%s\n\nx\n",
    "PGP": b"object %s\ntype commit\ntag x\n%s\n\nx\n" + SIGNED.format("PGP").encode(),
    "SSH": b"object %s\ntype commit\ntag x\n%s\n\nx\n" + SIGNED.format("SSH").encode(),
    "encoding": b"object %s\ntype commit\ntag x\n%s\nencoding latin-9\n\ncaf\xe9\n",
    "no tagger": b"object %s\ntype commit\ntag x\n\nx\n",
}
TAGGERS = [
    b"tagger Ada <ada@example.org> 99999999999999999999 +0000",
    b"tagger Ada <ada@example.org> 999999999999 +0000",
    b"tagger Ada <ada@example.org> -5 +0000",
    b"tagger Ada <ada@example.org> 1e9 +0000",
    b"tagger Ada <ada@example.org>",
    b"tagger <> 1 +0000",
    b"tagger Ada\x1b[2J <a\x07@x> 0 -9999",
    b"tagger \xe9\xff <\xe9@x> 7 +0000",
]


@pytest.mark.parametrize("pattern", BODIES.values(), ids=BODIES)
def test_what_stands_in_a_tag_is_read_whatever_it_is(repo_dir: Path, pattern: bytes) -> None:
    """Both ways to ask for it must say the same, or a broken neighbour would change production."""
    head = asked(repo_dir, "rev-parse", "HEAD").encode()
    put(repo_dir, "x", pattern % ((head, TAGGER.encode())[: pattern.count(b"%s")]))
    put(repo_dir, "churn@v1.0.0", body(repo_dir))
    found = read(repo_dir)
    assert found == broken_too(repo_dir)
    assert [tag.name for tag in found] == ["churn@v1.0.0", "x"]
    assert found[1].kind == "commit" and found[1].target == head.decode()
    registry.fold(found)


def test_a_date_that_makes_no_sense_is_none(repo_dir: Path) -> None:
    """Nothing is ordered by it, but whoever shows it must not fail."""
    head = asked(repo_dir, "rev-parse", "HEAD").encode()
    for number, tagger in enumerate(TAGGERS):
        put(repo_dir, f"t{number}", BODIES["plain"] % (head, tagger))
    found = read(repo_dir)
    # Git reads numbers as far as they are ones.
    assert [tag.moment for tag in found] == [None, None, None, 1, None, 1, 0, 7]
    assert [tag.moment for tag in broken_too(repo_dir)] == [tag.moment for tag in found]
    assert [tag.by for tag in found[5:]] == ["", "Ada\x1b[2J", "\ufffd\ufffd"]


def test_names_that_are_not_utf8_stay_what_they_are(repo_dir: Path) -> None:
    """Git takes any bytes for a name; two of them must not become one."""
    names = [b"caf\xe9#x#1", b"caf\xff#x#1", "café#x#1".encode()]
    for name in names:
        put(repo_dir, name, BODIES["plain"] % (b"1" * 40, TAGGER.encode()))
    found = read(repo_dir)
    assert sorted(os.fsencode(tag.name) for tag in found) == sorted(names)
    assert found == broken_too(repo_dir)


# -- what is broken -------------------------------------------------------------------------------


def _loose(place: Path, id: str) -> Path:
    path = place / ".git/objects" / id[:2] / id[2:]
    path.chmod(0o644)
    return path


def _missing(place: Path, id: str) -> None:
    _loose(place, id).unlink()


def _empty(place: Path, id: str) -> None:
    _loose(place, id).write_bytes(b"")


def _garbage(place: Path, id: str) -> None:
    _loose(place, id).write_bytes(b"no object at all" * 9)


def _cut(place: Path, id: str) -> None:
    path = _loose(place, id)
    path.write_bytes(path.read_bytes()[:-20])


def _flipped(place: Path, id: str) -> None:
    path = _loose(place, id)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


DAMAGES = [_missing, _empty, _garbage, _cut, _flipped]


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_broken_tag_costs_only_itself(repo_dir: Path, damage: object) -> None:
    """A power cut leaves such objects, and the other models are still in production."""
    ids = {
        name: put(repo_dir, name, body(repo_dir, name, os.urandom(600).hex().encode() + b"\n"))
        for name in ("a@v1.0.0", "b@v1.0.0", "c@v1.0.0")
    }
    before = read(repo_dir)
    damage(repo_dir, ids["b@v1.0.0"])  # type: ignore[operator]
    after = read(repo_dir)
    assert [tag.kind for tag in after] == ["commit", "broken", "commit"]
    assert (after[0], after[2]) == (before[0], before[2])
    known = registry.fold(after)
    assert list(known.models) == ["a", "c"]
    assert known.problems == (("b@v1.0.0", "it cannot be read", True),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"no tag at all",
        b"object 1234\ntype commit\ntag x\n\nx\n",
        b"type commit\nobject " + b"1" * 40 + b"\ntag x\n\nx\n",
        b"object " + b"1" * 40 + b"\ntype nothing\ntag x\n\nx\n",
        b"object " + b"1" * 40 + b"\ntype commit\n\nx\n",
    ],
)
def test_an_object_that_is_no_tag_inside_costs_only_itself(repo_dir: Path, content: bytes) -> None:
    """`git hash-object --literally` makes them, and a push may bring them."""
    put(repo_dir, "churn@v1.0.0", body(repo_dir))
    before = read(repo_dir)
    put(repo_dir, "churn@v2.0.0", content)
    after = read(repo_dir)
    assert after[:1] == before and after[1].name == "churn@v2.0.0"
    known = registry.fold(after)
    assert [one.version for one in known.models["churn"].versions] == ["1.0.0"]
    assert [one.tag for one in known.problems] == ["churn@v2.0.0"]


def test_replacements_of_objects_are_not_looked_at(repo_dir: Path, git: Git) -> None:
    """A ref below refs/replace would make a tag say what nobody wrote, signature or not."""
    id = put(repo_dir, "churn@v1.0.0", body(repo_dir))
    other = put(repo_dir, "other", body(repo_dir, text=b"Something else\n"))
    git(repo_dir, "replace", id, other)
    assert [tag.message for tag in read(repo_dir)] == ["Register\n", "Something else\n"]
    assert [tag.message for tag in broken_too(repo_dir)] == ["Register\n", "Something else\n"]


# -- every kind of repository ---------------------------------------------------------------------


def test_every_kind_of_repository_has_its_tags(every_repo: World, git: Git) -> None:
    """Linked work trees share them, and paths are what they are."""
    if every_repo.kind == "empty":
        assert read(every_repo.path) == []
        return
    git(every_repo, "tag", "-a", "-m", "x", "churn@v1.0.0")
    assert [tag.name for tag in read(every_repo.path)] == ["churn@v1.0.0"]


def test_bare_and_packed_are_the_same(bare_dir: Path, git: Git) -> None:
    """A host has a bare repository, a fresh clone has packed refs."""
    assert read(bare_dir) == []
    for number in range(1, 30):
        put(bare_dir, f"churn#s#{number}", body(bare_dir, f"churn#s#{number}"))
    loose = read(bare_dir)
    git(bare_dir, "pack-refs", "--all")
    git(bare_dir, "repack", "-qad")
    assert read(bare_dir) == loose and len(loose) == 29
    assert broken_too(bare_dir) == loose


# -- very much of it ------------------------------------------------------------------------------


class Counting(whereabouts.Place):
    """A place that knows how often Git was asked."""

    __slots__ = ("asked",)

    def ask(self, *arguments: str, input: bytes = b"") -> bytes | None:
        self.asked = getattr(self, "asked", 0) + 1
        return super().ask(*arguments, input=input)


def _counting(place: Path) -> Counting:
    found = whereabouts.find(place)
    return Counting(found.git_dir, found.common_dir, found.root)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A thousand tags of ten models, as one writes them who promotes a hundred times."""
    root = tmp_path_factory.mktemp("thousand")
    asked(root, "init", "-q")
    lines = [
        "commit refs/heads/main",
        "mark :1",
        "committer A <a@x> 1700000000 +0000",
        "data 0",
        "",
    ]
    for model in range(10):
        for number in range(100):
            name, said = f"m{model}#s{number % 3}#{number}", "Previous: none\nReason: it is better"
            if number < 10:
                name, said = f"m{model}@v1.{number}.0", "Artifact: model.joblib\nMetric-f1: 0.9"
            text = f"Promote m{model} 1.0.0 to s{number % 3}\n\nVersion: 1.0.0\nRun-Id: x\n{said}\n"
            lines += [f"tag {name}", "from :1", TAGGER, f"data {len(text)}", text]
    asked(root, "fast-import", "--quiet", input="\n".join(lines).encode())
    yield root


def test_a_thousand_tags_are_one_question(thousand: Path) -> None:
    """The board of models is to come in the time of a blink."""
    place = _counting(thousand)
    found = [registry.read(place) for _ in range(5)]
    assert place.asked == 5 and len(found[0].models) == 10 and found[0].problems == ()
    times = []
    for _ in range(5):
        start = time.process_time()
        registry.read(place)
        times.append(time.process_time() - start)
    # Ten times what it takes on a quiet machine.
    assert min(times) < 0.15


def test_a_broken_one_among_a_thousand_takes_a_few_questions_more(
    thousand: Path, tmp_path: Path
) -> None:
    """One by one they would take seconds."""
    root = tmp_path / "copy"
    asked(thousand, "clone", "-q", "--bare", str(thousand), str(root))
    (root / "refs/tags/m0@v9.0.0").write_text("1" * 40 + "\n")
    place = _counting(root)
    found = tags.read(place)
    assert [tag.name for tag in found if tag.kind == "broken"] == ["m0@v9.0.0"]
    assert len(found) == 1001 and place.asked < 15
    id = put(root, "m0@v8.0.0", body(root, "m0@v8.0.0"))
    path = root / "objects" / id[:2] / id[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])
    place = _counting(root)
    found = tags.read(place)
    assert [tag.name for tag in found if tag.kind == "broken"] == ["m0@v8.0.0", "m0@v9.0.0"]
    assert len(found) == 1002 and place.asked < 40


def test_a_message_of_ten_megabytes_holds_nobody_up(repo_dir: Path) -> None:
    """A tag is pushed once and read for ever: what is too long is named, and not looked into."""
    put(repo_dir, "churn@v1.0.0", body(repo_dir))
    lines = b"".join(b"Version: %d\n" % number for number in range(100_000))
    for name, text in (("churn@v1.1.0", b"x" * 10_000_000), ("churn@v1.2.0", b"x\n\n" + lines)):
        put(repo_dir, name, body(repo_dir, name, text))
    start = time.process_time()
    known = registry.read(whereabouts.find(repo_dir))
    assert time.process_time() - start < 1.0
    assert [one.version for one in known.models["churn"].versions] == ["1.0.0"]
    assert [one.reason for one in known.problems] == ["its message is longer than 64 KiB"] * 2


_TORN = {
    "empty": b"", "blanks": b"\n", "zeros": b"\0" * 41, "short": b"a1" * 19,
    "text": b"a1" * 20 + b"x", "no-id": b"0" * 40 + b"\n",
}  # fmt: skip


def test_tags_whose_files_are_torn_are_known_as_git_knows_them(repo_dir: Path, git: Git) -> None:
    """Git leaves them out and only warns: who holds production would be another one in silence."""
    git(repo_dir, "tag", "packed")
    git(repo_dir, "pack-refs", "--all")
    git(repo_dir, "tag", "-a", "-m", "x", "good")
    git(repo_dir, "symbolic-ref", "refs/tags/another", "refs/tags/good")
    place = whereabouts.find(repo_dir)
    assert tags.torn(place) == []
    for name, content in _TORN.items():
        (repo_dir / ".git/refs/tags" / name).write_bytes(content)
    for name in ("half.lock", ".hidden"):
        (repo_dir / ".git/refs/tags" / name).write_bytes(b"")
    assert tags.torn(place) == sorted(_TORN)
    listed = git(repo_dir, "for-each-ref", "--format=%(refname:strip=2)", "refs/tags").split()
    assert listed == ["another", "good", "packed"]
