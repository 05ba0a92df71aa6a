"""The text of a query cut into tokens, as `query.peg` names them; pure.

Knows what names, numbers and texts look like, which functions there are, and in which of them words
stand without quotes. Knows nothing of how tokens stand together.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from gittrack.errors import QueryError

__all__ = ["DEEPEST", "FUNCTIONS", "OF_CURVES", "OF_WORDS", "Token", "tokens"]

DEEPEST = 25
"""How many parentheses may be open at once."""

OF_CURVES = (
    *("min", "max", "first", "last", "count"),
    *("min_step", "max_step", "first_step", "last_step"),
)
"""The functions of a metric."""

OF_WORDS = ("ancestor", "descendant", "keeps", "reads", "touches", "uses")
"""The functions of runs, paths and packages: a condition by themselves."""

FUNCTIONS: dict[str, tuple[int, int]] = {
    **dict.fromkeys((*OF_CURVES, "abs", *OF_WORDS), (1, 1)),
    "touches": (1, 2),
}
"""The functions -> how many arguments each takes, at least and at most."""

_KEYWORDS = frozenset(("and", "or", "not", "in", "is", "null"))
_CONSTANTS = {"true": True, "false": False, "inf": float("inf")}

_TAIL = r"[\w@]+(?:\.[\w@]+)*"
_DOUBLE = r'"[^"]*(?:""[^"]*)*"'
_SPACE = r"\s*"

_TOKEN = re.compile(
    rf"(?P<quoted>(?:`\w+`|[^\W\d]\w*)\.(?:`[^`]+`|{_DOUBLE})|`\w+`\.{_TAIL}|`[^`]+`)"
    r"|(?P<name>[^\W\d][\w@]*(?:\.[\w@]+)*)"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))"
    rf"|(?P<text>'[^']*(?:''[^']*)*'|{_DOUBLE})"
    r"|(?P<match>=~)"
    r"|(?P<compare>[<>](?![=<>])|[<>!]=(?![=<>])|=(?![=<>]))"
    r"|(?P<plus>[-+])|(?P<times>[*/])|(?P<mark>[(),])"
)
_REVISIONS = re.compile(r"\s*(?:'([^']*)'|\"([^\"]*)\"|([^\s()'\"`,]+))")
_WORD = re.compile(r"([^\s,()'\"`](?:[^,()'\"`]*[^\s,()'\"`])?)\s*(?=[,)])")
_PARENTHESIS = re.compile(r"\s*\(")
_BLANK = re.compile(r"\s*")

_ODD = re.compile(r"[=<>!~&|]+|[^\W]+[\w.]*|\W", re.DOTALL)
_MEANT = {
    "==": "did you mean '='?",
    "===": "did you mean '='?",
    "<>": "did you mean '!='?",
    "=>": "did you mean '>='?",
    "=<": "did you mean '<='?",
    "&&": "did you mean 'and'?",
    "&": "did you mean 'and'?",
    "||": "did you mean 'or'?",
    "|": "did you mean 'or'?",
    "!": "did you mean 'not'?",
    "~": "did you mean '=~'?",
    "~=": "did you mean '=~'?",
    "!~": "write `not` before '=~': not x =~ '...'.",
    "!=~": "write `not` before '=~': not x =~ '...'.",
    "\x60": "write a name as `val loss`, with the same mark at its end.",
    **dict.fromkeys("\u2018\u2019\u201c\u201d\u00ab\u00bb", "texts stand in plain quotes: 'adam'."),
}


class Token:
    """One token: `type` is its kind in the grammar, `value` what it stands for.

    A name's value is the word before its first dot, or "", and the rest; a text's is the text and
    its quote.
    """

    __slots__ = ("end", "start", "type", "value")

    def __init__(self, type: str, value: Any, start: int, end: int) -> None:
        self.type = type
        self.value = value
        self.start = start
        self.end = end


def tokens(text: str, start: int, end: int) -> list[Token]:
    """Cut `text[start:end]` into tokens; the last one is of the type `end`.

    Raises:
        QueryError: there is something that no query may hold.
    """
    scanner = _Scanner(text, end)
    while (start := scanner.after_blanks(start)) < end:
        start = scanner.next(start)
    scanner.add("end", "", end, end)
    return scanner.found


class _Scanner:
    def __init__(self, text: str, end: int) -> None:
        self.text = text
        self.end = end
        self.found: list[Token] = []
        # For each parenthesis that is open, whether words stand in it.
        self.open: list[bool] = []

    def after_blanks(self, place: int) -> int:
        match = _BLANK.match(self.text, place, self.end)
        return match.end() if match else place

    def next(self, place: int) -> int:
        """Find the token at `place`, and say where it ends."""
        if self.open and self.open[-1] and self.found[-1].type in "(,":
            word = _WORD.match(self.text, place, self.end)
            if word:
                return self.add("word", word[1], place, word.end(1))
        match = _TOKEN.match(self.text, place, self.end)
        if match is None:
            self.complain(place)
        kind, raw, end = match.lastgroup or "", match[0], match.end()
        if kind == "name":
            return self.name(raw, place, end)
        if kind == "mark":
            return self.mark(raw, place, end)
        if kind == "number":
            return self.add(kind, self.number(raw, place, end), place, end)
        if kind == "text":
            return self.add(kind, _unquoted(raw), place, end)
        if kind == "quoted":
            return self.add("name", _parts(raw), place, end)
        return self.add(kind, raw, place, end)

    def add(self, kind: str, value: Any, start: int, end: int) -> int:
        self.found.append(Token(kind, value, start, end))
        return end

    def name(self, raw: str, start: int, end: int) -> int:
        """A word of the language, a function or a key."""
        word = raw.lower()
        if word in _KEYWORDS:
            self.add(word, word, start, end)
            return self.revisions(end) if word == "in" else end
        if word in ("like", "ilike"):
            return self.add("match", word, start, end)
        if word in _CONSTANTS:
            return self.add("constant", _CONSTANTS[word], start, end)
        if _PARENTHESIS.match(self.text, end, self.end):
            if word not in FUNCTIONS:
                self.refuse(f"no function named '{raw[:80]}'", start, end, _near(word))
            return self.add("function", word, start, end)
        head, dot, rest = raw.partition(".")
        return self.add("name", (head, rest) if dot else ("", head), start, end)

    def revisions(self, place: int) -> int:
        """What stands after `in`, unless it is a list."""
        match = _REVISIONS.match(self.text, place, self.end)
        if match is None:
            return place
        group = match.lastindex or 0
        self.add("revisions", match[group], match.start(group), match.end(group))
        return match.end()

    def mark(self, raw: str, start: int, end: int) -> int:
        """A comma or a parenthesis; how deep they nest does not depend on Python's own limit."""
        if raw == "(":
            if len(self.open) >= DEEPEST:
                self.refuse(f"more than {DEEPEST} parentheses are open here", start, end)
            self.open.append(bool(self.found) and self.found[-1].value in OF_WORDS)
        elif raw == ")" and self.open:
            self.open.pop()
        return self.add(raw, raw, start, end)

    def number(self, raw: str, start: int, end: int) -> int | float:
        try:
            return int(raw) if raw.isdigit() else float(raw)
        except ValueError:
            self.refuse("a number has too many digits", start, end)

    def complain(self, place: int) -> NoReturn:
        """Say what is wrong where no token begins."""
        match = _ODD.match(self.text, place, self.end)
        odd = match[0] if match else self.text[place]
        end = place + len(odd)
        if odd in "'\"`":
            self.refuse(f"the quote {odd} is never closed", place, end, _MEANT.get(odd))
        if odd[0].isdigit():
            hint = f"a text stands in quotes: '{odd[:80]}'."
            self.refuse(f"'{odd[:80]}' is neither a number nor a name", place, end, hint)
        shown = odd if odd.isprintable() else ascii(odd)[1:-1]
        self.refuse(f"'{shown[:80]}' means nothing in a query", place, end, _MEANT.get(odd))

    def refuse(self, reason: str, start: int, end: int, hint: str | None = None) -> NoReturn:
        raise QueryError(reason, text=self.text, start=start, end=end, hint=hint)


def _near(word: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word[:80], FUNCTIONS, n=1)
    return f"did you mean '{near[0]}'?" if near else f"there are {', '.join(FUNCTIONS)}."


def _unquoted(raw: str) -> tuple[str, str]:
    quote = raw[0]
    return raw[1:-1].replace(quote * 2, quote), quote


def _parts(raw: str) -> tuple[str, str]:
    """A name with quotes: what stands before the first dot outside of quotes, and the rest."""
    if raw[0] == "`" and raw.index("`", 1) == len(raw) - 1:
        return "", raw[1:-1]
    head, _, rest = raw.partition(".")
    return head.strip("`"), _unquoted(rest)[0] if rest[0] in '`"' else rest
