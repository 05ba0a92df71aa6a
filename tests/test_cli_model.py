"""`git track model`: the group, and the verbs that decide, by the real command."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import click
import pexpect
import pytest

from conftest import KINDS
from copies import copied
from gittrack import commits
from gittrack.cli.main import cli, main
from gittrack.cli.model import SUBVERBS, model
from gittrack.git import Repo
from gittrack.records import Artifact, Code, Run

_made = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "generate.py"))
AUTHOR, START = _made["AUTHOR"], _made["START"]
RUNS = {"amber-aaaaaa": 0.98, "brave-bbbbbb": 0.97, "calm-cccccc": 0.95}


class Done(NamedTuple):
    code: int
    out: str
    err: str


class World:
    """A repository with three runs, each with one model, and one run that kept nothing."""

    def __init__(self, root: Path, git: Any, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._git = git
        self._capsys = capsys
        os.chdir(root)

    def ask(self, *words: str) -> Done:
        """Run `git track model WORDS` in this process, errors and exit codes included."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["model", *words])
        out, err = self._capsys.readouterr()
        assert isinstance(end.value.code, int)
        assert "Traceback" not in out + err
        return Done(end.value.code, out, err)

    def say(self, *words: str) -> str:
        """What it answers, where all goes well."""
        done = self.ask(*words)
        assert (done.code, done.err) == (0, ""), done
        return done.out

    def tags(self) -> list[str]:
        """The tags that there are."""
        return str(self._git(self.root, "tag", "--list")).split()

    def two(self) -> World:
        """Two versions are registered, 1.0.0 is in production."""
        self.say("register", "amber", "wine")
        self.say("register", "brave", "wine", "--bump", "minor")
        self.say("promote", "wine@v1.0.0", "production")
        return self


def record(place: Path, number: int, name: str, **more: Any) -> None:
    """Write a run that began `number` minutes after noon."""
    repo = Repo.open(place)
    started = START + timedelta(minutes=number)
    run = Run(
        id=f"{number:04x}" + "0" * 28, name=name, experiment="default", status="finished",
        started=started, ended=started, code=Code(base=repo.head()[0]), **more,
    )  # fmt: skip
    commits.write(repo, run, tree=repo.empty_tree(), author=AUTHOR)


