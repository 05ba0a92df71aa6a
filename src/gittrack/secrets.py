"""What looks like a secret: in a file's name, in bytes, in a command line.

Knows shapes of keys and names of options. Knows nothing of Git, runs or files' contents on disk,
and keeps nothing of what it finds: a finding names a line and a kind, never the secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from gittrack.summaries import Value

__all__ = [
    "MASK",
    "Finding",
    "find",
    "mask_argv",
    "mask_text",
    "mask_value",
    "mask_words",
    "secret_filename",
]

MASK = "***"
"""What stands where a secret was."""


class Finding(NamedTuple):
    """Where a secret seems to be: the line, counted from 1, and what kind it is."""

    line: int
    kind: str


# Names of files.

_CODE = (
    "py pyi pyx ipynb js jsx ts tsx go rs java kt scala c h cc cpp hpp cs rb php r jl lua swift"
    " md rst html css svg png jpg"
)
_SECRET_NAMES = r"""
    \.env(?!.*\.(?:example|sample|template|dist|defaults?)$).* | .+\.env
  | .+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|p8|ovpn)
  | id_(?:rsa|dsa|ecdsa|ed25519)(?!.*\.pub$).* | id_[a-z0-9_-]+
  | \.netrc | _netrc | \.pypirc | \.npmrc | \.htpasswd | \.pgpass | \.my\.cnf | \.boto | \.s3cfg
  | \.git-credentials | \.dockercfg | \.vault-token | \.terraformrc | kaggle\.json
  | \.?(?:[a-z0-9]+[_-])?api[_-]?key(?:\.(?:txt|json))? | \.?token(?:\.(?:txt|json))?
  | \.?passwords?(?:\.txt)? | (?:client[_-]?)secrets?[^/]* | service[_-]account[^/]*\.json
  | \.?(?:[^/]*[._-])?secrets?(?:\.[^/]*)? | [^/]*credentials[^/]*
"""
_SECRET_PATHS = r"""
    (?:.*/)?\.ssh/(?!known_hosts|config$|authorized_keys|.*\.pub$)[^/]+
  | (?:.*/)?\.aws/[^/]+ | (?:.*/)?\.kube/config | (?:.*/)?\.docker/config\.json
  | (?:.*/)?\.dvc/config\.local
