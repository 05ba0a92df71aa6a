"""Other tools on the registry: GTO, DVC and plain Git in a plain clone, or by URL.

What our commands wrote, read by programs that know nothing of gittrack. That the state is the same
after any history is shown in test_gto.py; here is one story, told alike by all.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import Git, Track
from gittrack import formats
from in_process import track_here
from remotes import directory_config, set_up


@pytest.fixture(scope="module")
def track() -> Any:
    """The command in this process: what only a process of its own shows is started as one."""
    return track_here


POINTER = ".gittrack/artifacts/model.joblib"
DECLARED = f"artifacts:\n  wine:\n    path: {POINTER}\n    type: model\n"
DEPLOY = '#!/bin/sh\ncat $1/model.joblib && echo " of $2 $3"\n'
TRAIN = "open('model.joblib', 'w').write({0!r}); print('f1: {0}')"


@dataclass(frozen=True)
class Story:
    """1.0.0 went to staging and production; 1.1.0 took production; 1.2.0 was in staging."""

    root: Path
    clone: Path
    elsewhere: Path

    @property
    def url(self) -> str:
        return self.root.as_uri()


@pytest.fixture(scope="module", autouse=True)
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep DVC's own state out of the machine, and its reports at home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("site")))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        yield


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, git: Git, track: Track) -> Story:
    """Its data is in the data remote and nowhere else."""
    top = tmp_path_factory.mktemp("story")
    root = top / "wine"
    root.mkdir()
    git(root, "init", "-q")
    set_up(root, directory_config(top / "store"))
    (root / "dvc.yaml").write_text(DECLARED)
    (root / ".gitignore").write_text("/model.joblib\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Train wine")
    for minor, f1 in enumerate(("0.91", "0.93", "0.92")):
        command = (sys.executable, "-c", TRAIN.format(f1))
        track(root, "run", "--out", "model.joblib", "--", *command, check=0)
        track(root, "model", "register", "latest", "wine", "--bump", "minor", check=0)
        track(root, "model", "promote", f"wine@v1.{minor}.0", "staging", check=0)
        if minor < 2:
            track(root, "model", "promote", f"wine@v1.{minor}.0", "production", check=0)
    track(root, "model", "demote", "wine@v1.2.0", "--reason", "too slow", check=0)
    track(root, "send", "--all", check=0)
    shutil.rmtree(root / ".dvc" / "cache")
    git(top, "clone", "-q", root.as_uri(), "clone")
    (top / "elsewhere").mkdir()
    return Story(root, top / "clone", top / "elsewhere")


def run(place: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout


def gto(place: Path, *words: str) -> str:
    return run(place, str(shutil.which("gto")), *words)


def dvc(place: Path, *words: str) -> str:
    return run(place, sys.executable, "-m", "dvc", *words)


# -- GTO ------------------------------------------------------------------------------------------


def test_gto_show_tells_who_holds_what(story: Story, track: Track) -> None:
    """Teams have it in their pipelines; in a plain clone it must tell what we tell."""
    (shown,) = json.loads(gto(story.clone, "show", "--json")).values()
    assert shown["version"] == "v1.2.0"
    assert shown["stage"] == {"production": "v1.1.0"}
    (ours,) = json.loads(track(story.clone, "model", "ls", "--json", check=0).stdout)
    assert (ours["latest"], ours["stages"]) == ("1.2.0", {"production": "1.1.0"})


def test_gto_show_of_a_model_lists_its_versions(story: Story) -> None:
    """With the tag that each one is."""
    found = json.loads(gto(story.clone, "show", "wine", "--json"))
    stages = {one["version"]: [s["stage"] for s in one["stages"]] for one in found}
    assert stages["v1.1.0"] == ["production"]
    assert {one["ref"] for one in found} == {f"wine@v1.{minor}.0" for minor in range(3)}


def test_gto_history_has_every_decision(story: Story, git: Git) -> None:
    """The tags are the audit trail: no more of them than GTO shows, and no fewer."""
    found = json.loads(gto(story.clone, "history", "--json"))
    assert {one["ref"] for one in found} == set(git(story.clone, "tag").split())
    events = [one["event"] for one in found]
    assert events.count("registration") == 3 and events.count("assignment") == 5


def test_gto_check_ref_says_what_a_tag_means(story: Story, git: Git, track: Track) -> None:
    """What `git track model on-tag` says, as far as GTO knows it."""
    taken = git(story.clone, "tag", "--list", "wine#production!#*").strip()
    asked = {"wine@v1.1.0": "registration", "wine#production#2": "assignment",
             taken: "unassignment"}  # fmt: skip
    for tag, event in asked.items():
        found = json.loads(gto(story.clone, "check-ref", tag, "--json"))
        ours = json.loads(track(story.clone, "model", "on-tag", tag, "--json", check=0).stdout)
        assert found["event"] == event and found["artifact"] == ours["model"] == "wine"
        assert found["version"] == f"v{ours['version']}"
        assert found.get("stage") == ours["stage"]
        assert found["commit_hexsha"] == ours["commit"]


# -- DVC ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["clone", "url"])
def test_dvc_get_fetches_the_artifact_of_a_version(
    story: Story, where: str, tmp_path: Path
) -> None:
    """The path is that of the pointer in the run, without its `.dvc`."""
    place = story.clone if where == "clone" else story.elsewhere
    source = "." if where == "clone" else story.url
    rev = "wine@v1.0.0" if where == "clone" else "wine#production#2"
    dvc(place, "get", source, POINTER, "--rev", rev, "-o", str(tmp_path / "model"))
    assert (tmp_path / "model").read_text() == "0.91"


@pytest.mark.parametrize(
    "where, asked, content",
    [
        ("clone", ("--stage", "production"), "0.93"),
        ("url", ("--stage", "production"), "0.93"),
        ("url", ("--rev", "v1.0.0"), "0.91"),
        ("url", ("--stage", "staging"), "0.92"),
    ],
)
def test_dvc_artifacts_get_by_name_where_the_project_declares_it(
    story: Story, where: str, asked: tuple[str, ...], content: str, tmp_path: Path
) -> None:
    """DVC takes the newest tag of a stage, whatever it says: nobody holds staging any more."""
    place = story.clone if where == "clone" else story.elsewhere
    source = "." if where == "clone" else story.url
    out = tmp_path / "model"
    dvc(place, "artifacts", "get", source, "wine", *asked, "-o", str(out))
    assert out.read_text() == content


# -- Git ------------------------------------------------------------------------------------------


def test_git_tag_tells_the_story(story: Story, git: Git) -> None:
    """The first line of each tag is a sentence."""
    told = dict(line.split(None, 1) for line in git(story.clone, "tag", "-n1").splitlines())
    assert told["wine@v1.0.0"].startswith("Register wine 1.0.0: model.joblib of ")
    assert told["wine#production#2"] == "Promote wine 1.0.0 to production"
    demoted = [line for line in told.values() if line == "Demote wine 1.2.0 from staging"]
    assert len(demoted) == 1


def test_git_show_of_a_version_is_the_run(story: Story, git: Git) -> None:
    """Who and why, then code, params, metrics: with nothing but Git."""
    shown = git(story.clone, "show", "wine@v1.1.0")
    for text in ("Tagger: Ada Lovelace", "Metric-F1: 0.93", "Run-Id: ", "+f1: 0.93"):
        assert text.lower() in shown.lower()
    form = "%(contents:trailers:key=Reason,valueonly)"
    reasons = git(story.clone, "for-each-ref", f"--format={form}", "refs/tags").split("\n")
    assert "too slow" in reasons


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")
def test_git_tag_v_verifies_what_was_signed(
    repo_dir: Path, tmp_path: Path, git: Git, track: Track
) -> None:
    """An auditor needs the keys and Git, and neither gittrack nor the repository it was made in."""
    key = tmp_path / "key"
    run(tmp_path, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    (tmp_path / "allowed").write_text(
        "ada@example.org " + key.with_suffix(".pub").read_text())  # fmt: skip
    settings = {
        "gpg.format": "ssh", "user.signingKey": str(key), "tag.gpgSign": "true",
        "gpg.ssh.allowedSignersFile": str(tmp_path / "allowed"),
    }  # fmt: skip
    for name, value in settings.items():
        git(repo_dir, "config", name, value)
    (repo_dir / "model.bin").unlink(missing_ok=True)
    command = (sys.executable, "-c", "open('model.bin', 'w').write('1')")
    track(repo_dir, "run", "--out", "model.bin", "--", *command, check=0)
    track(repo_dir, "model", "register", "latest", "wine", check=0)
    track(repo_dir, "model", "promote", "wine@v1.0.0", "production", check=0)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", repo_dir.as_uri(), str(clone))
    git(clone, "config", "gpg.ssh.allowedSignersFile", str(tmp_path / "allowed"))
    for tag in ("wine@v1.0.0", "wine#production#1"):
        git(clone, "tag", "-v", tag)
    found: dict[str, Any] = json.loads(
        track(clone, "model", "on-tag", "wine#production#1", "--json", check=0).stdout
    )
    assert found["current"] is True and found["artifact"]["path"] == "model.bin"


# -- CI -------------------------------------------------------------------------------------------

DOCUMENT = Path(__file__).parents[1] / "docs" / "registry.md"


def pipeline(name: str) -> Any:
    """A file of the document, by the name in its first line."""
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    (text,) = [block for block in blocks if block.startswith(f"# {name}\n")]
    return formats.load_untrusted(text.encode(), name)


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory, git: Git, track: Track) -> Path:
    """1.1.0 took production from 1.0.0; what they kept is in a data remote that came later.

    So did the script that deploys: the trees of the runs have neither.
    """
    top = tmp_path_factory.mktemp("late")
    root = top / "wine"
    root.mkdir()
    git(root, "init", "-q", "-b", "trunk")
    (root / ".gitignore").write_text("/model.joblib\n")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Train wine")
    for minor, f1 in enumerate(("0.91", "0.93")):
        command = (sys.executable, "-c", TRAIN.format(f1))
        track(root, "run", "--out", "model.joblib", "--", *command, check=0)
        track(root, "model", "register", "latest", "wine", "--bump", "minor", check=0)
        track(root, "model", "promote", f"wine@v1.{minor}.0", "production", check=0)
    set_up(root, directory_config(top / "store"))
    (root / "deploy.sh").write_text(DEPLOY)
    (root / "deploy.sh").chmod(0o755)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "Deploy wine")
    track(root, "send", "--all", check=0)
    # A host has no cache.
    host = top / "host.git"
    git(top, "clone", "-q", "--bare", root.as_uri(), str(host))
    return host


@pytest.fixture
def checkout(late: Path, git: Git, tmp_path: Path) -> Any:
    """`checkout(tag, branch)` is what a host has: one commit, and the tag without its annotation.

    The commit is that of the tag, or the last of a branch.
    """

    def made(tag: str, branch: str | None = None) -> Path:
        place = tmp_path / "job"
        place.mkdir()
        git(place, "init", "-q")
        git(place, "remote", "add", "origin", late.as_uri())
        if branch is not None:
            git(place, "fetch", "-q", "--no-tags", "--depth=1", "origin", branch)
            git(place, "checkout", "-q", "-b", branch, "FETCH_HEAD")
            return place
        commit = git(late, "rev-parse", f"refs/tags/{tag}^{{commit}}").strip()
        git(place, "fetch", "-q", "--no-tags", "--depth=1", "origin", f"+{commit}:refs/tags/{tag}")
        git(place, "checkout", "-q", "--force", f"refs/tags/{tag}")
        return place

    return made


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """`job(place, lines, **variables)` runs lines as a step of a host, which has no such pip."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "pip").write_text("#!/bin/sh\n")
    (own / "pip").chmod(0o755)

    def run(place: Path, lines: str, **variables: str) -> str:
        path = f"{own}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", lines], cwd=place, capture_output=True,
            text=True, env={**os.environ, "PATH": path, **variables},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def github(checkout: Any, job: Any, tag: str) -> str:
    """The lines of our workflow, as GitHub's runner runs them -> what they printed."""
    (steps,) = [one["steps"] for one in pipeline(".github/workflows/deploy.yml")["jobs"].values()]
    (own,) = [one for one in steps if one.get("uses", "").startswith("actions/checkout@")]
    branches = {"${{ github.event.repository.default_branch }}": "trunk", None: None}
    place = checkout(tag, branches[own.get("with", {}).get("ref")])
    outputs, said = place.parent / "outputs", []
    known: dict[str, str] = {}

    def filled(text: str) -> str:
        return re.sub(r"steps\.model\.outputs\.(\w+)", lambda m: repr(known[m[1]]), text)

    for step in steps:
        if "if" in step and not eval(filled(step["if"]).replace("&&", "and")):
            continue
        given = {
            key: ast.literal_eval(filled(value.removeprefix("${{ ").removesuffix(" }}")))
            for key, value in step.get("env", {}).items()
        }
        if "run" in step:
            own = {"GITHUB_REF": f"refs/tags/{tag}", "GITHUB_OUTPUT": str(outputs), "CI": "true"}
            said.append(job(place, step["run"], **own, **given))
        if step.get("id") == "model":
            known = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    return "".join(said)


