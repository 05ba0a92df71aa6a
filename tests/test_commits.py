"""A run is one commit: written whole, read with suspicion, one bad one hides no other."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from gittrack import commits, refs
from gittrack.errors import BrokenRecord, RunExists
from gittrack.git import Identity, Repo
from gittrack.records import Code, Environment, Row, Run
from gittrack.refs import RunRef

START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=timezone.utc)
ADA = Identity("Ada Lovelace", "ada@example.org")
NAME = "calm-lynx-0xw8nc"


def run_of(repo: Repo, name: str = NAME, **fields: object) -> Run:
    known = {
        "status": "finished",
        "ended": START + timedelta(seconds=4.2),
        "exit_code": 0,
        "code": Code(base=repo.head()[0], dirty=True),
        "params": {"opt.lr": 0.1},
        "metrics": {"acc": 0.98},
        "environment": Environment(cores=2),
    }
    return Run(id="0123456789abcdef" * 2, name=name, experiment="default", started=START,
               **{**known, **fields})  # type: ignore[arg-type]  # fmt: skip


def snapshot(repo: Repo) -> str:
    base = repo.head()[0]
    return repo.empty_tree() if base is None else repo.read_commit(base).tree


def write(repo: Repo, run: Run, **more: object) -> RunRef:
    return commits.write(repo, run, tree=snapshot(repo), author=ADA, **more)  # type: ignore[arg-type]


@pytest.fixture
def repo(repo_dir: Path) -> Repo:
    return Repo.open(repo_dir)


def test_what_is_written_is_read_in_every_kind_of_repository(every_repo, git) -> None:
    """The whole value comes back; Git finds nothing wrong; the tree is the code plus the record."""
    repo = Repo.open(every_repo.path)
    run = run_of(repo)
    rows = (Row(0, 0.5, {"acc": 0.5}), Row(1, 1.0, {"acc": 0.98}))
    ref = write(repo, run, rows=rows, log=b"out\n")
    again = Repo.open(every_repo.path)
    assert commits.load(again, ref) == replace(run, commit=ref.commit)
    assert commits.load_series(again, ref) == rows
    assert commits.output(again, ref) == b"out\n"
    assert commits.listing(again, [ref]).runs == (commits.summarize(commits.load(again, ref)),)
    names = git(every_repo.root, "ls-tree", "-z", "--name-only", ref.commit).split("\0")[:-1]
    before = git(every_repo.root, "ls-tree", "-z", "--name-only", snapshot(repo)).split("\0")[:-1]
    assert sorted(names) == sorted([*before, ".gittrack"])
    if every_repo.kind != "shallow":
        git(every_repo.root, "fsck", "--strict", "--no-dangling")


def test_samples_stand_in_a_table_of_their_own(repo: Repo, git) -> None:
    """They are no metrics of the run: neither `dvc metrics` nor `dvc plots` may show them."""
    ref = write(repo, run_of(repo))
    assert not commits.load_series(repo, ref, system=True)
    samples = (Row(None, 10.0, {"cpu": 99.5}), Row(None, 15.0, {"cpu": 7, "gpu_0": 87}))
    rows = (Row(0, 0.5, {"acc": 0.5}), Row(1, 1.0, {"acc": 0.98}))
    ref = write(repo, run_of(repo, "a-b-0xw8nc"), rows=rows, system=samples)
    assert tuple(commits.load_series(repo, ref, system=True)) == samples
    assert tuple(commits.load_series(repo, ref)) == rows
    table = git(repo.root, "show", f"{ref.commit}:.gittrack/system.tsv")
    assert table == "step\ttime\tcpu\tgpu_0\n\t10\t99.5\t\n\t15\t7\t87\n"
    assert "cpu" not in git(repo.root, "show", f"{ref.commit}:.gittrack/dvc.yaml")
    assert commits.load(repo, ref).metrics == {"acc": 0.98}


def test_a_damaged_table_of_samples_is_named(repo: Repo) -> None:
    """And hides nothing else of the run."""
    ref = write(repo, run_of(repo), system=(Row(None, 10.0, {"c\tpu": 1}),))
    with pytest.raises(BrokenRecord, match=r"system\.tsv: line 2"):
        commits.load_series(repo, ref, system=True)
    assert commits.load(repo, ref).metrics == {"acc": 0.98}


def test_author_dates_and_parent_are_the_runs(repo: Repo, git) -> None:
    """Author date is the start, committer date the end, in the local zone."""
    ref = write(repo, run_of(repo))
    shown = git(repo.root, "show", "-s", "--format=%an|%ae|%ai|%cn|%ci|%P", ref.full)
    assert shown == (
        "Ada Lovelace|ada@example.org|2026-01-31 17:45:00 +0545|Ada Lovelace|"
        f"2026-01-31 17:45:04 +0545|{repo.head()[0]}\n"
    )


def test_a_record_that_was_there_is_replaced(repo: Repo) -> None:
    """Whoever commits a .gittrack must not have it mistaken for the run's."""
    forged = repo.write_blob(b"format: 1\n")
    inner = repo.write_tree({"params.yaml": (forged, 0o100644), "x.yaml": (forged, 0o100644)})
    tree = repo.write_tree({".gittrack": (inner, 0o040000)}, base=snapshot(repo))
    ref = commits.write(repo, run_of(repo, params={}), tree=tree, author=ADA)
    assert commits.load(repo, ref).params == {}


def test_a_taken_name_is_an_error_and_the_first_run_stays(repo: Repo) -> None:
    """Written once."""
    first = write(repo, run_of(repo))
    with pytest.raises(RunExists):
        write(repo, run_of(repo, params={"opt.lr": 0.2}))
    assert refs.all_runs(repo) == [first]