"""


def secret_filename(path: str) -> bool:
    """Whether a file of this name is one that people keep secrets in.

    Source code and texts about credentials are not; what stands in them is `find`'s to judge.
    """
    name = path.rsplit("/", 1)[-1].lower()
    if _names(_SECRET_PATHS).fullmatch(path.lower()):
        return True
    if _names(rf".+\.(?:{_CODE.replace(' ', '|')})").fullmatch(name):
        return False
    return _names(_SECRET_NAMES).fullmatch(name) is not None


@lru_cache
def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.VERBOSE | re.DOTALL)


# Shapes of keys. Each has literal anchors, because searching for a literal is a hundred times
# faster than for a pattern; the pattern is tried only around them. Group 1 is what to mask.

_BEFORE = rb"(?<![A-Za-z0-9_])"
_SHAPES: tuple[tuple[str, tuple[bytes, ...], bytes], ...] = (
    (
        "private key",
        (b"-----BEGIN ",),
        rb"(-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr]|\\)+"
        rb"(?:(?:[A-Z][A-Za-z-]+: [^\n]{0,200}|[A-Za-z0-9+/=]{16,})(?:\s|\\[nr]|\\|$)*)+"
        rb"(?:[A-Za-z0-9+/=]+(?:\s|\\[nr]|\\)*)?(?:-----END [A-Z0-9 ]{1,60}-----)?)",
    ),
    (
        "AWS access key",
        (b"AKIA", b"ASIA"),
        rb"((?:AKIA|ASIA)(?![A-Z0-9]{9}EXAMPLE)[A-Z0-9]{16})(?![A-Za-z0-9])",
    ),
    (
        "GitHub token",
        (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
        rb"(gh[pousr]_[A-Za-z0-9]{36,})",
    ),
    ("GitHub token", (b"github_pat_",), rb"(github_pat_[A-Za-z0-9_]{22,})"),
    ("GitLab token", (b"glpat-",), rb"(glpat-[A-Za-z0-9_-]{20,})"),
    ("Hugging Face token", (b"hf_",), rb"(hf_[A-Za-z0-9]{30,})"),
    ("Anthropic key", (b"sk-ant-",), rb"(sk-ant-[A-Za-z0-9_-]{20,})"),
    (
        "OpenAI key",
        (b"sk-",),
        rb"(sk-(?!ant-)(?:(?:proj|svcacct|admin|or-v1)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,}))",
    ),
    ("Slack token", (b"xox",), rb"(xox[abeoprs]-[A-Za-z0-9-]{10,})"),
    (
        "Slack webhook",
        (b"hooks.slack.com/",),
        rb"hooks\.slack\.com/services/(T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,})",
    ),
    ("Google key", (b"AIza",), rb"(AIza[A-Za-z0-9_-]{35})"),
    ("Google secret", (b"GOCSPX-",), rb"(GOCSPX-[A-Za-z0-9_-]{20,})"),
    (
        "JSON web token",
        (b"eyJ",),
        rb"(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})",
    ),
    ("Stripe key", (b"k_live_", b"k_test_"), rb"([sr]k_(?:live|test)_[A-Za-z0-9]{16,})"),
    ("npm token", (b"npm_",), rb"(npm_[A-Za-z0-9]{36,})"),
    ("PyPI token", (b"pypi-",), rb"(pypi-[A-Za-z0-9_-]{50,})"),
    ("SendGrid key", (b"SG.",), rb"(SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"),
    ("Databricks token", (b"dapi",), rb"(dapi[0-9a-f]{32})(?![0-9a-f])"),
    ("DigitalOcean token", (b"dop_v1_",), rb"(dop_v1_[0-9a-f]{64})"),
    ("Replicate token", (b"r8_",), rb"(r8_[A-Za-z0-9]{37})"),
    ("Groq key", (b"gsk_",), rb"(gsk_[A-Za-z0-9]{40,})"),
    ("W&B key", (b"wandb_v1_",), rb"(wandb_v1_[A-Za-z0-9_]{20,})"),
    ("Azure account key", (b"AccountKey=",), rb"AccountKey=([A-Za-z0-9+/]{40,}={0,2})"),
)  # fmt: skip

# A password in an address: the scheme is left of the anchor, so it is not matched again.
_USERINFO = rb"://[^\s:/@'\"<>]{0,100}:([^\s/@'\"<>]{1,200})@[A-Za-z0-9\[]"
_SIGNATURE = rb"[?&](?:X-(?:Amz|Goog)-)?(?:Signature|sig)=$"
_HEADER = (
    rb"authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s+"
    rb"([A-Za-z0-9._~+/=-]{12,})"
)
_NAME = (
    rb"(?:pass(?:word|wd|phrase)|pwd|secret|token|[_-]key|apikey|accesskey|credential)(?![a-z0-9])"
)
_NAME_ANCHORS = (
    b"pass", b"pwd", b"secret", b"token", b"_key", b"-key", b"apikey", b"accesskey", b"credential",
)  # fmt: skip
_COLOR = rb"(?:\x1b\[[0-9;]{0,20}m[ \t]?){0,4}"
_ASSIGNED = (
    _NAME
    + _COLOR
    + rb"[\"']?(?:[ \t]*\]|[ \t]*:[ \t]*[A-Za-z\[\]]{1,20}(?=[ \t]*=))?[ \t]*(?::=|=>|[:=])[ \t]*"
    + _COLOR
    + rb"(?:\"([^\"\n]{1,300})\"|'([^'\n]{1,300})'"
    rb"|([^\s\"'`,;()\[\]{}<>\x1b]{1,300})(?=[\s,;)\]}\"'\x1b]|$))"
)
_OPTION_VALUE = (
    rb"(--?[A-Za-z][\w.-]*)(?:[ \t]+|=)(?:\"([^\"\n]+)\"|'([^'\n]+)'|([^\s\"'-][^\s\"']*))"
)


@lru_cache(maxsize=128)
def _pattern(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern)


class _Secret(NamedTuple):
    start: int
    end: int
    kind: str


def find(data: bytes) -> list[Finding]:
    """List what looks like a secret, in the order of lines.

    Placeholders (`<token>`, `${TOKEN}`, `changeme`) and digests without a telling name are none.
    """
    secrets = _search(data)
    findings, line, at = [], 1, 0
    for secret in secrets:
        line += data.count(b"\n", at, secret.start)
        at = secret.start
        findings.append(Finding(line, secret.kind))
    return findings


def mask_text(data: bytes, start: int = 0, end: int | None = None) -> tuple[bytes, int]:
    """Give `data[start:end]` with `MASK` for what looks like a secret; also count these.

    What stands around is looked at as well: a secret across an edge is masked whole.
    """
    end = len(data) if end is None else end
    secrets = [found for found in _search(data) if found.end > start and found.start < end]
    pieces, at = [], start
    for secret in secrets:
        pieces += [data[at : secret.start], MASK.encode()]
        at = secret.end
    return b"".join([*pieces, data[at:end]]), len(secrets)


def mask_words(text: str) -> str:
    """Give a text with `MASK` for what looks like a secret in it; without any, the text itself."""
    masked, count = mask_text(text.encode("utf-8", "surrogateescape"))
    return _back(masked) if count else text


def mask_value(key: str, value: Value) -> Value:
    """Give what a param or tag `key` may keep of its value, judged as `key=value` of a command.

    Lists and mappings are judged item by item; equal to `value` where nothing had to go.
    """
    if isinstance(value, str):
        word = f"{key}={value}"
        masked = mask_argv([word])[0][0]
        if masked == word:
            return value
        return masked[len(key) + 1 :] if masked.startswith(f"{key}=") else MASK
    if isinstance(value, list):
        return [mask_value(key, item) for item in value]
    if isinstance(value, Mapping):
        return {name: mask_value(str(name), item) for name, item in value.items()}
    return value


def _search(data: bytes) -> list[_Secret]:
    """All secrets, in order, none overlapping another."""
    found = [*_shapes(data), *_userinfo(data), *_signed(data), *_named(data)]
    found.sort(key=lambda secret: (secret.start, -secret.end))
    apart: list[_Secret] = []
    for secret in found:
        if not apart or secret.start >= apart[-1].end:
            apart.append(secret)
    return apart


def _anchors(data: bytes, anchor: bytes) -> Iterator[int]:
    at = data.find(anchor)
    while at >= 0:
        yield at
        at = data.find(anchor, at + len(anchor))


def _shapes(data: bytes) -> Iterator[_Secret]:
    for kind, anchors, shape in _SHAPES:
        for anchor in anchors:
            for at in _anchors(data, anchor):
                # Stripe's anchor leaves out the first letter, which differs.
                start = at - 1 if anchor.startswith(b"k_") and at else at
                # A key in a JSON text may follow the `n` of an escaped line break.
                before = b"" if kind == "private key" else _BEFORE
                match = _pattern(before + shape).match(data, start)
                if match and _is_random(match[1], kind):
                    yield _Secret(match.start(1), match.end(1), kind)


def _is_random(value: bytes, kind: str) -> bool:
    """Rule out what only has the shape: `AKIAAAAA...`, `ghp_xxxx...`."""
    return len(set(value[-20:])) > 5 or kind == "private key"


def _userinfo(data: bytes) -> Iterator[_Secret]:
    for at in _anchors(data, b"://"):
        match = _pattern(_USERINFO).match(data, at)
        if match and not _is_placeholder(match[1]):
            yield _Secret(match.start(1), match.end(1), "password in a URL")


def _signed(data: bytes) -> Iterator[_Secret]:
    """Signatures that make an address a key: of S3, Google's storage and Azure's."""
    for anchor in (b"ignature=", b"sig="):
        for at in _anchors(data, anchor):
            if _pattern(_SIGNATURE).search(data[max(0, at - 9) : at + len(anchor)]):
                value = _pattern(rb"[A-Za-z0-9%+/=_-]{16,}").match(data, at + len(anchor))
                if value:
                    yield _Secret(value.start(), value.end(), "signature of a URL")


def _named(data: bytes) -> Iterator[_Secret]:
    lower = data.lower()
    for at in _anchors(lower, b"authorization"):
        match = _pattern(_HEADER).match(lower, at)
        if match and not _is_placeholder(match[1]):
            yield _Secret(match.start(1), match.end(1), "authorization header")
    assigned = _pattern(_ASSIGNED)
    for anchor in _NAME_ANCHORS:
        for at in _anchors(lower, anchor):
            if match := assigned.match(lower, at):
                secret = _assigned(data, match, at)
                if secret is not None:
                    yield secret


def _assigned(data: bytes, match: re.Match[bytes], at: int) -> _Secret | None:
    group = match.lastindex or 0
    prefix = _pattern(rb"[A-Za-z0-9_.-]*$").search(
        re.sub(rb"\x1b\[[0-9;]*m", b" ", data[max(0, at - 80) : at])
    )
    name = (prefix[0] if prefix else b"") + data[at : match.start(group)]
    words = re.split(r"[^A-Za-z0-9_.-]", name.decode("ascii", "replace"))[0]
    value = data[match.start(group) : match.end(group)]
    if not _is_secret_name(words) or not _is_strong(value, quoted=group != 3, name=words):
        return None
    return _Secret(match.start(group), match.end(group), f"value of {words}")


def _is_strong(value: bytes, *, quoted: bool, name: str) -> bool:
    """Whether a value is a secret itself rather than code, words or a placeholder."""
    if len(value) < 8 or _is_placeholder(value) or b" " in value:
        return False
    code = rb"[(){}\[\]$]|^[A-Za-z_]+(?:\.[A-Za-z_]\w*)+$|^[a-z]+(?:_[a-z0-9]+)+$"
    if not quoted and re.search(code, value):
        return False
    kinds = [rb"[a-z]", rb"[A-Z]", rb"[0-9]", rb"[^A-Za-z0-9]"]
    mixed = sum(re.search(kind, value) is not None for kind in kinds)
    if re.search("pass|pwd", name, re.IGNORECASE):
        return mixed >= 2 and re.search(rb"[^A-Za-z_.-]", value) is not None
    letters_and_digits = re.search(rb"[0-9]", value) and re.search(rb"[A-Za-z]", value)
    return len(value) >= 16 and bool(letters_and_digits) and _entropy(value) >= 3.0


def _entropy(value: bytes) -> float:
    """Bits per byte."""
    shares = [value.count(byte) / len(value) for byte in set(value)]
    return -sum(share * math.log2(share) for share in shares)


def _is_placeholder(value: bytes) -> bool:
    text = value.strip().lower()
    if text[:1] in b"<$%{" or text.startswith((b"your", b"my-", b"example", b"dummy", b"fake")):
        return True
    if b"${" in text or b"{{" in text or len(set(text)) <= 2:
        return True
    return text in (
        b"pass", b"password", b"passwd", b"pw", b"pwd", b"secret", b"token", b"changeme", b"none",
        b"null", b"true", b"false", b"redacted",
    )  # fmt: skip


# Names of options and variables.


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ALONE = _words(
    "password passwd passphrase pwd secret secrets token apikey credential credentials auth"
    " accesskey secretkey privatekey authtoken accesstoken apitoken pgpassword"
)
_PASS_OF = _words("db user smtp ssh sudo ftp http redis mysql postgres admin root proxy mail")
_CREDENTIAL_OPTIONS = {"curl": ("-u", "--user"), "sshpass": ("-p",)}
_KEYS = _words("api access secret private auth account signing encryption master")
_INNOCENT_TOKENS = _words(
    "pad eos bos unk sep cls mask special start stop end begin per new next prev first last image"
    " video audio text prompt word sub control separator padding trigger target extra additional"
    " think vision class placeholder decoder forced instance rare initializer num max min"
)
_HARMLESS = r"(?is:true|false|none|null|yes|no|on|off|auto|\*\*\*|<.*>|\[.*\]|\$\w+|\$\{.*\}|)"


def _is_secret_name(name: str) -> bool:
    """Whether an option, variable or key of this name holds a secret: its last words tell.

    `--hf-token`, `DB_PASSWORD` and `wandb.api_key` do; `num_tokens`, `--tokenizer`,
    `--token-length`, `--pad-token` and `--password-file` do not.
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("-+"))
    parts = [part for part in re.split(r"[^a-z0-9]+", spaced.lower()) if part]
    if not parts:
        return False
    before = parts[-2] if len(parts) > 1 else ""
    if parts[-1] == "pass":
        return not before or before in _PASS_OF
    if parts[-1] == "token":
        return before not in _INNOCENT_TOKENS
    if parts[-1] == "auth":
        return before not in ("use", "no", "enable", "disable", "require", "skip")
    return parts[-1] in _ALONE or (parts[-1] == "key" and before in _KEYS)