def gitlab(checkout: Any, job: Any, tag: str) -> str:
    """The lines of our jobs, as GitLab's runner runs them, in the order of their stages."""
    file, place = pipeline(".gitlab-ci.yml"), checkout(tag)
    known, said = {"CI_COMMIT_TAG": tag, "CI_DEFAULT_BRANCH": "trunk", "CI": "true"}, []
    for name in ("model", "deploy"):
        pattern = file[name]["rules"][0]["if"].removeprefix("$CI_COMMIT_TAG =~ /").removesuffix("/")
        assert re.search(pattern, tag) and not re.search(
            pattern, tag.replace("production", "production!")
        )
        lines = [*file["default"]["before_script"], *file[name]["script"]]
        said.append(job(place, "\n".join(lines), **known))
        report = file[name].get("artifacts", {}).get("reports", {}).get("dotenv")
        if report:
            known |= dict(line.split("=", 1) for line in (place / report).read_text().splitlines())
    return "".join(said)


@pytest.mark.parametrize("host", [github, gitlab])
@pytest.mark.parametrize("version, deploys", [("1.1.0", True), ("1.0.0", False)])
def test_the_pipelines_in_the_document_deploy_what_holds_production(
    late: Path, git: Git, tmp_path: Path, checkout: Any, job: Any, host: Any, version: str,
    deploys: bool,
) -> None:  # fmt: skip
    """They are copied as they stand; a job that starts late must not bring the old one back.

    Runs from before the data remote are deployed too.
    """
    tags = git(late, "tag", "--list", "wine#production#*").split()
    (tag,) = [t for t in tags if f"Promote wine {version} " in git(late, "tag", "-n1", "-l", t)]
    said = host(checkout, job, tag)
    assert ("0.93 of wine 1.1.0" in said) is deploys
    assert (tmp_path / "job" / "deploy" / "model.joblib").exists() is deploys
    assert not re.search(r"^0\.9", said.replace("0.93 of wine 1.1.0", ""), re.MULTILINE)


