"""The rules of stages: where they are read, which counts, whom they refuse, in which words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gittrack import policy, whereabouts
from gittrack.errors import BadFile, GittrackError, StageRefused, UsageError
from gittrack.git import Repo
from gittrack.policy import Policy, Rule

PRODUCTION = '[track "stage.production"]\n'


def write(root: Path, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    (root / policy.FILE).write_bytes(data)


def rules(root: Path) -> Policy:
    """As a command reads them: without libgit2, wherever that is possible."""
    return policy.read(whereabouts.find(root))


# -- where they stand -----------------------------------------------------------------------------


def test_without_rules_everything_may_be(repo_dir: Path) -> None:
    found = rules(repo_dir)
    assert found.stages == () and found.rule("production") == Rule()
    found.check("9.9.9-rc.1", "anything", None)


FULL = """\
# What the team agreed upon.
[track]
\tstages = staging, int  production
[core]
\thooksPath = /nowhere
[track "stage.production"]
\tallow = <2.0
\tfrom = staging int
\trequire = metrics.f1 >= 0.9
\trequire = not dirty
\tcolour = red
[track "stage.int"]
\tfrom = none, staging
"""


def test_the_file_that_the_team_commits(repo_dir: Path) -> None:
    write(repo_dir, FULL)
    found = rules(repo_dir)
    assert found.stages == ("staging", "int", "production")
    assert found.rule("production") == Rule(
        "<2.0", ("staging", "int"), ("metrics.f1 >= 0.9", "not dirty")
    )
    assert found.rule("int") == Rule(None, ("none", "staging"), ())
    assert found.rule("staging") == Rule()
    assert rules(repo_dir / "src").stages == found.stages


def test_gits_settings_stand_before_the_file(repo_dir: Path, git: Any) -> None:
    """Each by itself: who tries something needs no commit for it."""
    write(repo_dir, FULL)
    git(repo_dir, "config", "track.stage.production.allow", "<3")
    git(repo_dir, "config", "--add", "track.stages", "alpha")
    git(repo_dir, "config", "--add", "track.stages", "beta,gamma")
    found = rules(repo_dir)
    assert found.stages == ("alpha", "beta", "gamma")
    assert found.rule("production").allow == "<3"
    assert found.rule("production").sources == ("staging", "int")
    git(repo_dir, "config", "--replace-all", "track.stage.production.allow", "")
    git(repo_dir, "config", "--replace-all", "track.stages", "")
    assert rules(repo_dir).rule("production").allow is None
    assert rules(repo_dir).stages == ()


def test_the_settings_of_a_command_count(repo_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git -c track.stage.production.allow='<2' track model promote ...`."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "track.stage.production.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "<2")
    assert rules(repo_dir).rule("production").allow == "<2"
    assert policy.read(whereabouts.of(Repo.open(repo_dir))).rule("production").allow == "<2"


def test_a_bare_repository_has_the_file_of_its_head(
    repo_dir: Path, git: Any, tmp_path: Path
) -> None:
    write(repo_dir, FULL)
    (repo_dir / ".gto").write_text("stages: [never]\n")
    git(repo_dir, "add", "-A")
    git(repo_dir, "commit", "-qm", "rules")
    git(tmp_path, "clone", "-q", "--bare", str(repo_dir), "hub.git")
    hub = tmp_path / "hub.git"
    assert rules(hub).stages == ("staging", "int", "production")
    write(repo_dir, "[track\nx")
    git(repo_dir, "commit", "-qam", "broken")
    git(repo_dir, "push", "-q", str(hub), "main")
    with pytest.raises(BadFile, match=r"\.gittrackconfig: line 1 "):
        rules(hub)
    git(repo_dir, "rm", "-q", "--cached", policy.FILE)
    git(repo_dir, "commit", "-qm", "gone")
    git(repo_dir, "push", "-q", str(hub), "main")
    assert rules(hub).stages == ("never",)


def test_a_linked_work_tree_and_an_empty_repository(
    repo_dir: Path, git: Any, tmp_path: Path
) -> None:
    git(repo_dir, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    write(tmp_path / "linked", FULL)
    assert rules(repo_dir).stages == ()
    assert rules(tmp_path / "linked").stages == ("staging", "int", "production")
    for words in (["init", "-q", "new"], ["init", "-q", "--bare", "bare"]):
        git(tmp_path, *words)
        assert rules(tmp_path / words[-1]).stages == ()


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("stages: [dev, prod]\n", ("dev", "prod")),
        ("types: [model]\n", ()),
        ("", ()),
        ("- a\n", ()),
        ("stages:\n", ()),
    ],
)
def test_the_stages_of_gto(repo_dir: Path, git: Any, text: str, stages: tuple[str, ...]) -> None:
    """Its users have said it once; and where we are told, we are."""
    (repo_dir / ".gto").write_text(text)
    assert rules(repo_dir).stages == stages
    write(repo_dir, "[track]\nstages = own")
    assert rules(repo_dir).stages == ("own",)


# -- hostile and broken ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[track\n", 1),
        ("[track]\n\nstages = a\n= b\n", 4),
        ('[track "x]\n', 1),
        (b'[track]\nstages = "a\n', 2),
        (b"\xff\xfe[\x00", 1),
    ],
)
def test_a_file_that_makes_no_sense_is_an_error_with_its_line(
    repo_dir: Path, text: str | bytes, line: int
) -> None:
    """Rules that are passed over because of a bracket are no rules."""
    write(repo_dir, text)
    with pytest.raises(BadFile, match=rf"\.gittrackconfig: line {line} is not") as raised:
        rules(repo_dir)
    assert raised.value.path == policy.FILE


def test_what_else_stands_in_it_does_nothing(repo_dir: Path, tmp_path: Path) -> None:
    """Whoever can push a branch can write it."""
    other = tmp_path / "other"
    other.write_text("[track]\nstages = stolen\n")
    write(
        repo_dir,
        f'[include]\npath = {other}\n[includeIf "gitdir:**"]\npath = {other}\n'
        "[core]\nfsmonitor = touch pwned\nsshCommand = touch pwned\n[alias]\nx = !touch pwned\n"
        '[track]\nsign = true\nexperiment = theirs\n[track "stage.x.y"]\nallow = <1\n'
        '[track "stage."]\nallow = no\n[track "stage.a\\nb"]\nallow = <1\n',
    )
    found = rules(repo_dir)
    assert found.stages == () and found.rule("production") == Rule()
    assert found.rule("x") == Rule()
    place = whereabouts.find(repo_dir)
    assert place.setting("track.sign") is None and place.setting("track.experiment") is None
    assert not (repo_dir / "pwned").exists()


def test_a_file_too_large_or_no_file_at_all(repo_dir: Path, git: Any, tmp_path: Path) -> None:
    for name, path in [(policy.FILE, repo_dir / policy.FILE), (".gto", repo_dir / ".gto")]:
        path.write_bytes(b"#" * (policy.LARGEST + 1))
        with pytest.raises(BadFile, match="too large"):
            rules(repo_dir)
        path.unlink()
        path.symlink_to("/dev/zero")
        with pytest.raises(BadFile, match="no plain file"):
            rules(repo_dir)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(BadFile, match="no plain file"):
            rules(repo_dir)
        path.unlink()
        path.mkdir()
        with pytest.raises(BadFile, match=f"{name}: it is no plain file"):
            rules(repo_dir)
        path.rmdir()
    for text in (
        "stages: 5",
        "stages: [1]",
        "stages: !!python/object/apply:os.system [id]",
        "a: [",
    ):
        (repo_dir / ".gto").write_text(text)
        with pytest.raises(BadFile, match=r"\.gto"):
            rules(repo_dir)


@pytest.mark.parametrize("line", ["allow", "from", "require", "from = ,", "ALLOW"])
@pytest.mark.parametrize("where", ["file", "config"])
def test_a_rule_without_a_value_is_no_open_door(
    repo_dir: Path, git: Any, line: str, where: str
) -> None:
    """Whoever wrote `from` and forgot the rest did not mean: from anywhere."""
    text = f"{PRODUCTION}\t{line}\n"
    if where == "file":
        write(repo_dir, text)
    else:
        with open(repo_dir / ".git" / "config", "a") as file:
            file.write(text)
    key = f"track.stage.production.{line.split()[0].lower()}"
    error = BadFile if where == "file" else UsageError
    with pytest.raises(
        error, match=f"{key} is a rule without a value".replace(".", r"\.")
    ) as caught:
        rules(repo_dir)
    assert (policy.FILE in caught.value.message) is (where == "file")
    assert caught.value.exit_code == (2 if where == "config" else caught.value.exit_code)


@pytest.mark.parametrize("name", ["stages", "allow", "from", "require"])
def test_an_empty_value_takes_a_rule_away(repo_dir: Path, git: Any, name: str) -> None:
    """As the documents say, and as Git has it for its own lists."""
    key = f"track.{name}" if name == "stages" else f"track.stage.production.{name}"
    git(repo_dir, "config", "--file", policy.FILE, key, "2.0")
    git(repo_dir, "config", key, "")
    found = rules(repo_dir)
    assert found.stages == () and found.rule("production") == Rule()


@pytest.mark.parametrize(
    "value", ["<<2", "two", "1.x.x.x", ">=1 <2 <", "<=1||", "latest", "<2\n[track]"]
)
@pytest.mark.parametrize("where", ["file", "config"])
def test_a_range_that_is_none_is_an_error_that_names_its_setting(
    repo_dir: Path, git: Any, value: str, where: str
) -> None:
    """Letting everything through would be the worst of all meanings."""
    if where == "file":
        git(repo_dir, "config", "--file", policy.FILE, "track.stage.production.allow", value)
    else:
        git(repo_dir, "config", "track.stage.production.allow", value)
    found = rules(repo_dir)
    named = r"^track\.stage\.production\.allow" + (" in .gittrackconfig" if where == "file" else "")
    with pytest.raises(UsageError, match=named):
        found.check("1.0.0", "production", None)
    with pytest.raises(UsageError, match=named):
        found.rule("production")
    found.check("1.0.0", "staging", None)


# -- what they say --------------------------------------------------------------------------------


def refusal(found: Policy, *asked: Any) -> str | None:
    try:
        found.check(*asked)
    except StageRefused as error:
        return f"{error.message}\n{error.hint}"
    return None


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (("1.9.9", "production", "staging"), None),
        (("1.9.9", "production", "int"), None),
        (("1.9.9", "production", "production"), None),
        (("2.0.0", "production", "staging"), "not within '<2.0'"),
        (("1.0.0", "production", None), "is in no stage, and production is open to those from"),
        (("1.0.0", "production", "archived"), "is in archived"),
        (("3.0.0", "int", None), None),
        (("3.0.0", "int", "staging"), None),
        (("3.0.0", "int", "production"), "from no stage or staging only"),
        (("3.0.0", "staging", "production"), None),
        (("3.0.0", "archived", None), None),
        (("1.0.0", "canary", None), "'canary' is no stage of this repository"),
    ],
)
def test_who_may_have_a_stage(repo_dir: Path, asked: Any, word: str | None) -> None:
    """`archived` is always open: what ends must be able to end."""
    write(repo_dir, FULL)
    said = refusal(rules(repo_dir), *asked)
    assert (said is None) if word is None else (said is not None and word in said), said
    if said is not None:
        assert policy.FILE in said and "track.stage" in said


def test_the_range_alone(repo_dir: Path) -> None:
    write(repo_dir, FULL)
    found = rules(repo_dir)
    found.check_version("1.0.0", "production")
    for version, stage in [("2.0.0", "production"), ("1.0.0", "canary")]:
        with pytest.raises(StageRefused):
            found.check_version(version, stage)


@pytest.mark.parametrize("stage", ["Production", "PRODUCTION", "production"])
def test_case_lets_no_rule_be_passed_over(repo_dir: Path, git: Any, stage: str) -> None:
    """Git's users expect that settings have none."""
    git(repo_dir, "config", f"track.stage.{stage}.allow", "<2")
    git(repo_dir, "config", "track.stages", f"{stage},Int")
    found = rules(repo_dir)
    assert refusal(found, "2.0.0", "production", None) is not None
    assert refusal(found, "1.0.0", "production", None) is None
    assert refusal(found, "1.0.0", "int", None) is None


