"""`git track model on-tag`: what a pipeline is told of the tag that started it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import outputs
from in_process import track_here
from registered import OTHER, RUN, Wine

FETCH = "git fetch --force origin 'refs/tags/*:refs/tags/*'"


@pytest.fixture
def track() -> Track:
    """`track(place, *arguments)`, in this process."""
    return track_here


@pytest.fixture
def wine(repo_dir: Path, tmp_path: Path) -> Wine:
    """Two versions; production went from the first to the second."""
    made = Wine(repo_dir, tmp_path / "scratch")
    made.register("1.0.0")
    made.register("1.1.0", OTHER)
    made.tag("wine#production#1", RUN, version="1.0.0", previous="none")
    made.tag("wine#production#2", OTHER, version="1.1.0", previous="wine#production#1",
             reason="passed the audit")  # fmt: skip
    made.tag("wine#production!#3", RUN, version="1.0.0", previous="wine#production#1",
             because="wine#production#2")  # fmt: skip
    return made


def told(track: Track, place: Path, tag: str, **settings: Any) -> dict[str, Any]:
    done = track(place, "model", "on-tag", tag, "--json", check=0, **settings)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- what it says ---------------------------------------------------------------------------------


def test_a_promotion_says_all_that_a_deployment_needs(wine: Wine, track: Track) -> None:
    """A pipeline that has to ask again elsewhere may get another answer."""
    found = told(track, wine.root, "refs/tags/wine#production#2")
    assert {key: found[key] for key in ("model", "action", "version", "stage", "current")} == {
        "model": "wine", "action": "assign", "version": "1.1.0", "stage": "production",
        "current": True,
    }  # fmt: skip
    assert found["former"] == {"version": "1.0.0", "tag": "wine#production#1"}
    assert found["commit"] == wine.commits[OTHER]
    assert (found["by"], found["email"]) == ("Ada Lovelace", "ada@example.org")
    assert found["reason"] == "passed the audit" and found["contested"] is None
    assert (found["run"]["experiment"], found["run"]["name"]) == ("default", OTHER)
    assert found["artifact"]["path"] == "model.joblib"
    assert found["artifact"]["md5"] == wine.md5s[OTHER] and found["artifact"]["size"] == len(OTHER)
    assert found["missing"] == []


@pytest.mark.parametrize(
    "tag, current, said",
    [
        ("wine@v1.0.0", True, "wine@v1.0.0 is registered"),
        ("wine#production#1", False, "wine@v1.0.0 held production; now v1.1.0 does"),
        ("wine#production#2", True, "wine@v1.1.0 holds production (before: v1.0.0)"),
        ("wine#production!#3", True, "wine@v1.0.0 does not hold production any more"),
        ("wine@v1.2.0", False, "wine@v1.2.0 was taken back since"),
        ("wine@v1.2.0!", True, "wine@v1.2.0 was taken back"),
        ("wine#staging#4", False, "wine@v1.0.0 held staging; now nobody does"),
        ("wine#canary!#7", False, "wine@v1.0.0 holds canary again"),
        ("beer@deprecated", True, "beer is deprecated"),
    ],
)  # fmt: skip
def test_each_kind_of_tag_is_told_in_a_sentence_with_what_became_of_it(
    wine: Wine, track: Track, tag: str, current: bool, said: str
) -> None:
    """A job may start late: what was pushed need not hold when it runs."""
    wine.register("1.2.0")
    wine.tag("wine@v1.2.0!", version="1.2.0")
    wine.tag("wine#staging#4", version="1.0.0", previous="none")
    wine.tag("wine#staging!#5", version="1.0.0", previous="wine#staging#4")
    for number, end in ((6, ""), (7, "!"), (8, "")):
        wine.tag(f"wine#canary{end}#{number}", version="1.0.0")
    wine.tag("beer@deprecated")
    assert told(track, wine.root, tag)["current"] is current
    shown = track(wine.root, "model", "on-tag", tag, check=0)
    first, who, *_ = shown.stdout.splitlines()
    assert first == said and who.startswith("  by Ada Lovelace, 20") and shown.stderr == ""


def test_an_alias_that_is_not_the_reason_is_told_apart_from_a_stage(
    wine: Wine, track: Track
) -> None:
    """A pipeline that deploys stages must not take a movable name for one."""
    wine.tag("wine#champion#4", OTHER, version="1.1.0", kind="alias", previous="none")
    assert told(track, wine.root, "wine#champion#4")["alias"] is True
    assert told(track, wine.root, "wine#production#2")["alias"] is False


def test_a_contest_is_told_by_both_tags_of_it(wine: Wine, track: Track) -> None:
    """Two people promoted at once: neither job may go on as if nothing was the matter."""
    wine.tag("wine#production#4", RUN, version="1.0.0", previous="wine#production#1")
    assert told(track, wine.root, "wine#production#4")["contested"] == (
        "wine#production#4: Ada Lovelace gave v1.0.0 production when v1.0.0 held it;"
        " v1.1.0 did by then (Ada Lovelace)"
    )
    wine.tag("wine#production#5", RUN, version="1.0.0", previous="wine#production#4")
    assert told(track, wine.root, "wine#production#5")["contested"] is None


def test_a_tag_that_says_of_its_run_what_the_record_does_not_is_told_so(
    wine: Wine, track: Track, git: Git
) -> None:
    """The record is what was kept; a tag can say anything, and a pipeline must not deploy on it."""
    wine.tag("wine@v2.0.0", RUN, version="2.0.0", artifact="model.joblib", run_id=wine.ids[RUN],
             artifact_hash=wine.md5s[OTHER], run=f"default/{OTHER}")  # fmt: skip
    found = told(track, wine.root, "wine@v2.0.0")
    assert found["artifact"]["md5"] == wine.md5s[RUN] and found["run"]["name"] == RUN
    assert "its tag says model.joblib is" in found["contested"]
    wine.commits["head"] = git(wine.root, "rev-parse", "HEAD").strip()
    wine.tag("beer@v1.0.0", "head")
    other = told(track, wine.root, "beer@v1.0.0")
    assert (other["contested"], other["run"], other["current"]) == (None, None, True)


# -- what is no answer ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag, said",
    [
        ("v1.0", "is no tag of the registry"),
        ("refs/heads/main", "is no tag of the registry"),
        ("wine@1.0.0", "is no tag of the registry"),
        ("wine@v9.0.0", "there is no tag 'wine@v9.0.0' here"),
        ("wine@v3.0.0", "it is a lightweight tag"),
        ("wine#production#8", "the tag 'wine#production#8' does not count: "),
        ("wine@v4.0.0!", "it takes back version 4.0.0, which is not registered"),
        ("wine@v5.0.0", "does not count: the tag was made under another name"),
        ("", "is no tag of the registry"),
    ],
)
def test_a_tag_that_does_not_count_is_an_error_that_says_why(
    wine: Wine, track: Track, git: Git, tag: str, said: str
) -> None:
    """Whoever may push tags, and no more, must not be able to start a deployment."""
    git(wine.root, "tag", "v1.0")
    git(wine.root, "tag", "wine@v3.0.0", wine.commits[RUN])
    git(wine.root, "update-ref", "refs/tags/wine@v5.0.0", "refs/tags/wine@v1.0.0")
    wine.commits["head"] = git(wine.root, "rev-parse", "HEAD").strip()
    wine.tag("wine#production#8", "head", version="1.0.0")
    wine.tag("wine@v4.0.0!", version="4.0.0")
    outs = wine.root / "outs"
    done = track(wine.root, "model", "on-tag", tag, check=1, env={"GITHUB_OUTPUT": str(outs)})
    assert said in done.stderr and done.stdout == "" and not outs.exists()


def test_a_tag_that_the_checkout_made_lightweight_says_what_brings_it_back(
    wine: Wine, track: Track, git: Git, tmp_path: Path
) -> None:
    """actions/checkout did so up to version 6.0.1 (actions/checkout#290)."""
    place = tmp_path / "clone"
    git(tmp_path, "clone", "-q", wine.root.as_uri(), str(place))
    git(place, "update-ref", "refs/tags/wine#production#2", wine.commits[OTHER])
    done = track(place, "model", "on-tag", "wine#production#2", check=1)
    assert "it is a lightweight tag" in done.stderr and FETCH in done.stderr
    subprocess.run(FETCH, shell=True, cwd=place, check=True, capture_output=True)
    assert told(track, place, "wine#production#2")["current"] is True


def test_a_lightweight_tag_alone_says_what_brings_it_back(
    wine: Wine, track: Track, git: Git, tmp_path: Path
) -> None:
    """The same with fetch-depth: 1, where no other tag tells that there is such a model."""
    place = tmp_path / "clone"
    place.mkdir()
    git(place, "init", "-q")
    git(place, "fetch", "-q", "--no-tags", "--depth=1", wine.root.as_uri(),
        f"+{wine.commits[OTHER]}:refs/tags/wine#production#2")  # fmt: skip
    done = track(place, "model", "on-tag", "wine#production#2", check=1)
    assert "nobody says who made it" in done.stderr and FETCH in done.stderr


def test_in_a_checkout_of_one_tag_what_cannot_be_known_is_not_made_up(
    wine: Wine, track: Track, git: Git, tmp_path: Path
) -> None:
    """CI fetches the one commit and tag that it was started for, and nothing else."""
    place = tmp_path / "clone"
    place.mkdir()
    git(place, "init", "-q")
    git(place, "remote", "add", "origin", wine.root.as_uri())
    ref = "refs/tags/wine#production#2"
    git(place, "fetch", "-q", "--no-tags", "--depth=1", "origin", f"+{ref}:{ref}")
    git(place, "checkout", "-q", "--detach", ref)
    done = track(place, "model", "on-tag", ref, "--json", check=0)
    found = json.loads(done.stdout)
    assert found["current"] is None and found["holder"] is None
    assert (found["version"], found["stage"], found["reason"]) == (
        "1.1.0", "production", "passed the audit")  # fmt: skip
    assert found["former"] == {"version": None, "tag": "wine#production#1"}
    assert found["missing"] == ["wine#production#1", "wine@v1.1.0"]
    assert "wine@v1.1.0 did not come with this clone" in done.stderr and FETCH in done.stderr
    subprocess.run(FETCH, shell=True, cwd=place, check=True, capture_output=True)
    again = track(place, "model", "on-tag", ref, "--json", check=0)
    assert json.loads(again.stdout) == told(track, wine.root, ref) and again.stderr == ""


@pytest.mark.parametrize(
    "gone, tag, current, lacking",
    [
        # Whether production is still there depends on what came later.
        ("wine#production#5", "wine#production#2", None, "5"),
        ("wine#production#5", "wine#staging!#4", None, "5"),
        # Who was given it last holds it, whatever is missing before.
        ("wine#production#2", "wine#production#6", True, "2"),
        ("wine#production#2", "wine#production#1", False, "2"),
    ],
)
def test_in_a_checkout_of_some_tags_what_depends_on_the_others_is_not_known(
    wine: Wine, track: Track, git: Git, gone: str, tag: str, current: bool | None, lacking: str
) -> None:
    """A pipeline would deploy what lost its stage; a tag that somebody deleted long ago must not
    stop all pipelines for ever."""
    wine.tag("wine#staging!#4", RUN, version="1.0.0")
    wine.tag("wine#production#5", RUN, version="1.0.0", previous="wine#production#2")
    if current is not None:
        wine.tag("wine#production#6", OTHER, version="1.1.0", previous="wine#production#5")
    else:
        wine.tag("wine#champion#6", OTHER, version="1.1.0", kind="alias", previous="none")
    git(wine.root, "tag", "-d", gone)
    done = track(wine.root, "model", "on-tag", tag, "--json", check=0)
    found = json.loads(done.stdout)
    assert found["current"] is current and found["gaps"] == [[int(lacking)] * 2]
    assert f"numbers {lacking} of wine are missing here" in done.stderr and FETCH in done.stderr
    shown = track(wine.root, "model", "on-tag", tag, check=0).stdout
    assert ("now is not known here" in shown) is (current is None)
    problems = track(wine.root, "model", "ls", "--problems", check=0)
    assert f"numbers {lacking} of wine have no tag here" in problems.stderr


# -- outputs --------------------------------------------------------------------------------------


def github(text: str) -> dict[str, str]:
    """Step outputs as GitHub's runner reads them (FileCommandManager.cs in actions/runner)."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and (heredoc < 0 or equals < heredoc):
            key, _, value = line.partition("=")
        else:
            assert heredoc > 0, f"the runner fails on {line!r}"
            key, _, end = line.partition("<<")
            many = []
            while (one := next(lines)) != end:
                many.append(one)
            value = "\n".join(many)
        found[key] = value
    return found


HOSTILE = (
    "fine\nversion=9.9.9\nmodel<<EOF\nevil\nEOF\r\nstage=evil\rcurrent=true\n"
    "::set-output name=x::y\n\x1b[2J\u2028holder=x $HOME $(id) `id` \u202e"
)


def test_outputs_are_appended_for_github(wine: Wine, track: Track) -> None:
    """Another step may have written before, and not ended its line."""
    outs = wine.root / "outs"
    outs.write_text("mine=1")
    told(track, wine.root, "wine#production#2", env={"GITHUB_OUTPUT": str(outs)})
    found = github(outs.read_text())
    assert found["mine"] == "1"
    assert found["current"] == "true" and found["alias"] == "false"
    assert found["run"] == f"default/{OTHER}" and found["holder"] == "1.1.0"
    assert (found["former"], found["because"]) == ("1.0.0", "")
    assert found["artifact_md5"] == wine.md5s[OTHER]


def test_no_message_of_a_tag_sets_another_output(wine: Wine, track: Track, git: Git) -> None:
    """Whoever writes a tag writes its message: it must not decide what is deployed."""
    hostile = wine.root / "hostile"
    hostile.write_bytes(b"Promote wine\n\n" + HOSTILE.encode() + b"\n\nVersion: 1.0.0\n"
                        b"Artifact: x\rversion=9\n")  # fmt: skip
    git(wine.root, "tag", "-a", "--cleanup=verbatim", "-F", "hostile", "wine#production#4",
        wine.commits[RUN])  # fmt: skip
    outs = wine.root / "outs"
    env = {"GITHUB_OUTPUT": str(outs)}
    track(wine.root, "model", "on-tag", "wine#production#4", "--dotenv", "v.env", check=0, env=env)
    found = github(outs.read_bytes().decode())
    clean = wine.root / "clean"
    track(wine.root, "model", "on-tag", "wine#production#2", check=0,
          env={"GITHUB_OUTPUT": str(clean)})  # fmt: skip
    assert found.keys() == github(clean.read_text()).keys()
    assert (found["model"], found["version"], found["stage"]) == ("wine", "1.0.0", "production")
    assert "version=9.9.9" in found["reason"] and "\r" not in outs.read_bytes().decode()
    assert "\x1b" not in outs.read_text()
    written = (wine.root / "v.env").read_text()
    variables = dict(line.split("=", 1) for line in written.splitlines())
    assert len(variables) == len(written.splitlines()) == len(found)
    assert (variables["MODEL"], variables["MODEL_VERSION"]) == ("wine", "1.0.0")
    assert "$$HOME $$(id)" in variables["MODEL_REASON"]
    assert all(key == "MODEL" or key.startswith("MODEL_") for key in variables)


def test_the_end_of_a_value_is_none_that_stands_in_it() -> None:
    """Chance is enough for a program that asks again."""
    marks = iter(["a", "b", "c"])
    assert outputs.github({"x": "1\na\nb"}, mark=lambda: next(marks)) == "x<<c\n1\na\nb\nc\n"


def test_a_dotenv_report_is_one_that_gitlab_takes(wine: Wine, track: Track) -> None:
    """20 variables and 5 KiB, unless the server allows more: else the job fails."""
    wine.tag("wine#staging#4", version="1.0.0", body="x" * 30_000, previous="none")
    (wine.root / "v.env").write_text("OLD=1\n" * 100)
    track(wine.root, "model", "on-tag", "wine#staging#4", "--dotenv", "v.env", check=0)
    text = (wine.root / "v.env").read_text()
    assert len(text) < 5120 and len(text.splitlines()) <= 20 and "OLD=1" not in text


def test_a_file_of_outputs_that_cannot_be_written_is_an_error(wine: Wine, track: Track) -> None:
    """A step that seems to have worked, and set nothing, deploys nothing and says nothing."""
    for more, env in (((), {"GITHUB_OUTPUT": "/nowhere/outs"}), (("--dotenv", "/nowhere/x"), {})):
        done = track(wine.root, "model", "on-tag", "wine@v1.0.0", *more, check=1, env=env)
        assert "/nowhere/" in done.stderr and "No such file" in done.stderr