def fill(root: Path) -> Path:
    """Record the runs."""
    for number, (name, value) in enumerate(RUNS.items(), 1):
        kept = (Artifact("model.joblib", f"{number}" * 32, 20),)
        record(root, number, name, artifacts=kept, metrics={"accuracy": value})
    record(root, 9, "empty-eeeeee", metrics={"accuracy": 0.1})
    return root


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each test gets a copy of."""
    return fill(KINDS["plain"](tmp_path_factory.mktemp("world")).root)


@pytest.fixture
def world(untouched: Path, tmp_path: Path, git: Any, capsys: pytest.CaptureFixture[str]) -> World:
    return World(copied(untouched, tmp_path / "repo"), git, capsys)


# -- the group ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SUBVERBS))
def test_the_table_says_what_the_command_says(name: str) -> None:
    """The overview is written down apart so that it loads nothing; it must not drift."""
    command = model.get_command(click.Context(model), name)
    assert command is not None and command.name == name
    assert (command.help or "").split("\n")[0].strip() == SUBVERBS[name].line
    assert re.search(r"^ *\$ .*git track model ", command.help or "", re.MULTILINE)
    for param in command.params:
        if isinstance(param, click.Option):
            assert param.help and param.help.endswith("."), param.name


def test_help_lists_the_verbs_in_groups_and_loads_none(repo_dir: Path) -> None:
    """`git track model -h` is to be as cheap as `git track -h`."""
    program = (
        "import sys\nfrom gittrack.cli.main import main\n"
        "try:\n    main(['model', '-h'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(*[n for n in sys.modules if n.startswith('gittrack.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.split() == [f"gittrack.cli.{n}" for n in ("output", "main", "model")]
    for section in {verb.section for verb in SUBVERBS.values()}:
        assert f"\n{section}:\n" in done.stdout
    assert re.findall(r"^  ([a-z-]+)  ", done.stdout, re.MULTILINE)[-len(SUBVERBS) :] == [
        name
        for section in dict.fromkeys(verb.section for verb in SUBVERBS.values())
        for name, verb in SUBVERBS.items()
        if verb.section == section
    ]


def test_no_verb_is_wrong_usage(world: World) -> None:
    """Help, but not an answer: scripts must notice."""
    done = world.ask()
    assert (done.code, done.out) == (2, "") and "Decide:" in done.err
    done = world.ask("promot")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: 'promot' is no verb of git track model\n"
        "hint: did you mean 'git track model promote'? 'git track model -h' lists the verbs.\n"
    )


def test_registry_is_another_name(repo_dir: Path, track: Any) -> None:
    """As the design calls it; one of the two is shown."""
    assert "Decide:" in track(repo_dir, "registry", "-h", check=0).stdout
    assert "registry" not in cli.list_commands(click.Context(cli))
    done = track(repo_dir, "registry", "promote", "wine@v1", "production")
    assert (done.returncode, done.stdout) == (2, "")


# -- what is said ---------------------------------------------------------------------------------


def test_the_tour(world: World, git: Any) -> None:
    """One line each; what plain Git tells of it reads as well."""
    assert world.say("register", "amber:model.joblib", "wine") == (
        "wine@v1.0.0 is amber-aaaaaa (accuracy 0.98)\n"
    )
    said = world.say("promote", "wine@v1.0.0", "production", "--require", "accuracy >= 0.97")
    assert said == "wine@v1.0.0 now holds production (before: nobody)\n"
    assert world.say("register", "brave", "wine", "--bump", "minor", "-m", "More trees.") == (
        "wine@v1.1.0 is brave-bbbbbb (accuracy 0.97)\n"
    )
    assert world.say("promote", "wine@latest", "staging") == (
        "wine@v1.1.0 now holds staging (before: nobody)\n"
    )
    assert world.say("promote", "wine@staging", "production", "--reason", "the audit") == (
        "wine@v1.1.0 now holds production (before: v1.0.0); left staging\n"
    )
    assert world.say("rollback", "wine", "production", "--reason", "slow") == (
        "production of wine is back at v1.0.0 (before: v1.1.0)\n"
    )
    assert world.say("alias", "wine@production", "champion") == (
        "wine@champion is now v1.0.0 (before: nothing)\n"
    )
    assert world.say("alias", "wine@v1.1.0", "champion") == (
        "wine@champion is now v1.1.0 (before: v1.0.0)\n"
    )
    assert world.say("alias", "wine", "champion", "--delete") == (
        "wine@champion is gone (before: v1.1.0)\n"
    )
    assert world.say("demote", "wine@production") == "wine@v1.0.0 no longer holds production\n"
    assert world.say("promote", "wine@v1.0.0", "staging") == (
        "wine@v1.0.0 now holds staging (before: nobody)\n"
    )
    assert world.say("archive", "wine@v1.0.0") == "wine@v1.0.0 is now archived (before: staging)\n"
    assert world.say("unregister", "wine@v1.0.0") == (
        "wine@v1.0.0 is taken back (it held archived)\n"
    )
    assert world.say("deprecate", "wine") == "wine is deprecated\n"
    shown = git(world.root, "for-each-ref", "--format=%(refname:short) %(subject)", "refs/tags")
    for line in (
        "wine@v1.1.0 Register wine 1.1.0: model.joblib of brave-bbbbbb",
        "wine#production#1 Promote wine 1.0.0 to production",
        "wine#champion#8 Point champion of wine at 1.0.0",
    ):
        assert line in shown.split("\n"), shown


def test_that_a_run_failed_is_said(world: World) -> None:
    """It may be registered, and nobody should do so unawares."""
    repo = Repo.open(world.root)
    run = Run(
        id="f" * 32, name="dire-dddddd", experiment="default", status="failed", started=START,
        ended=START, code=Code(base=repo.head()[0]), metrics={"accuracy": 0.5},
        artifacts=(Artifact("model.joblib", "d" * 32, 20),),
    )  # fmt: skip
    commits.write(repo, run, tree=repo.empty_tree(), author=AUTHOR)
    assert world.say("register", "dire", "wine") == (
        "wine@v1.0.0 is dire-dddddd (failed, accuracy 0.5)\n"
    )


def test_paragraphs_are_told_on_one_line(world: World) -> None:
    """A message of two paragraphs is words, not a text with escapes in it."""
    world.say("register", "amber", "wine", "-m", "More trees.", "-m", "And more data.")
    world.say("describe", "wine", "-m", "Which wine.\n\nBy its chemistry.")
    for words in (("show", "wine@v1.0.0"), ("history", "wine")):
        told = world.ask(*words).out
        assert "More trees. And more data." in told and "\\n" not in told
    assert "Which wine. By its chemistry." in world.ask("show", "wine").out


def test_who_held_the_stage_is_demoted_or_archived(world: World) -> None:
    """MLflow's archive_existing_versions is an option."""
    world.two()
    said = world.say("promote", "wine@v1.1.0", "production", "--archive-existing")
    assert said == "wine@v1.1.0 now holds production (before: v1.0.0, archived now)\n"
    said = world.say("promote", "wine@v1.0.0", "production", "--demote-existing")
    assert said == "wine@v1.0.0 now holds production (before: v1.1.0)\n"