def test_the_tree_of_a_run_from_before_the_data_remote_says_why_it_cannot_fetch(
    checkout: Any, job: Any
) -> None:
    """Whoever checks the tag out, as hosts do, else looks for a fault of the data remote."""
    place = checkout("wine@v1.1.0")
    job(place, "git fetch -q --force --depth=1 origin 'refs/tags/*:refs/tags/*'")
    said = job(place, "git track model path wine@production 2>&1 || true")
    assert "no data remote is set: " in said and ".dvc/config names none" in said
    assert "not of a branch: `git checkout BRANCH` brings" in said


def test_the_workflow_starts_on_promotions_to_production_and_nothing_else() -> None:
    """GitHub's patterns: `*` is anything but a slash, `**` anything."""
    (pattern,) = pipeline(".github/workflows/deploy.yml")["on"]["push"]["tags"]
    known = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    for tag, starts in (("wine#production#7", True), ("eu/wine#production#7", True),
                        ("wine#production!#8", False), ("wine#staging#7", False),
                        ("wine@v1.0.0", False)):  # fmt: skip
        assert (re.fullmatch(known, tag) is not None) is starts


def test_every_value_that_a_pipeline_gets_is_in_the_document(
    story: Story, track: Track, tmp_path: Path
) -> None:
    """Under both of its names."""
    env = {"GITHUB_OUTPUT": str(tmp_path / "outputs")}
    more = ("--dotenv", str(tmp_path / "dotenv"))
    track(story.clone, "model", "on-tag", "wine@v1.0.0", *more, check=0, env=env)
    text = DOCUMENT.read_text("utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| (`MODEL\w*`(?:, `\w+`)*) \|", text, re.MULTILINE)
    for column, name in enumerate(("outputs", "dotenv")):
        told = [one for row in rows for one in re.findall(r"\w+", row[column])]
        lines = (tmp_path / name).read_text().splitlines()
        assert sorted(told) == sorted(line.partition("=")[0] for line in lines)
