"""Names of runs: what may be one, how they are drawn, how they are found again."""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import names
from gittrack.errors import BadName, UsageError
from gittrack.words import ADJECTIVES, ANIMALS

GOOD = [
    "a",
    "7",
    "baseline",
    "amber-otter-7f3kq2",
    "v1.0",
    "a_b",
    "a-b",
    "a--b",
    "a.b.c",
    "a.-_.b",
    "2024-01-31",
    "lock",
    "a.lock.b",
    "alock",
    "head",
    "con-man",
    "console",
    "com",
    "com10",
    "com0",
    "x.con",
    "my.nul",
    "x" * 80,
]

DEVICES = ["con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9"]

BAD = {
    "empty": ["", " ", "\n", "\t"],
    "81 characters": ["x" * 81, "x" * 5000, "a-" * 40 + "a"],
    "upper case": ["Baseline", "HEAD", "A", "baselinE"],
    "ends": ["-a", "a-", ".a", "a.", "_a", "a_", "-", ".", "_", "--help", "-rf"],
    "Git's own": [
        "a..b",
        "..",
        "a.lock",
        "x.y.lock",
        "a.lock.lock",
        "@",
        "a@{1}",
        "a~1",
        "a^",
        "a:b",
    ],
    "glob": ["a*", "a?", "[a]", "a\\b"],
    "shell": [";id", "a;id", "$(id)", "`id`", "a|b", "a&b", "a'b", 'a"b', "a b", "a>b"],
    "paths": ["a/b", "/a", "a/", "../x", "/etc/passwd", "~", "~root"],
    "markup": ["<b>", "<script>", "a%41", "&amp;"],
    "control": ["a\n", "\na", "a\nb", "a\0b", "a\x1b[2Jb", "a\x7f", "a\rb", "a\x9bb", "a\bb"],
    "bidi and zero width": ["a\u202eb", "a\u200bb", "\ufeffa", "a\u2066b", "a\u200c", "\u200d"],
    "look-alikes": ["bаseline", "café", "cafe\u0301", "ａ", "ſ", "K", "１", "٣", "²", "ı"],
    "emoji": ["🦦", "otter-🦦", "a\ufe0f"],
    "not UTF-8": ["a\udcff", "\udce9t\udce9"],
    "devices": [*DEVICES, *(f"{name}.txt" for name in DEVICES), "nul.tar.gz", "con.1"],
}

ALPHABET = st.characters(codec="utf-8") | st.sampled_from("abz09.._--") | st.just("\udcff")
TEXTS = st.text(ALPHABET, max_size=100) | st.from_regex(r"[a-z0-9._-]{1,90}", fullmatch=True)
DRAWN = re.compile(r"[a-z]{3,8}-[a-z]{3,8}-[0-9a-hjkmnp-tv-z]{6}")


def _git_accepts(*refs: str) -> bool:
    """Whether real Git takes each of these refs."""
    return all(
        subprocess.run(["git", "check-ref-format", ref], capture_output=True).returncode == 0
        for ref in refs
    )


# -- the grammar --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_comes_back_and_git_takes_it(name: str) -> None:
    """The name becomes part of a ref, as experiment and as run: real Git must agree."""
    assert names.check(name, "run") == name
    assert _git_accepts(f"refs/runs/{name}/{name}")


@pytest.mark.parametrize(
    "name", [pytest.param(n, id=repr(n)[:30]) for bad in BAD.values() for n in bad]
)
def test_a_bad_name_is_refused_with_its_reason(name: str) -> None:
    """A wrong name is wrong usage (exit code 2), said in one line, with a way out."""
    with pytest.raises(BadName) as caught:
        names.check(name, "run")
    error = caught.value
    assert isinstance(error, UsageError) and error.exit_code == 2
    assert "is no run name: " in error.message
    assert error.hint is not None and "git track rename" in error.hint
    assert "'' would do" not in error.hint
    assert (error.message + error.hint).isprintable()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("x" * 81, "81 characters"),
        ("Baseline", "only a-z"),
        ("a..b", "'..'"),
        ("a.lock", "'.lock'"),
        ("nul.txt", "device"),
    ],
)
def test_the_reason_is_the_true_one(name: str, reason: str) -> None:
    """'Wrong' alone leaves the user guessing."""
    with pytest.raises(BadName, match=re.escape(reason)):
        names.check(name, "experiment")