def test_an_alias_is_not_demoted(world: World) -> None:
    """Who said champion did not mean that production becomes empty."""
    world.two()
    world.say("alias", "wine@v1.0.0", "champion")
    world.say("alias", "wine@v1.1.0", "rival")
    before = world.ask("history", "wine").out
    done = world.ask("demote", "wine@champion")
    assert done.code == 2 and "'wine@champion' is an alias, and no stage" in done.err
    assert "`git track model alias wine champion --delete`" in done.err
    assert "`git track model demote wine@v1.0.0`" in done.err
    assert "demote wine@v1.1.0" not in world.ask("demote", "wine@rival").err
    assert world.ask("history", "wine").out == before
    assert world.say("demote", "wine@v1.0.0") == "wine@v1.0.0 no longer holds production\n"


NOTNEEDED = [
    (("register", "amber", "wine"), "wine@v1.0.0 is amber-aaaaaa already (accuracy 0.98)"),
    (("register", "amber", "wine", "--version", "v1.0.0"), "wine@v1.0.0 is amber-aaaaaa already "
     "(accuracy 0.98)"),
    (("promote", "wine@v1.0.0", "production"), "wine@v1.0.0 holds production already"),
    (("promote", "wine@production", "production"), "wine@v1.0.0 holds production already"),
    (("demote", "wine@v1.1.0"), "wine@v1.1.0 holds no stage"),
    (("alias", "wine", "champion", "-d"), "there is no wine@champion"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), NOTNEEDED)
def test_what_is_so_already_is_not_said_again(
    world: World, words: tuple[str, ...], said: str
) -> None:
    """A script that runs twice must not fail, and leave no second tag."""
    before = world.two().tags()
    assert world.say(*words) == f"{said}\n"
    document = json.loads(world.say(*words, "--json"))
    assert (document["status"], document["tags"]) == ("notneeded", [])
    assert world.tags() == before


def test_secrets_are_masked_and_that_is_said(world: World, git: Any) -> None:
    """A tag is pushed to everybody, and never changed: what it holds stays readable for ever."""
    secret = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
    done = world.ask("register", "amber", "wine", "-m", f"made with {secret}")
    assert (done.code, done.err) == (0, "masked what looks like a secret\n")
    done = world.ask("promote", "wine@v1.0.0", "production", "--reason", f"token {secret}")
    assert (done.code, done.err) == (0, "masked what looks like a secret\n")
    assert secret not in git(world.root, "for-each-ref", "--format=%(contents)", "refs/tags")


def test_a_tag_is_made_by_the_committer(
    world: World, git: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `git tag` has it: a pipeline that names both says who decided."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", role)
        monkeypatch.setenv(f"GIT_{role}_EMAIL", f"{role}@example.org")
    world.say("register", "amber", "wine")
    form = "--format=%(taggername) %(taggeremail)"
    assert git(world.root, "tag", "--list", form).strip() == "COMMITTER <COMMITTER@example.org>"


def test_the_second_time_of_what_is_for_ever(world: World) -> None:
    """As above, where it takes a first time."""
    world.two()
    for words, said in (
        (("archive", "wine@v1.1.0"), "wine@v1.1.0 is archived already"),
        (("alias", "wine@v1.0.0", "best"), "wine@best is v1.0.0 already"),
        (("unregister", "wine@v1.1.0"), "wine@v1.1.0 is taken back already"),
        (("deprecate", "wine"), "wine is deprecated already"),
    ):
        world.say(*words)
        before = world.tags()
        assert world.say(*words) == f"{said}\n"
        assert world.tags() == before


