"""What the registry of models costs: the board, a model, a version, decisions; beside `gto show`.

    python benchmarks/registry.py --gto PROGRAM

The registry has as many tags as a team makes in years, on runs in a repository of very many. GTO
reads the same tags. `--place DIRECTORY` keeps the repository there, to be used again.
"""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import synthetic
from measure import Claim, arguments, ground, median_costs, process, report

from gittrack import inscriptions

_READING, _WRITING = "import click, sqlite3", "import click, pygit2, yaml"
_BOARD, _PROMOTED, _OF_GTO = 2.5, 1.7, 0.1
_MODELS = 10
_BEGAN = 1_767_268_800
_TAGGER = "Ada Lovelace <ada@example.org>"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print -> 0, or 1 where a target is missed."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--tags", type=int, default=1_000)
    parser.add_argument("--place", type=Path, help="where the repository stays")
    parser.add_argument("--gto", metavar="PROGRAM", default=shutil.which("gto"))
    given = parser.parse_args(argv)
    with ExitStack() as stack:
        place = stack.enter_context(ground())
        kept = place if given.place is None else given.place.absolute()
        made = _repository(kept, given.runs, given.tags)
        claims = _measured(made, given.gto, given.rounds)
    return report(f"The registry: {given.tags:,} tags over {given.runs:,} runs", claims)


def _measured(place: Path, gto: str | None, rounds: int) -> list[Claim]:
    cases: dict[str, Callable[[], None]] = {
        "reading": process([sys.executable, "-c", _READING], place),
        "writing": process([sys.executable, "-c", _WRITING], place),
        "ls": process(["git-track", "model", "ls"], place),
        "show": process(["git-track", "model", "show", "model-0"], place),
        "version": process(["git-track", "model", "show", "model-0@v1.0.0"], place),
        "json": process(["git-track", "model", "show", "model-0@v1.0.0", "--json"], place),
        "promote": _promotion(place),
    }
    if gto is not None and _works(gto):
        cases["gto"] = process([gto, "show"], place)
    else:
        print("gto is not here: left out", file=sys.stderr)
    cost = {name: found.cpu for name, found in median_costs(cases, rounds=rounds).items()}
    reading, writing = f"python -c '{_READING}'", f"python -c '{_WRITING}'"
    verbs = {
        "ls": "git track model ls",
        "show": "git track model show NAME",
        "version": "git track model show NAME@VERSION",
        "json": "git track model show NAME@VERSION --json",
    }
    claims = [Claim(verb, reading, cost[n], cost["reading"], _BOARD) for n, verb in verbs.items()]
    if "gto" in cost:
        claims += [Claim(verb, "gto show", cost[n], cost["gto"], _OF_GTO)
                   for n, verb in verbs.items()]  # fmt: skip
    claims.append(
        Claim("git track model promote", writing, cost["promote"], cost["writing"], _PROMOTED)
    )
    return claims


def _works(program: str) -> bool:
    found = shutil.which(program)
    return found is not None and not subprocess.run([found, "-h"], capture_output=True).returncode


def _promotion(place: Path) -> Callable[[], None]:
    """A case that gives a stage to one of two versions, and the next time to the other one."""
    turns = itertools.cycle(["model-0@v1.0.0", "model-0@v1.1.0"])
    words = ["git-track", "model", "promote"]
    last = _held(place)

    def run() -> None:
        nonlocal last
        last = next(turn for turn in turns if turn != last)
        process([*words, last, "benchmark"], place)()

    return run


def _held(place: Path) -> str | None:
    """Who has the stage from an earlier measurement."""
    from gittrack import registry, whereabouts

    model = registry.read(whereabouts.find(place)).models["model-0"]
    held = model.holding("benchmark")
    return None if held is None else f"model-0@v{held.version}"


# -- the repository -------------------------------------------------------------------------------


def _repository(place: Path, runs: int, tags: int) -> Path:
    made = place / f"registry-{runs}-{tags}"
    if not made.exists():
        print(f"making {runs:,} runs and {tags:,} tags", file=sys.stderr)
        waiting = place / f"waiting-{runs}-{tags}"
        synthetic.repository(waiting, runs=runs)
        subprocess.run(
            ["git", "fast-import", "--quiet"], cwd=waiting, check=True,
            input="".join(_tags(waiting, tags)).encode(),
        )  # fmt: skip
        subprocess.run(["git", "pack-refs", "--all"], cwd=waiting, check=True)
        waiting.rename(made)
    # The first one makes the index, and is not measured.
    process(["git-track", "model", "ls"], made)()
    return made


def _tags(place: Path, count: int) -> Iterator[str]:
    """So many tags, as our commands write them: versions of ten models, and most promoted."""
    form = "--format=%(objectname) %(refname:lstrip=2)"
    told = subprocess.run(["git", "for-each-ref", form, "refs/runs"], cwd=place, check=True,
                          capture_output=True, text=True)  # fmt: skip
    runs = [line.split(" ", 1) for line in told.stdout.splitlines()]
    dice = random.Random(0)
    dice.shuffle(runs)
    for number in range(_MODELS):
        own = count // _MODELS + (number < count % _MODELS)
        yield from itertools.islice(_model(f"model-{number}", runs[number::_MODELS], dice), own)


def _model(name: str, runs: Sequence[Sequence[str]], dice: random.Random) -> Iterator[str]:
    counter = 0
    held: dict[str, tuple[str, str]] = {}
    for minor, (commit, run) in enumerate(runs):
        version, moment = f"1.{minor}.0", _BEGAN + minor * 3600
        trailers = {"Artifact": "model.joblib", "Artifact-Hash": f"{dice.getrandbits(128):032x}",
                    "Artifact-Size": "20000000", "Run": run, "Version": version,
                    "Metric-accuracy": "0.91"}  # fmt: skip
        subject = f"Register {name} {version}: model.joblib of {run.rpartition('/')[2]}"
        yield _tag(f"{name}@v{version}", commit, moment, subject, trailers)
        stage = ("staging", "production", "production", "archived")[dice.randrange(4)]
        counter += 1
        tag = f"{name}#{stage}#{counter}"
        before, former = held.get(stage, ("none", ""))
        trailers = {"Version": version, "Previous": before, "Reason": "passed the audit"}
        subject = f"Promote {name} {version} to {stage}"
        yield _tag(tag, commit, moment + 60, subject, trailers)
        if former and stage != "archived":
            counter += 1
            trailers = {"Previous": before, "Because": tag}
            subject = f"Demote {name} from {stage}"
            yield _tag(f"{name}#{stage}!#{counter}", former, moment + 60, subject, trailers)
        held[stage] = (tag, commit)


def _tag(name: str, commit: str, moment: int, subject: str, trailers: dict[str, str]) -> str:
    text = inscriptions.compose(subject, "", trailers.items())
    return (
        f"tag {name}\nfrom {commit}\ntagger {_TAGGER} {moment} +0000\n"
        f"data {len(text.encode())}\n{text}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