def test_the_message_says_whose_name_it_is() -> None:
    """`-x` and `--name` may stand in one command line."""
    with pytest.raises(BadName, match="'A' is no experiment name"):
        names.check("A", "experiment")


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_nothing_but_the_grammar_gets_through(text: str) -> None:
    """The rule of docs/format.md, written a second time."""
    expected = (
        0 < len(text) <= 80
        and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        and text[0] not in "._-"
        and text[-1] not in "._-"
        and ".." not in text
        and not text.endswith(".lock")
        and not re.fullmatch(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", text)
    )
    try:
        accepted = names.check(text, "run") == text
    except BadName:
        accepted = False
    assert accepted == expected


@settings(deadline=None, max_examples=40)
@given(st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?", fullmatch=True))
def test_git_takes_every_accepted_name(text: str) -> None:
    """check-ref-format(1) has the last word on what a ref may be."""
    try:
        names.check(text, "run")
    except BadName:
        return
    assert _git_accepts(f"refs/runs/{text}/x", f"refs/runs/x/{text}")


# -- suggestions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("Baseline", "baseline"),
        ("My first run!", "my-first-run"),
        ("lr=0.1", "lr-0.1"),
        ("a/b", "a-b"),
        ("a..b", "a.b"),
        ("--help", "help"),
        ("ResNet50_v2", "resnet50_v2"),
        ("x" * 200, "x" * 73),
        ("", ""),
        ("🦦", ""),
        ("...", ""),
        ("nul", ""),
        ("NUL.txt", ""),
        ("A.lock", ""),
    ],
)
def test_the_suggestion_is_the_nearest_good_name(text: str, better: str) -> None:
    """A user who typed a title should only have to press the arrow key."""
    assert names.suggest(text) == better


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_a_suggestion_always_passes(text: str) -> None:
    """A hint that leads into the next error is worse than none; a suffix must still fit."""
    better = names.suggest(text)
    if better:
        assert names.check(better, "run") == better
        assert len(names.generate(b"\xff" * 6, better)) <= 80


def test_the_error_carries_the_suggestion() -> None:
    """That is where the user sees it."""
    with pytest.raises(BadName) as caught:
        names.check("My Run", "run")
    assert caught.value.hint is not None and "'my-run' would do" in caught.value.hint


# -- drawing ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(min_size=6, max_size=6))
def test_drawing_depends_on_the_bytes_alone(random: bytes) -> None:
    """Tests and golden repositories fix their names by fixing the bytes."""
    name = names.generate(random)
    assert name == names.generate(random)
    assert DRAWN.fullmatch(name)
    assert names.check(name, "run") == name
    adjective, animal, _ = name.split("-")
    assert (adjective, animal) == (ADJECTIVES[random[0]], ANIMALS[random[1]])


@pytest.mark.parametrize(
    ("random", "suffix"),
    [
        (b"\0\0" + b"\0\0\0\0", "000000"),
        (b"\0\0" + b"\xff\xff\xff\xff", "zzzzzz"),
        (b"\0\0" + b"\0\0\0\x01", "000001"),
        (b"\0\0" + b"\0\0\0\x20", "000010"),
        (b"\0\0" + b"\x20\0\0\0", "g00000"),
        (b"\0\0" + b"\x12\x34\x56\x78", "938nkr"),
    ],
)
def test_the_suffix_is_crockford_base_32_of_the_last_30_bits(random: bytes, suffix: str) -> None:
    """Frozen: `i`, `l`, `o` and `u` are left out, because people read names aloud."""
    assert names.generate(random).endswith(f"-{suffix}")


def test_each_of_the_30_bits_counts() -> None:
    """Offline colleagues cannot collide only if no bit is lost."""
    drawn = {names.generate(b"\0\0" + (1 << bit).to_bytes(4, "big"), "x") for bit in range(30)}
    drawn.add(names.generate(bytes(6), "x"))
    assert len(drawn) == 31


@settings(deadline=None)
@given(
    st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,71}[a-z0-9])?", fullmatch=True),
    st.binary(min_size=6, max_size=6),
)
def test_a_prefix_gets_a_suffix_and_stays_a_name(prefix: str, random: bytes) -> None:
    """`--name baseline` twice gives two runs, and `baseline` finds them."""
    try:
        names.check(prefix, "run")
    except BadName:
        return
    name = names.generate(random, prefix)
    assert names.SUFFIX.sub("", name) == prefix
    assert names.check(name, "run") == name


def test_the_longest_prefix_has_73_characters() -> None:
    """80 less the hyphen and the suffix."""
    assert len(names.generate(bytes(6), "x" * 73)) == 80
    with pytest.raises(BadName, match="74 characters, at most 73") as caught:
        names.generate(bytes(6), "x" * 74)
    assert caught.value.hint is not None and "x" * 73 in caught.value.hint