PLANS = [
    (("register", "calm", "wine"), "wine@v1.1.1 would be calm-cccccc (accuracy 0.95)"),
    (("register", "calm", "beer"), "beer@v1.0.0 would be calm-cccccc (accuracy 0.95)"),
    (
        ("promote", "wine@v1.1.0", "production"),
        "wine@v1.1.0 would hold production (before: v1.0.0)",
    ),
    (("promote", "wine@v1.0.0", "archived"), "wine@v1.0.0 would be archived (before: production)"),
    (("demote", "wine@production"), "wine@v1.0.0 would lose production"),
    (("archive", "wine@v1.0.0"), "wine@v1.0.0 would be archived (before: production)"),
    (("alias", "wine@v1.0.0", "best"), "wine@best would be v1.0.0 (before: nothing)"),
    (("unregister", "wine@v1.0.0"), "wine@v1.0.0 would be taken back (it held production)"),
    (("deprecate", "wine"), "wine would be deprecated"),
]


@pytest.mark.parametrize(("words", "said"), PLANS)
def test_a_plan_is_what_then_happens(world: World, words: tuple[str, ...], said: str) -> None:
    """It writes nothing, and names the tags that are written afterwards."""
    before = world.two().tags()
    assert world.say(*words, "-n") == f"{said}\n"
    plan = json.loads(world.say(*words, "--dry-run", "--json"))
    assert world.tags() == before
    done = json.loads(world.say(*words, "--json"))
    assert (plan.pop("status"), done.pop("status")) == ("planned", "done")
    assert sorted(done["tags"]) == sorted({*world.tags()} - {*before})
    assert plan["tags"] == done["tags"] and plan["stage"] == done["stage"]
    for one in ("version", "former"):
        assert (plan[one] or {}).get("tag") == (done[one] or {}).get("tag")


def test_the_document_of_a_promotion(world: World) -> None:
    """What a pipeline reads: the names of fields are those of `show --json`."""
    world.two()
    words = ("promote", "wine@v1.1.0", "production", "--archive-existing", "--json")
    document = json.loads(world.say(*words))
    assert document.keys() == {"status", "stage", "tags", "version", "former"}
    assert document["stage"] == "production"
    assert document["tags"] == ["wine#production#2", "wine#production!#3", "wine#archived#4"]
    version, former = document["version"], document["former"]
    assert (version["model"], version["version"], version["tag"]) == (
        "wine",
        "1.1.0",
        "wine@v1.1.0",
    )
    assert (version["stage"], former["stage"]) == ("production", "archived")
    assert version["run"]["name"] == "brave-bbbbbb" and version["is_live"] is True
    assert version["artifact"]["path"] == "model.joblib"


def test_again_decides_anew(world: World) -> None:
    """The way out of a contest."""
    before = world.two().tags()
    said = world.say("promote", "wine@v1.0.0", "production", "--again")
    assert said == "wine@v1.0.0 now holds production (before: v1.0.0)\n"
    assert {*world.tags()} - {*before} >= {"wine#production#2"}


def test_one_model_alone_is_what_it_is_among_the_others(repo_dir: Path, git: Any) -> None:
    """A decision reads the tags of its model only: of none that has a like name, and all of it."""
    from gittrack import registry, whereabouts

    for name in ("wine", "wine-red", "wine/red", "wine2", "white/wine", "shop=wine", "a/shop=wine"):
        for tag in (
            f"{name}@v1.0.0", f"{name}@v1.0.0!#9", f"{name}@v2.0.0#4", f"{name}#prod#1",
            f"{name}#eu/prod/a#2", f"{name}#eu/prod/a!#3", f"{name}@deprecated#7", f"{name}#x",
        ):  # fmt: skip
            git(repo_dir, "tag", "-a", "-m", "x", tag)
    git(repo_dir, "tag", "wine@v3.0.0")
    place = whereabouts.find(repo_dir)
    known = registry.read(place)
    assert len(known.models) == 7 and "a/shop:wine" in known.models
    for name, found in known.models.items():
        alone = registry.read(place, name)
        assert alone.models == {name: found}
        assert alone.problems == tuple(
            one for one in known.problems if re.split("[@#]", one.tag)[0].replace("=", ":") == name
        )
    for name in ("win", "red", "wine*", "?ine", "[w]ine", "", "*", "wine@v1.0.0"):
        assert name not in registry.read(place, name).models


# -- how others get to know it --------------------------------------------------------------------