def test_the_setting_that_refused_is_named_without_the_file(repo_dir: Path, git: Any) -> None:
    """Where it stands is where it is changed."""
    write(repo_dir, FULL)
    git(repo_dir, "config", "track.stage.production.allow", "<1")
    said = refusal(rules(repo_dir), "1.0.0", "production", "staging")
    assert said is not None and said.endswith("\ntrack.stage.production.allow says so.")
    (repo_dir / policy.FILE).unlink()
    (repo_dir / ".gto").write_text("stages: [dev]\n")
    said = refusal(rules(repo_dir), "1.0.0", "prod", None)
    assert said is not None and said.endswith("'stages' in .gto has: dev.")


# -- what they cost -------------------------------------------------------------------------------


class Counted(whereabouts.Place):
    """A place that notes what Git is asked."""

    __slots__ = ("asked",)

    def ask(self, *arguments: str) -> bytes | None:
        self.asked = [*getattr(self, "asked", []), arguments[0]]
        return super().ask(*arguments)


def test_git_is_asked_once_where_there_is_a_file_and_else_not(repo_dir: Path, git: Any) -> None:
    """A promotion is a command that people wait for."""
    for expected in ([], ["config"]):
        git_dir = os.fspath(repo_dir / ".git")
        place = Counted(git_dir, git_dir, os.fspath(repo_dir))
        policy.read(place)
        assert getattr(place, "asked", []) == expected
        write(repo_dir, FULL)


def test_no_error_but_ours(repo_dir: Path) -> None:
    """Whatever stands in the file."""
    import random

    rng = random.Random(4)
    pieces = ["[track]", '[track "stage.a"]', "stages", "=", "\n", "\\", '"', "allow", "<2", "\0"]
    for _ in range(40):
        write(repo_dir, "".join(rng.choice(pieces) for _ in range(12)))
        try:
            found = rules(repo_dir)
            found.check("1.0.0", "a", None)
        except GittrackError as error:
            assert error.message and "\n" not in error.message