@pytest.mark.parametrize("prefix", ["", "A", "a b", "a/b", "-a", "a..b", "nul", "a.lock"])
def test_a_bad_prefix_is_refused(prefix: str) -> None:
    """Also the empty one: `--name "$UNSET"` is a slip, not a wish for a random name."""
    with pytest.raises(BadName):
        names.generate(bytes(6), prefix)


def test_a_run_id_is_16_bytes_in_hexadecimal() -> None:
    """It stands in records for ever; a short one would be no identity."""
    assert names.run_id(bytes(range(16))) == "000102030405060708090a0b0c0d0e0f"
    for wrong in (b"", bytes(15), bytes(17)):
        with pytest.raises(ValueError):
            names.run_id(wrong)


# -- finding ------------------------------------------------------------------------------------

KNOWN = ["amber-otter-7f3kq2", "amber-otter-0w8nc1", "blue-heron-q2zm8d", "base", "baseline-5hk2tv"]


@pytest.mark.parametrize(
    ("selector", "first"),
    [
        ("amber-oter", "amber-otter-7f3kq2"),
        ("amber-otter-7f3kq3", "amber-otter-7f3kq2"),
        ("blue-herno", "blue-heron-q2zm8d"),
        ("baselin", "base"),
        ("basline", "baseline-5hk2tv"),
    ],
)
def test_a_slip_finds_what_was_meant(selector: str, first: str) -> None:
    """People type the words and leave the suffix, so both are compared."""
    found = names.near(selector, KNOWN)
    assert first in found and len(found) <= 3 and len(set(found)) == len(found)


def test_nothing_near_is_nothing() -> None:
    """A far-fetched hint misleads."""
    assert names.near("zzzzzzzz", KNOWN) == []
    assert names.near("amber", []) == []


def test_no_more_than_asked_for_come_back() -> None:
    """A hint is one line, however many runs look alike."""
    many = [f"otter-{i:06d}" for i in range(50)]
    assert len(names.near("otter-000000", many)) == 3
    assert len(names.near("otter-000000", many, count=1)) == 1


# -- the words ----------------------------------------------------------------------------------


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether one insertion, deletion or substitution makes one the other."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[same + (len(one) == len(other)) :] == other[same + 1 :]


@pytest.mark.parametrize("words", [ADJECTIVES, ANIMALS], ids=["adjectives", "animals"])
def test_a_list_has_256_plain_words(words: tuple[str, ...]) -> None:
    """One byte draws one word, and a name with two suffix-like ends stays readable."""
    assert len(words) == len(set(words)) == 256
    assert all(word.isascii() and re.fullmatch(r"[a-z]{3,8}", word) for word in words)
    assert list(words) == sorted(words)


@pytest.mark.parametrize("words", [ADJECTIVES, ANIMALS], ids=["adjectives", "animals"])
def test_no_two_words_are_easily_taken_for_each_other(words: tuple[str, ...]) -> None:
    """A name read out in a meeting arrives, and a word typed in full is never a prefix."""
    assert _one_letter_apart("seal", "seals") and _one_letter_apart("seal", "deal")
    close = [
        pair
        for pair in itertools.combinations(words, 2)
        if _one_letter_apart(*pair) or pair[1].startswith(pair[0])
    ]
    assert close == []


def test_the_lists_share_no_word() -> None:
    """The place of a word tells what it is."""
    assert not set(ADJECTIVES) & set(ANIMALS)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("default", "default"),
        ("My Churn Model", "my-churn-model"),
        ("MLflow Quickstart", "mlflow-quickstart"),
        ("/Users/me@example.org/Größe", "users-me-example.org-grosse"),
        ("a\nb/../c", "a-b-.-c"),
    ],
)
def test_a_title_becomes_a_name(title, name) -> None:
    """Whoever comes from another tracker has experiments with free names."""
    assert names.slug(title) == name


@given(st.text(min_size=1))
@settings(deadline=None)
def test_every_title_has_a_name_of_its_own_kind(title) -> None:
    """Also one without a letter; a name's name is itself."""
    if not title.strip():
        with pytest.raises(BadName):
            names.slug(title)
        return
    name = names.slug(title)
    assert names.check(name, "experiment") == name == names.slug(name)


def test_titles_that_lose_letters_are_kept_apart() -> None:
    """Two experiments must not become one because no name can hold what tells them apart."""
    titles = ["模型 v1", "数据 v1", "v1", "🔥", "x" * 100, "x" * 10_000]
    made = {names.slug(title) for title in titles}
    assert len(made) == len(titles)