@pytest.mark.parametrize("words", [words for words, _ in PLANS])
def test_the_command_that_shares_it_works_as_it_is_printed(
    world: World, words: tuple[str, ...], git: Any, tmp_path: Path
) -> None:
    """Names with `#` and `!` have to reach Git through any shell."""
    world.two()
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(world.root, "remote", "add", "hub", str(tmp_path / "hub.git"))
    before = world.tags()
    done = world.ask(*words)
    assert done.code == 0
    label, _, command = done.err.strip().partition(": ")
    assert label == "only here so far" and command.startswith("git push ")
    subprocess.run(["bash", "-c", command], cwd=world.root, check=True, capture_output=True)
    there = git(tmp_path / "hub.git", "tag", "--list").split()
    assert sorted(there) == sorted({*world.tags()} - {*before})


def test_several_tags_are_shared_all_or_none(world: World, git: Any) -> None:
    """What follows from a promotion must not arrive without it."""
    git(world.two().root, "remote", "add", "hub", "/nowhere")
    git(world.root, "remote", "add", "origin", "/nowhere")
    done = world.ask("promote", "wine@v1.1.0", "production")
    assert "git push --atomic origin 'wine#production#2' 'wine#production!#3'\n" in done.err
    git(world.root, "config", "track.remote", "hub")
    assert world.ask("demote", "wine@production").err.endswith("push hub 'wine#production!#4'\n")
    for words in (("demote", "wine@v1.1.0"), ("archive", "wine@v1.0.0", "-n")):
        assert world.ask(*words).err == ""


def test_of_many_tags_the_decision_is_shared_first(world: World, git: Any, tmp_path: Path) -> None:
    """A host starts no pipeline by a tag that arrives with three others, and production would not
    be deployed; what only follows may come later, for the state is the same without it."""
    from gittrack import registry, whereabouts

    hub = tmp_path / "hub.git"
    git(world.two().root, "init", "-q", "--bare", str(hub))
    git(world.root, "remote", "add", "origin", str(hub))
    world.ask("promote", "wine@v1.1.0", "staging")
    git(world.root, "push", "-q", "origin", "--tags")
    done = world.ask("promote", "wine@v1.1.0", "production", "--archive-existing")
    first, second = done.err.strip().removeprefix("only here so far: ").split(" && ")
    assert first == "git push origin 'wine#production#3'"
    assert second == (
        "git push --atomic origin 'wine#staging!#4' 'wine#production!#5' 'wine#archived#6'"
    )
    boards = []
    for command in (first, second):
        subprocess.run(["bash", "-c", command], cwd=world.root, check=True, capture_output=True)
        known = registry.read(whereabouts.find(hub)).models["wine"]
        boards.append([(one.stage, one.version) for one in known.holdings if one.stage[0] != "a"])
    assert boards[0] == boards[1] == [("production", "1.1.0")]


def test_on_a_terminal_the_command_stands_back(world: World, git: Any) -> None:
    """The answer is what is read; NO_COLOR is respected."""
    git(world.two().root, "remote", "add", "origin", "/nowhere")
    for more, start in (({}, "\x1b[2m"), ({"NO_COLOR": "1"}, "")):
        command = [
            sys.executable,
            "-m",
            "gittrack",
            "model",
            "alias",
            f"wine@v1.{len(more)}.0",
            "a",
        ]
        env = {**os.environ, **more}
        child = pexpect.spawn(command[0], command[1:], cwd=str(world.root), env=env, timeout=20)
        said = child.read().decode().split("\r\n")
        child.close()
        assert child.exitstatus == 0
        assert said[0].startswith("wine@a is now v1.") and said[1].startswith(f"{start}only here")


# -- bad input ------------------------------------------------------------------------------------