def test_a_run_without_curves_gives_one_row(repo: Repo) -> None:
    """`plot` has a point to show."""
    ref = write(repo, run_of(repo))
    assert commits.load_series(repo, ref) == (Row(None, 4.2, {"acc": 0.98}),)
    assert commits.output(repo, ref) == b""


BROKEN = {
    "no record": lambda repo: {},
    "a record that is a file": lambda repo: {".gittrack": (repo.write_blob(b""), 0o100644)},
    "an empty record": lambda repo: {".gittrack": (repo.empty_tree(), 0o040000)},
    "a symlink": lambda repo: record_of(repo, b"/etc/passwd", 0o120000),
    "a submodule": lambda repo: {
        ".gittrack": (repo.write_tree({"run.yaml": (repo.head()[0], 0o160000)}), 0o040000)
    },
    "no YAML": lambda repo: record_of(repo, b"a: ["),
    "400 MB of nothing": lambda repo: record_of(repo, b"\0" * (9 << 20)),
    "a newer format": lambda repo: record_of(repo, b"format: 2\n"),
    "a wrong status": lambda repo: record_of(repo, b"format: 1\nid: x\nstatus: x\nstarted: x\n"),
    "a clash of keys": lambda repo: record_of(
        repo,
        b"format: 1\nid: x\nstatus: failed\nstarted: 2026-01-01T00:00:00Z\n",
        params=b"a.b: 1\na: {b: 2}\n",
    ),
}


def record_of(
    repo: Repo, data: bytes, mode: int = 0o100644, params: bytes | None = None
) -> dict[str, tuple[str, int]]:
    files = {"run.yaml": (repo.write_blob(data), mode)}
    if params is not None:
        files["params.yaml"] = (repo.write_blob(params), 0o100644)
    return {".gittrack": (repo.write_tree(files), 0o040000)}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_run_is_named_and_hides_no_other(repo: Repo, what: str) -> None:
    """Runs fetched from a remote are hostile until read."""
    good = write(repo, run_of(repo))
    commit = repo.write_commit(
        tree=repo.write_tree(BROKEN[what](repo)), parents=[], author=ADA, started=0, ended=0,
        message="x\n\nGittrack-Run: 1\nRun-Id: x\n",
    )  # fmt: skip
    bad = refs.create(repo, experiment="default", name="bad-000000", commit=commit)
    listing = commits.listing(repo, refs.all_runs(repo))
    assert [run.name for run in listing.runs] == [good.name]
    assert [problem.where for problem in listing.problems] == [bad.short]
    with pytest.raises(BrokenRecord, match=r"^runs/default/bad-000000: ") as caught:
        commits.load(repo, bad)
    assert len(caught.value.message) < 400 and caught.value.hint


def test_commits_that_are_not_ours_are_left_out(repo: Repo) -> None:
    """Others use refs/runs/ too."""
    head = repo.head()[0]
    assert head is not None
    ref = refs.create(repo, experiment="default", name="other-000000", commit=head)
    assert commits.listing(repo, [ref]) == commits.Listing((), ())
    with pytest.raises(BrokenRecord, match="not a run"):
        commits.load(repo, ref)


def test_a_missing_object_is_named(repo: Repo) -> None:
    """A partial or damaged clone."""
    ref = write(repo, run_of(repo))
    entry = repo.entry(ref.commit, ".gittrack")
    assert entry is not None
    (repo.common_dir / "objects" / entry.id[:2] / entry.id[2:]).unlink()
    with pytest.raises(BrokenRecord, match=f"^{ref.short}: "):
        commits.load(Repo.open(repo.root or ""), ref)


def test_a_partial_clone_says_how_it_becomes_whole(repo: Repo, tmp_path: Path, git) -> None:
    """libgit2 fetches nothing by itself; the command that is named has to help."""
    ref = write(repo, run_of(repo))
    git(repo.root, "tag", "-a", "-m", "x", "m@v1.0.0", ref.commit)
    git(repo.root, "config", "uploadpack.allowFilter", "true")
    where = Path(repo.root or "").as_uri()
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", "-o", "up", where, "part")
    for load in (commits.load, lambda at, run: commits.identify(at, run.commit)):
        with pytest.raises(BrokenRecord) as caught:
            load(Repo.open(tmp_path / "part"), ref)
        command = (caught.value.hint or "").split("`")[1]
        assert command == "git fetch --refetch --no-filter --tags up"
    git(tmp_path / "part", "-c", "gc.auto=0", *command.split()[1:])
    assert commits.load(Repo.open(tmp_path / "part"), ref).name == ref.name


@pytest.mark.parametrize("encoding", ["klingon", "rot13", "utf-16"])
def test_an_unknown_encoding_header_changes_nothing(repo: Repo, git, encoding: str) -> None:
    """libgit2's binding raises on it; our messages are UTF-8 whatever the header claims."""
    ref = write(repo, run_of(repo))
    raw = subprocess.run(
        ["git", "cat-file", "commit", ref.commit], cwd=repo.root, capture_output=True
    )
    text = raw.stdout.replace(b"\n\n", f"\nencoding {encoding}\n\n".encode(), 1)
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"], cwd=repo.root, input=text,
        capture_output=True, check=True,
    )  # fmt: skip
    odd = refs.create(
        repo, experiment="default", name="odd-000000", commit=made.stdout.decode().strip()
    )
    assert commits.listing(repo, [odd]).runs[0].params == {"opt.lr": 0.1}
