"""What the message of a tag says, written and read back; no words of a user are a trailer."""

from __future__ import annotations

import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack.errors import UsageError
from gittrack.inscriptions import LARGEST, Inscription, compose, read

SIGNATURE = "-----BEGIN {0}-----\n\nU1NIU0lHAAAA\n-----END {0}-----\n"
KINDS = ("PGP SIGNATURE", "PGP MESSAGE", "SSH SIGNATURE", "SIGNED MESSAGE")

_text = st.text(alphabet=st.characters(codec=None), max_size=60)
_lines = st.one_of(
    _text,
    st.lists(
        st.sampled_from(
            ["Version: 9.9.9", "---", "", " ", "\tKind: alias", "Kind : alias", "# no", "Words",
             *(f"-----BEGIN {kind}-----" for kind in KINDS)]
        ),
        max_size=6,
    ).map("\n".join),
)  # fmt: skip
_keys = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,12}", fullmatch=True)


@settings(deadline=None, max_examples=500)
@given(_text, _lines, st.lists(st.tuples(_keys, _text), min_size=1, max_size=6))
def test_values_come_back_and_words_never_become_trailers(
    subject: str, body: str, trailers: list[tuple[str, str]]
) -> None:
    """A reason that says `Version: 2.0.0` must not promote another version."""
    expected: dict[str, str] = {}
    for key, value in [("Version", "1.0.0"), *trailers]:
        if value:
            expected.setdefault(key.lower(), value)
    message = compose(f"Promote {subject}", body, [("Version", "1.0.0"), *trailers])
    message.encode()
    assert read(message).trailers == expected
    for kind in KINDS:
        assert read(message + SIGNATURE.format(kind)) == read(message)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_any_message_can_be_read(message: str) -> None:
    """What somebody else wrote is read as far as it makes sense."""
    found = read(message)
    assert "\n" not in found.subject
    assert all("\n" not in key for key in found.trailers)


def test_a_tag_reads_well() -> None:
    """People read it with `git show`."""
    message = compose(
        "Promote churn 1.2.0 to production",
        "It passed.\nReason: none\r\n--- all\n",
        [
            ("Version", "1.2.0"),
            ("Previous", ""),
            ("Metric-val/f1", "0.9"),
            ("Reason", "two\nlines"),
        ],
    )
    assert message == (
        "Promote churn 1.2.0 to production\n\n"
        "It passed.\n  Reason: none\n  --- all\n\n"
        'Version: 1.2.0\nMetric-val-f1: 0.9\nReason: "two\\nlines"\n'
    )
    assert read(message) == Inscription(
        "Promote churn 1.2.0 to production", "It passed.\n  Reason: none\n  --- all",
        {"version": "1.2.0", "metric-val-f1": "0.9", "reason": "two\nlines"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", Inscription("", "", {})),
        ("\n\n", Inscription("", "", {})),
        ("One line", Inscription("One line", "", {})),
        ("A\nB\n\nC", Inscription("A", "B\n\nC", {})),
        ("Version: 1.0.0", Inscription("Version: 1.0.0", "", {})),
        ("A\nVersion: 1.0.0", Inscription("A", "Version: 1.0.0", {})),
        ("A\n\nVersion: 1.0.0", Inscription("A", "", {"version": "1.0.0"})),
        ("A\r\n\r\nVersion: 1.0.0\r\n", Inscription("A", "", {"version": "1.0.0"})),
        ("A\n\nVersion: 1\nVERSION: 2", Inscription("A", "", {"version": "1"})),
        ("A\n\nVersion:1", Inscription("A", "", {"version": "1"})),
        ("A\n\nReason: long\n  words\n\tmore", Inscription("A", "", {"reason": "long words more"})),
        ("A\n\nVersion: 1\nand so on", Inscription("A", "Version: 1\nand so on", {})),
        ("A\n\nVersion: 1\n\nThe end", Inscription("A", "Version: 1\n\nThe end", {})),
        ('A\n\nReason: "no json', Inscription("A", "", {"reason": '"no json'})),
        ('A\n\nReason: "\\ud800"', Inscription("A", "", {"reason": "\ud800"})),
        ("A\n\nÄ: 1", Inscription("A", "Ä: 1", {})),
        (
            "A\n\nVersion: 1\n" + SIGNATURE.format("PGP SIGNATURE") + "\nVersion: 2\n",
            Inscription("A", "", {"version": "1"}),
        ),
        # As Git has it: the last one is the signature, what is above it was signed.
        (
            "A\n" + SIGNATURE.format("PGP SIGNATURE") + "\nVersion: 1\n"
            + SIGNATURE.format("PGP SIGNATURE"),
            Inscription("A", SIGNATURE.format("PGP SIGNATURE").strip(), {"version": "1"}),
        ),
    ],
)  # fmt: skip
def test_what_others_write_is_read_as_git_reads_it(message: str, expected: Inscription) -> None:
    """GTO writes one line; people write anything."""
    assert read(message) == expected


def test_git_finds_the_same_trailers() -> None:
    """`git for-each-ref --format='%(contents:trailers)'` is how others look for them."""
    message = compose("Promote", "Kind: alias\n\nwords", [("Version", "1.0.0"), ("Reason", " x ")])
    done = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message, capture_output=True, text=True
    )
    assert done.stdout == 'Version: 1.0.0\nReason: " x "\n'


def test_what_we_write_is_never_too_long_to_be_read() -> None:
    """A tag that is not read would be a promotion that did not happen."""
    with pytest.raises(UsageError, match="has 40,0"):
        compose("Promote", "x" * 40_000, [("Version", "1.0.0")])
    compose("Promote", "x" * 30_000, [("Version", "1.0.0")])
    with pytest.raises(ValueError, match="no key"):
        compose("Promote", "", [("--", "x")])


def test_a_hostile_message_is_read_in_no_time() -> None:
    """Every question about the registry reads every message."""
    for text in ("a:" * LARGEST, "a: b\n" * LARGEST, "\n \n" * LARGEST, "-----BEGIN " * LARGEST,
                 'a: "' + "[" * LARGEST + '"', "a: b\n" + " c\n" * LARGEST):  # fmt: skip
        start = time.process_time()
        read("x\n\n" + text)
        assert time.process_time() - start < 1.5