LONG = "a" * 101
NAMES = [
    "", " ", "-", "-n.", "wine ", " wine", "a b", "wine.", ".wine", "wine..red", "wine.lock",
    "a/.b", "a//b", "/wine", "wine/", "wi#ne", "wi@ne", "wine@v1.0.0", "wi!ne", "wi~ne", "wi^ne",
    "wi:ne:red", "wi?ne", "wi*ne", "wi[ne", "wi\\ne", "wi\nne", "wi\x1b[2Jne", "wi\u202ene",
    "wein\u00e9",    "$(id)", "`id`", ";id", "'", '"', "a=b", "wine\udcff", "@{", LONG,
]  # fmt: skip
VERSIONS = [
    "", "1", "1.0", "v", "vv1.0.0", "1.0.0.0", "01.0.0", "1.00.0", "-1.0.0", "1.0.0-", "1.0.0+",
    "1.0.0-01", "1.0.0 ", "1.0.0\n", "1.0.x", "latest", "1.0.0!", "1.0.0#1", "1.0.0-a b",
    "\u0661.0.0",    "1.0.0-" + "a" * 120, "9" * 5000 + ".0.0", "1.0.0-\x1b[2J", "1.0.0-\udcff",
]  # fmt: skip
STAGES = [
    "", " ", "Production", "prod uction", "prod#1", "prod!", "prod@", "v1", "1.0.0", "latest",
    "deprecated", "created", "none", "head", "-prod", "prod-", "_prod", "prod/eu", "prod.eu",
    "../x", "pr\nod", "pr\x1b[2Jod", "\u0440rod", "prod\udcff", LONG,
]  # fmt: skip


def refused(world: World, code: int, *words: str) -> Done:
    """It ends with this code, few lines that a terminal can show, and no tag more."""
    before = world.tags()
    done = world.ask(*words)
    assert (done.code, done.out) == (code, ""), done
    assert done.err.startswith("error: ")
    assert len(done.err.splitlines()) <= 4 and len(done.err) < 2000
    assert all(char == "\n" or char.isprintable() for char in done.err), done.err
    assert world.tags() == before
    return done


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, git: Any) -> Path:
    """One repository for all that is refused."""
    root = tmp_path_factory.mktemp("shared") / "repo"
    root.mkdir()
    git(root, "init", "-q")
    git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    return fill(root)


@pytest.fixture
def there(shared: Path, git: Any, capsys: pytest.CaptureFixture[str]) -> World:
    """As `two`, made once."""
    made = World.__new__(World)
    made.root, made._git, made._capsys = shared, git, capsys
    if made.tags():
        os.chdir(shared)
        return made
    return World(shared, git, capsys).two()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_that_no_model_may_have(there: World, name: str) -> None:
    """Wrong usage, wherever such a name stands; Git would refuse some, and GTO read others."""
    # What begins with a dash is an option unless one says otherwise.
    refused(there, 2, "register", "--", "amber", name)
    for verb in (["rollback", "--", name, "production"], ["deprecate", "--", name]):
        refused(there, 2, *verb)
    if "@" not in name:
        refused(there, 2, "promote", "--", f"{name}@v1.0.0", "production")


@pytest.mark.parametrize("version", VERSIONS, ids=lambda text: ascii(text[:20]))
def test_versions_that_are_none(there: World, version: str) -> None:
    """The grammar is that of semver.org."""
    refused(there, 2, "register", "calm", "wine", f"--version={version}")
    if version[:1].isdigit() and version != "latest":
        refused(there, 2, "promote", f"wine@{version}", "production")
        refused(there, 2, "unregister", f"wine@v{version}")


