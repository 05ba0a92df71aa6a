"""Names of runs and experiments: the grammar, readable random names, prefixes that find them.

Pure. Knows what a name may be, and nothing about which names exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from gittrack.errors import BadName

__all__ = ["SUFFIX", "check", "generate", "near", "run_id", "slug", "stem", "suggest"]

NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,78}[a-z0-9])?")
SUFFIX = re.compile(r"-[0-9a-hjkmnp-tv-z]{6}$")
_LONGEST = 80
_LONGEST_PREFIX = 73  # the suffix takes seven
_LONGEST_TITLE = 4096
_BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))]
)


def check(name: str, what: str, *, longest: int = _LONGEST) -> str:
    """Give back `name` if it may be (part of) a ref; `what` says whose name it is.

    At most `longest` of a-z, 0-9, dot, underscore and hyphen, a letter or digit at both ends;
    nothing that git-check-ref-format(1) or a case-folding disk refuses; no device name.

    Raises:
        BadName: anything else; the hint suggests the nearest good name.
    """
    reason = _refusal(name, longest)
    if reason is None:
        return name
    better = suggest(name)
    advice = [f"'{better}' would do."] if len(better) > 1 else []
    if what == "run":
        advice.append("Free text goes into a title: `git track rename RUN TITLE`.")
    shown = repr(name) if len(name) <= _LONGEST else f"{name[:40]!r}..."
    raise BadName(f"{shown} is no {what} name: {reason}", hint=" ".join(advice) or None)


def _refusal(name: str, longest: int = _LONGEST) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > longest:
        return f"it has {len(name)} characters, at most {longest} are allowed"
    if not NAME.fullmatch(name):
        return "only a-z, 0-9, '.', '_' and '-', with a letter or digit first and last"
    if ".." in name or name.endswith(".lock"):
        return "Git refuses '..' and the ending '.lock' in a ref"
    if name.split(".")[0] in _DEVICES:
        return "it is a device name on some systems"
    return None


def suggest(text: str) -> str:
    """The nearest good name to a text, empty if nothing is left of it."""
    name = re.sub(r"[^a-z0-9._]+", "-", text.lower())
    name = re.sub(r"\.{2,}", ".", name)[:_LONGEST_PREFIX].strip("-._")
    return name if name and _refusal(name) is None else ""


def slug(title: str) -> str:
    """The name of the experiment that a free text titles; of a name, that name itself.

    Lower case, accents left off, hyphens for what no name holds: `My Churn Model` is
    `my-churn-model`. Where letters or an end get lost, six characters of a checksum keep two titles
    apart.

    Raises:
        BadName: the text is empty.
    """
    if not title.strip():
        raise BadName("the name of an experiment is empty")
    if _refusal(title) is None:
        return title
    import unicodedata
    import zlib

    spelled = unicodedata.normalize("NFKD", title[:_LONGEST_TITLE]).casefold()
    plain = "".join(char for char in spelled if not unicodedata.combining(char))
    name = suggest(plain)
    lost = len(title) > _LONGEST_PREFIX or any(c.isalnum() and not c.isascii() for c in plain)
    if name and not lost:
        return name
    mark = "".join(
        _BASE32[byte & 31]
        for byte in _quintets(zlib.crc32(title.encode("utf-8", "surrogatepass")).to_bytes(4, "big"))
    )
    return f"{name or 'x'}-{mark}"


def run_id(random: bytes) -> str:
    """A run's identity from 16 random bytes: 32 hexadecimal digits."""
    if len(random) != 16:
        raise ValueError("a run id takes 16 bytes")
    return random.hex()


def generate(random: bytes, prefix: str | None = None) -> str:
    """A run's name from 6 random bytes: adjective-animal-suffix, or `prefix`-suffix.

    Every name ends in 30 random bits, so colleagues who are offline cannot collide.

    Raises:
        BadName: the prefix is no name, or longer than 73 characters.
    """
    suffix = "".join(_BASE32[byte & 31] for byte in _quintets(random[2:]))
    if prefix is None:
        from gittrack.words import ADJECTIVES, ANIMALS

        return f"{ADJECTIVES[random[0]]}-{ANIMALS[random[1]]}-{suffix}"
    return f"{check(prefix, 'run', longest=_LONGEST_PREFIX)}-{suffix}"


def _quintets(random: bytes) -> Iterable[int]:
    number = int.from_bytes(random[:4], "big")
    return [(number >> shift) & 31 for shift in range(25, -1, -5)]


def stem(name: str) -> str:
    """A run's name without its random ending; the whole of one that has none."""
    return SUFFIX.sub("", name)


def near(selector: str, names: Sequence[str], count: int = 3) -> list[str]:
    """Up to `count` names that look like a misspelt `selector`, the likeliest first."""
    import difflib

    heads: dict[str, str] = {}
    for name in names:
        heads.setdefault(SUFFIX.sub("", name), name)
        heads.setdefault(name, name)
    found = difflib.get_close_matches(selector, list(heads), n=count, cutoff=0.6)
    return list(dict.fromkeys(heads[head] for head in found))