def mask_argv(argv: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Replace the secrets of a command line by `MASK`; also say what was replaced, not what it was.

    Values of options and of `KEY=VALUE` words with a telling name, passwords in addresses, and
    whatever has the shape of a key, wherever it stands.
    """
    masked: list[str] = []
    notes: list[str] = []
    pending: str | None = None
    special: tuple[str, ...] = ()
    for word in argv:
        special = _CREDENTIAL_OPTIONS.get(word.rsplit("/", 1)[-1], special)
        if pending is not None and _is_option_value(word):
            masked.append(_mask_value(pending, word, notes.append))
            pending = None
            continue
        if word in special:
            pending, special = word, ()
            masked.append(word)
            continue
        if attached := next((o for o in special if len(o) == 2 and word.startswith(o)), None):
            masked.append(attached + _mask_value(attached, word[2:], notes.append))
            pending, special = None, ()
            continue
        pending = (
            word if re.fullmatch(r"--?[A-Za-z][\w.-]*", word) and _is_secret_name(word) else None
        )
        masked.append(_mask_word(word, notes.append))
    return tuple(masked), notes


def _is_option_value(word: str) -> bool:
    return not word.startswith("-") or re.match(r"-\.?[0-9]", word) is not None


def _mask_value(name: str, value: str, note: Callable[[str], None]) -> str:
    if re.fullmatch(_HARMLESS, value) or (name.lower().endswith("token") and _is_count(value)):
        return value
    note(name)
    return MASK


def _is_count(value: str) -> bool:
    return re.fullmatch(r"-?[0-9]{1,6}", value) is not None


def _mask_word(word: str, note: Callable[[str], None]) -> str:
    assignment = re.fullmatch(r"([-+]{0,2}[A-Za-z_][\w./@-]*)=(.*)", word, re.DOTALL)
    if assignment and _is_secret_name(assignment[1]):
        name = assignment[1]
        return f"{name}={_mask_value(name, assignment[2], note)}"
    data = word.encode("utf-8", "surrogateescape")
    data = _mask_passwords(data, note)
    data = _mask_options(data, note)
    secrets = _search(data)
    for secret in secrets:
        note(secret.kind)
    return mask_text(data)[0].decode("utf-8", "surrogateescape") if secrets else _back(data)


def _back(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _mask_passwords(data: bytes, note: Callable[[str], None]) -> bytes:
    """Mask every password in an address, weak ones too: who typed it, meant it."""

    def replace(match: re.Match[bytes]) -> bytes:
        if re.fullmatch(_HARMLESS, _back(match[1])):
            return match[0]
        note("password in a URL")
        start, end = match.start(1) - match.start(), match.end(1) - match.start()
        return match[0][:start] + MASK.encode() + match[0][end:]

    return _pattern(_USERINFO).sub(replace, data) if b"://" in data else data


def _mask_options(data: bytes, note: Callable[[str], None]) -> bytes:
    """Mask the options of a command that is one word, as the one after `bash -c`."""

    def replace(match: re.Match[bytes]) -> bytes:
        name = _back(match[1])
        group = match.lastindex or 0
        if not _is_secret_name(name):
            return match[0]
        value = _mask_value(name, _back(match[group]), note).encode("utf-8", "surrogateescape")
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:start] + value + match[0][end:]

    return _pattern(_OPTION_VALUE).sub(replace, data) if b" " in data and b"-" in data else data