@pytest.mark.parametrize("stage", STAGES, ids=ascii)
def test_stages_that_are_none(there: World, stage: str) -> None:
    """A stage that looks like a version, or is spelled in another case, would be taken for it."""
    refused(there, 2, "promote", "--", "wine@v1.1.0", stage)
    refused(there, 2, "alias", "--", "wine@v1.1.0", stage)
    refused(there, 2, "rollback", "--", "wine", stage)


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ("promote", "wine", "production"), "'wine' names no version"),
        (2, ("promote", "wine@", "production"), "'wine@' names no version"),
        (2, ("promote", "@v1.0.0", "production"), "'@v1.0.0' names no version"),
        (2, ("promote", "wine@{1}", "production"), "names no version"),
        (2, ("promote", "wine@v1.1.0"), "missing argument 'STAGE'"),
        (2, ("register", "amber", "wine", "--bump", "huge"), "'huge' is not one of"),
        (2, ("register", "calm", "wine", "--bump", "major", "--version", "3.0.0"), "together"),
        (2, ("register", "calm:model.joblib", "wine", "--no-artifact"), "together"),
        (2, ("unregister", "wine@production"), "may be another version tomorrow"),
        (2, ("unregister", "wine@latest"), "may be another version tomorrow"),
        (2, ("promote", "wine@v1.1.0", "production", "--require", "acuracy > 1"), "'acuracy'"),
        (2, ("promote", "wine@v1.1.0", "production", "--require", "("), ""),
        (2, ("promote", "wine@v1.1.0", "production", "--require", ""), ""),
        (1, ("promote", "wine@v1.1.0", "production", "--require", "accuracy > 2"), "accuracy > 2"),
        (1, ("promote", "wine@v9.0.0", "production"), "there is no 'v9.0.0' of 'wine'"),
        (1, ("promote", "wine@champion", "production"), "there is no 'champion' of 'wine'"),
        (1, ("promote", "whine@v1.0.0", "production"), "there is no model 'whine'"),
        (1, ("demote", "wine@staging"), "there is no 'staging' of 'wine'"),
        (1, ("rollback", "wine", "production"), "nobody held production of 'wine' before"),
        (1, ("rollback", "wine", "staging"), "nobody held staging"),
        (1, ("deprecate", "whine"), "there is no model 'whine'"),
        (1, ("register", "nobody", "wine"), "no run named 'nobody'"),
        (1, ("register", "calm:weights.bin", "wine"), "has no artifact 'weights.bin'"),
        (1, ("register", "calm:../model.joblib", "wine"), "has no artifact"),
        (1, ("register", "model.joblib", "wine"), "no run named 'model.joblib'"),
        (1, ("register", "empty", "wine"), "'empty-eeeeee' kept no artifacts"),
        (1, ("register", "calm", "wine", "--version", "1.1.0"), "version 1.1.0"),
        (1, ("register", "amber", "wine", "--version", "5.0.0"), "'amber-aaaaaa' is wine@v1.0.0"),
        (2, ("register", "calm", "WINE"), "case"),
        (2, ("promote", "wine@v1.1.0", "production", "--reaso", "x"), "no option '--reaso'"),
    ],
)  # fmt: skip
def test_what_is_refused(there: World, code: int, words: tuple[str, ...], said: str) -> None:
    """2 for what makes no sense anywhere, 1 for what this registry has not or forbids."""
    done = refused(there, code, *words)
    assert said in done.err


def test_a_model_that_is_deprecated_gets_nothing_more(world: World) -> None:
    """Who did it is said, however hostile the name."""
    world.two()._git(world.root, "config", "user.name", "E\x1b[2Jve")
    world.say("deprecate", "wine", "--reason", "too old")
    for words in (
        ("promote", "wine@v1.1.0", "production"), ("register", "calm", "wine"),
        ("alias", "wine@v1.0.0", "best"), ("archive", "wine@v1.1.0"),
    ):  # fmt: skip
        assert "'wine' is deprecated" in refused(world, 1, *words).err
    world.say("demote", "wine@production")


def test_a_version_that_was_taken_back_holds_nothing_again(world: World) -> None:
    """Its number is used up, too."""
    world.two().say("unregister", "wine@v1.0.0", "--reason", "trained on the test set")
    assert "was taken back" in refused(world, 1, "promote", "wine@v1.0.0", "production").err
    assert "1.0.0" in refused(world, 1, "register", "calm", "wine", "--version", "1.0.0").err
    assert world.say("register", "amber", "wine").startswith("wine@v1.1.1 is amber-aaaaaa")


def test_tags_of_others(world: World, git: Any) -> None:
    """What GTO wrote counts; a lightweight tag does not, and is in the way of none but its name."""
    git(world.root, "tag", "-a", "-m", "Registering artifact", "beer@v0.1.0", "HEAD")
    assert world.say("promote", "beer@v0.1.0", "staging") == (
        "beer@v0.1.0 now holds staging (before: nobody)\n"
    )
    git(world.root, "tag", "wine@v1.0.0", "HEAD")
    refused(world, 1, "register", "amber", "wine", "--version=1.0.0")
    world.say("register", "amber", "wine", "--version=1.0.1")


def test_a_run_without_artifacts_can_be_a_version(world: World) -> None:
    """It is said, so that nobody does it by mistake."""
    assert world.say("register", "empty", "wine", "--no-artifact") == (
        "wine@v1.0.0 is empty-eeeeee (accuracy 0.1)\n"
    )


def test_a_plain_clone_decides_as_well(world: World, git: Any, track: Any, tmp_path: Path) -> None:
    """It has the tags, and no run by name."""
    world.two()
    git(tmp_path, "clone", "-q", str(world.root), "clone")
    done = track(tmp_path / "clone", "model", "promote", "wine@v1.1.0", "staging", check=0)
    assert done.stdout == "wine@v1.1.0 now holds staging (before: nobody)\n"
    assert done.stderr == "only here so far: git push origin 'wine#staging#2'\n"
    assert world.tags() == ["wine#production#1", "wine@v1.0.0", "wine@v1.1.0"]


def test_outside_of_a_repository(tmp_path: Path, track: Any) -> None:
    """A name that is none is wrong usage even here."""
    done = track(tmp_path, "model", "promote", "wine@v1.0.0", "production", check=1)
    assert "is not in a Git repository" in done.stderr
    track(tmp_path, "model", "promote", "wine@v1.0.0", "Production", check=2)


# -- completion -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def completion() -> str:
    """What `completion bash` prints: that it is evaluated as the help has it, a real shell shows
    below."""
    command = [sys.executable, "-m", "gittrack", "completion", "bash"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def offered(place: Path, line: str, before: str = "") -> set[str]:
    """What a real bash offers at the end of a line."""
    function = "_git_track" if line.startswith("git ") else "_gittrack_line"
    script = (
        f"{completion()}\n"
        f'git-track() {{ {sys.executable} -m gittrack "$@"; }}\n'
        f"{before}\nCOMP_LINE='{line}' COMP_POINT={len(line)}; {function}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=place, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git track mod", {"model"}),
        ("git track model pro", {"promote"}),
        ("git track registry pro", {"promote"}),
        ("git track model register am", {"amber-aaaaaa"}),
        ("git track model register amber:", {"model.joblib"}),
        ("git track model register amber w", {"wine"}),
        ("git track model register best:", {"accuracy"}),
        ("git track model promote w", {"wine@"}),
        # Readline keeps what stands before the at sign, and puts in the sign with the rest.
        ("git track model promote wine@", {"@v1.1.0", "@v1.0.0", "@production", "@latest"}),
        ("git track model promote wine@v1.1", {"@v1.1.0"}),
        ("git track model promote wine@v1.1.0 pr", {"production"}),
        ("git track model promote wine@v1.1.0 ", {"staging", "production", "archived"}),
        ("git track model demote wine@pro", {"@production"}),
        ("git track model rollback w", {"wine"}),
        ("git track model rollback wine st", {"staging"}),
        ("git track model unregister wine@v1.0", {"@v1.0.0"}),
        ("git track model promote --ag", {"--again"}),
        ("git track show wine@pro", {"@production"}),
        ("git track show win", {"wine@"}),
        ("git track diff wine@v1.0.0 wine@lat", {"@latest"}),
        ("git track model promote beer@", set()),
    ],
)
def test_completion_in_a_real_bash(there: World, line: str, expected: set[str]) -> None:
    """Verbs of verbs, models, versions, stages."""
    assert offered(there.root, line) == expected


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("git-track model demote wine@pro", "git-track model demote wine@production"),
        ("git-track model show wine@v1.1", "git-track model show wine@v1.1.0"),
        ("git-track model show win", "git-track model show wine@"),
    ],
)
@pytest.mark.parametrize("cut", ["-s", "-u"])
def test_what_the_tab_key_makes_of_a_line(there: World, cut: str, typed: str, line: str) -> None:
    """Readline itself joins what was typed and what is offered; no at sign may get lost."""
    script = there.root / "completion.bash"
    script.write_text(
        f'eval "$({sys.executable} -m gittrack completion bash)"\n'
        f'git-track() {{ {sys.executable} -m gittrack "$@"; }}\n'
        f"shopt {cut} hostcomplete; PS1='> '; bind 'set enable-bracketed-paste off'\n"
    )
    shell = pexpect.spawn(
        "bash", ["--rcfile", str(script), "-i"], cwd=str(there.root), encoding="utf-8", timeout=10,
        dimensions=(24, 200), env=os.environ | {"TERM": "dumb"},
    )  # fmt: skip
    try:
        shell.expect_exact("> ")
        shell.send(f"{typed}\t\x01echo Line: \r")
        shell.expect(r"\nLine: ([^\r\n]*)")
        assert shell.match.group(1).strip() == line
    finally:
        shell.close(force=True)


def test_completion_where_words_are_not_cut_at_the_at_sign(there: World) -> None:
    """Whoever took it out of COMP_WORDBREAKS gets the whole word."""
    line, before = "git track model demote wine@pro", "COMP_WORDBREAKS=' :='"
    assert offered(there.root, line, before) == {"wine@production"}
