"""Tags of a decision reach the repository whole, exclusively, and all or as far as Git came."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gittrack import refs, registrar, registry, transaction, whereabouts
from gittrack.errors import GitFailed, GittrackError, RegistryChanged, UsageError, WriteFailed
from gittrack.git import Repo
from gittrack.records import Artifact
from gittrack.registry import Model, Version
from recorded_runs import record
from small_disk import mounted

if sys.platform != "linux":
    pytest.skip("processes are killed as Linux has it", allow_module_level=True)

from crash.ptrace import fork, isolated, kill_at, orphans_are_ours

NAMES = ("amber-otter-aaaaaa", "blue-heron-bbbbbb", "calm-lynx-cccccc")
MODEL = Artifact("model.joblib", "1" * 32, 20)


def filled(root: Path, git: Any) -> Repo:
    """A repository with versions 1.0.0 to 1.0.2 of `churn`."""
    if not (root / ".git").exists():
        git(root, "init", "-q", ".")
        git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    repo = Repo.open(root)
    for number, name in enumerate(NAMES):
        record(root, number, name, artifacts=(MODEL,), metrics={"f1": number / 10})
        ref = refs.find(repo, "default", name)
        assert ref is not None
        registrar.register(repo, ref, "churn")
    return repo


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory: the calls are the same, and syncing costs nothing."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="gittrack-", dir=place))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def repo(memory: Path, git: Any) -> Repo:
    return filled(memory, git)


def model_of(repo: Repo) -> Model:
    return registry.read(whereabouts.of(repo)).models["churn"]


def version_of(repo: Repo, number: int | str) -> Version:
    found = model_of(repo).version(f"1.0.{number}")
    assert found is not None
    return found


def promote(repo: Repo, number: int, stage: str = "production", **more: Any) -> Any:
    return registrar.promote(repo, version_of(repo, number), stage, **more)


def holders(repo: Repo) -> dict[str, str]:
    return {one.stage: one.version for one in model_of(repo).holdings}


# -- at once --------------------------------------------------------------------------------------


class Worker:
    """A process that does what it is told, each deed at a signal."""

    def __init__(self, root: Path, deed: Callable[[Repo, Any], Any]) -> None:
        self._orders = os.pipe()
        self._answers = os.pipe()
        self.pid = fork(lambda: self._work(root, deed))
        os.close(self._orders[0])
        os.close(self._answers[1])
        self._out = os.fdopen(self._orders[1], "wb")
        self._in = os.fdopen(self._answers[0], "rb")

    def _work(self, root: Path, deed: Callable[[Repo, Any], Any]) -> None:
        os.close(self._orders[1])
        os.close(self._answers[0])
        repo = Repo.open(root)
        with os.fdopen(self._orders[0], "rb") as orders, os.fdopen(self._answers[1], "wb") as said:
            while True:
                try:
                    order = pickle.load(orders)
                except EOFError:
                    return
                if order is None:
                    return
                try:
                    answer = deed(repo, order)
                except GittrackError as error:
                    answer = (type(error).__name__, error.message)
                pickle.dump(answer, said)
                said.flush()

    def tell(self, order: Any) -> None:
        pickle.dump(order, self._out)
        self._out.flush()

    def answer(self) -> Any:
        return pickle.load(self._in)

    def end(self) -> None:
        # The end of the file would not be seen: later workers have this pipe open too.
        self.tell(None)
        self._out.close()
        self._in.close()
        os.waitpid(self.pid, 0)


def decided(repo: Repo, order: tuple[str, Version]) -> Any:
    what, version = order
    if what.startswith("alias"):
        done = registrar.alias(repo, version, what)
    else:
        done = registrar.promote(repo, version, what)
    return done.status, done.tags, done.former and done.former.version


@pytest.fixture
def workers(repo: Repo) -> Iterator[list[Worker]]:
    assert repo.root is not None
    made = [Worker(repo.root, decided) for _ in range(2)]
    yield made
    for worker in made:
        worker.end()


def test_two_who_decide_at_once(repo: Repo, workers: list[Worker]) -> None:
    """Each counter once, no decision lost, and nobody overwrites what he did not see."""
    met = 0
    for _ in range(10):
        met += contest(repo, workers, rounds=20)
        for path in (repo.common_dir / "refs" / "tags").glob("churn#*"):
            path.unlink()
    assert met > 0


def contest(repo: Repo, workers: list[Worker], *, rounds: int) -> int:
    """Let both decide at once, again and again -> how often one saw that the other was first."""
    given: dict[str, str | None] = {}
    refused = 0
    for number in range(rounds):
        known = model_of(repo)
        if number % 2:
            orders = [(f"alias-{n}", known.versions[(number + n) % 3]) for n in range(2)]
        else:
            held = known.holding("production")
            others = [one for one in known.versions if held is None or one.version != held.version]
            orders = [("production", one) for one in others[:2]]
        for worker, order in zip(workers, orders, strict=True):
            worker.tell(order)
        answers = [worker.answer() for worker in workers]
        given.update((one[1][0], one[2]) for one in answers if one[0] == "done")
        late = [one[1] for one in answers if one[0] == "RegistryChanged"]
        assert len(late) <= (0 if number % 2 else 1), answers
        assert all("production of churn went to v1.0." in said for said in late)
        assert {one[0] for one in answers} <= {"done", "notneeded", "RegistryChanged"}, answers
        refused += len(late)
    model = model_of(repo)
    counters = [one.counter for one in model.history if one.counter]
    assert counters == list(range(1, len(counters) + 1))
    assert [one.tag for one in model.history if one.contested] == []
    there = {one.tag: one for one in model.history if one.action == "assign"}
    assert set(given) == set(there), "what was reported as done is there, and nothing else"
    for tag, former in given.items():
        replaced = there[tag].replaced
        assert former == (replaced and there[replaced].version), "whom it replaced was told"
    return refused


def test_two_who_register_at_once_get_two_numbers(repo: Repo, git: Any) -> None:
    assert repo.root is not None
    for number in range(10):
        record(repo.root, 10 + number, f"eager-crab-{number:06}", artifacts=(MODEL,))

    def deed(repo: Repo, name: str) -> Any:
        ref = refs.find(repo, "default", name)
        assert ref is not None
        return registrar.register(repo, ref, "other").tags

    workers = [Worker(repo.root, deed) for _ in range(2)]
    found = []
    for number in range(5):
        for n, worker in enumerate(workers):
            worker.tell(f"eager-crab-{2 * number + n:06}")
        found += [worker.answer() for worker in workers]
    for worker in workers:
        worker.end()
    assert sorted(found) == [(f"other@v1.0.{n}",) for n in range(10)]


class Meddled(Repo):
    """A repository in which somebody does something right after our tag was stored, or at last."""

    deeds: Sequence[Callable[[], object]] = ()
    last: Callable[[], object] | None = None

    def create_refs(self, made: Any) -> None:
        if self.last is not None:
            last, self.last = self.last, None
            last()
        super().create_refs(made)

    def write_tag(self, *arguments: Any, **more: Any) -> str:
        oid = super().write_tag(*arguments, **more)
        if self.deeds:
            first, *self.deeds = self.deeds
            first()
        return oid


def meddled(repo: Repo, *deeds: Callable[[], object]) -> Repo:
    opened = Meddled.open(repo.root or repo.git_dir)
    assert isinstance(opened, Meddled)
    opened.deeds = deeds
    return opened


def test_somebody_without_our_lock_takes_the_number(repo: Repo, git: Any) -> None:
    """GTO and plain Git know nothing of it: another stage is none of our business."""
    root, target = repo.root, version_of(repo, 1).commit
    assert root is not None
    tag = ("tag", "-a", "-m", "by hand", "churn#staging#1", target)
    done = promote(meddled(repo, lambda: git(root, *tag)), 0)
    assert done.tags == ("churn#production#2",)
    assert holders(repo) == {"production": "1.0.0", "staging": "1.0.1"}


def test_somebody_without_our_lock_takes_the_stage(repo: Repo, git: Any) -> None:
    """Our promotion would undo a colleague's without a word."""
    root, target = repo.root, version_of(repo, 1).commit
    assert root is not None
    by = ("-c", "user.name=Bob", "tag", "-a", "-m", "x", "churn#production#1", target)
    with pytest.raises(RegistryChanged, match=r"production of churn went to v1\.0\.1 .*by Bob"):
        promote(meddled(repo, lambda: git(root, *by)), 0)
    assert holders(repo) == {"production": "1.0.1"}


@pytest.mark.parametrize("taken", ["churn#production#2", "churn#production!#3"])
def test_a_name_is_taken_at_the_last_moment(repo: Repo, git: Any, taken: str) -> None:
    """Git itself must refuse: all of the tags, and none is written over theirs."""
    root, held = repo.root, promote(repo, 0).version.commit
    assert root is not None
    opened = meddled(repo)
    assert isinstance(opened, Meddled)
    theirs: list[str] = []

    def last() -> None:
        git(root, "tag", "-am", "by hand\n\nBecause: x", taken, held)
        theirs.append(git(root, "rev-parse", taken))
        theirs.append(git(root, "tag"))

    opened.last = last
    if taken.endswith("#2"):
        # It was given anew to who had it: what we decide upon is as it was.
        assert promote(opened, 1).tags == ("churn#production#3", "churn#production!#4")
    else:
        with pytest.raises(RegistryChanged, match="was taken away meanwhile"):
            promote(opened, 1)
        assert git(root, "tag") == theirs[1]
    assert git(root, "rev-parse", taken) == theirs[0]


def test_gto_takes_the_stage_meanwhile(repo: Repo, git: Any) -> None:
    """The real one, which numbers its tags as we do."""
    root = repo.root
    assert root is not None and shutil.which("gto")
    # It does not know of GIT_CONFIG_GLOBAL.
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.org")

    def gto() -> None:
        words = ["gto", "assign", "churn", "--version", "v1.0.1", "--stage", "production"]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    with pytest.raises(RegistryChanged):
        promote(meddled(repo, gto), 0)
    assert holders(repo) == {"production": "1.0.1"}


def test_somebody_makes_tags_in_a_loop(repo: Repo, git: Any, monkeypatch: Any) -> None:
    """An end, rather than a race for ever."""
    monkeypatch.setattr(transaction, "_ATTEMPTS", 4)
    root, target = repo.root, version_of(repo, 1).commit
    assert root is not None
    deeds = [
        lambda n=n: git(root, "tag", "-am", "x", f"churn#stage-{n}#{n}", target)
        for n in range(1, 9)
    ]
    with pytest.raises(RegistryChanged, match="again and again"):
        promote(meddled(repo, *deeds), 0)
    assert promote(repo, 0).status == "done"


# -- killed ---------------------------------------------------------------------------------------


_SHOWN = "%(refname:short) %(objecttype) %(*objecttype)"


def settled(repo: Repo, before: set[str], deed: Callable[[Repo], Any]) -> list[str]:
    """What is wrong after a kill; the next decision is part of it."""
    assert repo.root is not None
    told = subprocess.run(
        ["git", "for-each-ref", f"--format={_SHOWN}", "refs/tags"],
        cwd=repo.root, capture_output=True, text=True,
    )  # fmt: skip
    wrong = [told.stderr] if told.stderr or told.returncode else []
    now = dict(line.split(" ", 1) for line in told.stdout.splitlines())
    wrong += [f"{name}: {kind}" for name, kind in now.items() if kind != "tag commit"]
    if before - now.keys():
        wrong.append(f"gone: {before - now.keys()}")
    counters = sorted(int(name.rpartition("#")[2]) for name in now if "#" in name)
    if counters != list(range(1, len(counters) + 1)):
        wrong.append(f"consequences without their decision: {counters}")
    began = time.monotonic()
    try:
        isolated(lambda: bool(deed(Repo.open(repo.root or "")).status))
    except Exception as error:
        wrong.append(f"the next one fails: {error}")
    if time.monotonic() - began > 5:
        wrong.append("the next one waits too long")
    known = registry.read(whereabouts.of(repo))
    wrong += [str(problem) for problem in known.problems]
    wrong += [f"{c.tag}: {c.contested}" for c in known.models["churn"].history if c.contested]
    left = [str(path) for path in (repo.common_dir / "refs/tags").rglob("*.lock")]
    return wrong + left


def tags_of(repo: Repo, git: Any) -> set[str]:
    return set(git(repo.root, "tag").split())


def swap(repo: Repo) -> Any:
    """A decision with consequences, whoever holds the stage now."""
    held = holders(repo).get("production")
    return promote(repo, 1 if held == "1.0.0" else 0, archive_existing=True)


@pytest.mark.parametrize("group", [False, True], ids=["alone", "with-git"])
def test_a_kill_at_any_call(repo: Repo, git: Any, group: bool) -> None:
    """SIGKILL asks nobody: the tags are as before, or the decision is there."""
    with orphans_are_ours():
        swap(repo)
        act = lambda ready, tell: swap(ready)  # noqa: E731
        opened = lambda: Repo.open(repo.root or "")  # noqa: E731
        whole = kill_at(None, opened, act, group=group)
        assert not whole.fault and whole.calls > 100
        wrong, killed = [], 0
        for number in range(14):
            point = 1 + int(whole.calls * ((number * 0.6180339887498949) % 1))
            before = tags_of(repo, git)
            killed += kill_at(point, opened, act, group=group).killed
            wrong += [f"{point}: {line}" for line in settled(repo, before, swap)]
        assert wrong == []
        assert killed > 9


def test_a_kill_at_any_moment_of_git(repo: Repo, git: Any) -> None:
    """Git dies with us, in the middle of its transaction: locks stay behind."""
    rng = random.Random(6)
    with orphans_are_ours():
        swap(repo)
        wrong = []
        for number in range(10):
            before = tags_of(repo, git)

            def work() -> None:
                own = Repo.open(repo.root or "")
                while True:
                    swap(own)

            pid = fork(work)
            end = time.monotonic() + 0.01 + rng.random() * 0.06
            while time.monotonic() < end:
                pass
            os.killpg(pid, 9)
            os.waitpid(pid, 0)
            wrong += [f"{number}: {line}" for line in settled(repo, before, swap)]
        assert wrong == []


def lock(repo: Repo, name: str, age: float) -> Path:
    path = repo.common_dir / "refs" / "tags" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    moment = time.time() - age
    os.utime(path, (moment, moment))
    return path


def test_a_lock_that_a_killed_one_of_ours_left(repo: Repo) -> None:
    """It would block the model for ever: nobody else takes the number."""
    left = lock(repo, "churn#production#1", 0)
    (repo.state / transaction.LOCK).write_text("churn#production#1\n../../HEAD\nchurn#x#2\n")
    head = lock(repo, "../../HEAD", 1000)
    began = time.monotonic()
    assert promote(repo, 0).tags == ("churn#production#1",)
    assert time.monotonic() - began < 5
    assert not left.exists() and head.exists()
    head.unlink()
    assert (repo.state / transaction.LOCK).read_bytes() == b""


def test_a_lock_of_somebody_else(repo: Repo) -> None:
    """A young one is respected, with a clear word; one that is a minute old is nobody's."""
    left = lock(repo, "churn#production#1", 0)
    with pytest.raises(WriteFailed, match=r"'churn#production#1' is locked"):
        promote(repo, 0)
    assert holders(repo) == {} and left.exists()
    lock(repo, "churn#production#1", 120)
    assert promote(repo, 0).status == "done" and not left.exists()


# -- refused --------------------------------------------------------------------------------------


def hook(repo: Repo, text: str) -> Path:
    path = repo.common_dir / "hooks" / "reference-transaction"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("said", ["echo no promotion on Fridays >&2;", ""])
def test_a_hook_that_refuses(tmp_path: Path, git: Any, said: str) -> None:
    """Teams guard refs with it; the reason is the hook's own."""
    repo = filled(tmp_path, git)
    before = tags_of(repo, git)
    path = hook(repo, f'[ "$1" = prepared ] || exit 0; {said} exit 1')
    reason = "no promotion on Fridays" if said else "'churn#production#1'"
    with pytest.raises(GitFailed, match="the hook 'reference-transaction' refused") as raised:
        promote(repo, 0)
    assert raised.value.message.endswith(reason)
    path.unlink()
    assert tags_of(repo, git) == before
    assert promote(repo, 0).status == "done"


@pytest.mark.parametrize("packed", [False, True])
def test_a_tag_in_the_way(repo: Repo, git: Any, packed: bool) -> None:
    """Git keeps refs as files: `team` and `team/churn` cannot both be."""
    git(repo.root, "tag", "team")
    if packed:
        git(repo.root, "pack-refs", "--all")
    ref = refs.find(repo, "default", NAMES[0])
    assert ref is not None
    with pytest.raises(WriteFailed, match="'refs/tags/team' exists") as raised:
        registrar.register(repo, ref, "team/churn")
    assert raised.value.hint is not None and "under another one's name" in raised.value.hint
    git(repo.root, "tag", "churn#production#1/x")
    with pytest.raises(WriteFailed, match="churn#production#1"):
        promote(repo, 0)


def test_a_model_may_be_called_as_the_directory_of_another(repo: Repo, git: Any) -> None:
    """`a@v1.0.0` and `a/b@v1.0.0` are two files and a directory."""
    for name in ("a", "a/b", "a/b/c"):
        ref = refs.find(repo, "default", NAMES[0])
        assert ref is not None
        registrar.register(repo, ref, name)
        found = registry.find_version(registry.read(whereabouts.of(repo)), name)
        assert registrar.promote(repo, found, "production").status == "done"
    git(repo.root, "pack-refs", "--all")
    assert promote(repo, 0).status == "done"


def test_a_state_that_cannot_be_written(repo: Repo, git: Any) -> None:
    before = tags_of(repo, git)
    shutil.rmtree(repo.state, ignore_errors=True)
    repo.state.write_text("")
    with pytest.raises(WriteFailed, match="cannot write to"):
        promote(repo, 0)
    assert tags_of(repo, git) == before
    assert promote(repo, 0, dry_run=True).tags == ("churn#production#1",)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    with mounted(tmp_path / "small", 8) as place:
        yield place


def test_a_read_only_disk(disk: Path, git: Any) -> None:
    repo = filled(disk, git)
    again = ["mount", "-o", "remount,ro", os.fspath(disk)]
    subprocess.run(again, check=True)
    with pytest.raises(WriteFailed, match=r"cannot write to .*Read-only"):
        promote(Repo.open(disk), 0)
    assert promote(Repo.open(disk), 0, dry_run=True).status == "done"
    assert holders(repo) == {}


def test_a_full_disk(disk: Path, git: Any) -> None:
    """However little room is left: one clear error and nothing changed, or all of it."""
    repo = filled(disk, git)
    swap(repo)
    filler = disk / "filler"
    results = set()
    for blocks in range(16):
        before = tags_of(repo, git)
        room = os.statvfs(disk)
        with open(filler, "wb") as file:
            size = (room.f_bavail - blocks) * room.f_frsize
            os.posix_fallocate(file.fileno(), 0, size)
        try:
            done = isolated(lambda: _tried(disk))
        finally:
            filler.unlink()
        after = tags_of(repo, git)
        results.add(done[0])
        assert (after == before) == (done[0] == "WriteFailed"), (blocks, done)
        assert "\n" not in done[1], done
        assert swap(repo).status == "done"
    assert results == {"WriteFailed", "done"}
    git(disk, "fsck", "--strict")


def _tried(disk: Path) -> tuple[str, str]:
    try:
        return swap(Repo.open(disk)).status, ""
    except GittrackError as error:
        return type(error).__name__, error.message


# -- signed ---------------------------------------------------------------------------------------


@pytest.fixture
def signer(repo: Repo, git: Any, tmp_path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("no ssh-keygen here (Debian: openssh-client)")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text("ada@example.org " + key.with_suffix(".pub").read_text())
    git(repo.root, "config", "gpg.ssh.allowedSignersFile", str(allowed))
    # As who signs for one employer only has it.
    own = tmp_path / "employer"
    own.write_text(f"[gpg]\n format = ssh\n[user]\n signingKey = {key}\n")
    with open(os.environ["GIT_CONFIG_GLOBAL"]) as file:
        text = file.read()
    config = tmp_path / "gitconfig"
    config.write_text(f'{text}[includeIf "gitdir:{repo.root}/"]\n path = {own}\n')
    os.environ["GIT_CONFIG_GLOBAL"] = str(config)
    return key


@pytest.mark.parametrize("setting", ["track.sign", "tag.gpgSign", "tag.forceSignAnnotated"])
def test_signed_as_git_signs(repo: Repo, git: Any, signer: Path, setting: str) -> None:
    """An auditor asks plain Git who promoted; the message reads as without."""
    git(repo.root, "config", setting, "true")
    # Whose reference-transaction hook is not for a ref in a repository of no account.
    log = hook(repo, "cat >> hook.log")
    own = Repo.open(repo.root or "")
    ref = refs.find(own, "default", NAMES[0])
    assert ref is not None
    made = registrar.register(own, ref, "other")
    promote(own, 0, reason="passed: größer")
    done = promote(own, 1, archive_existing=True)
    for tag in (*made.tags, *done.tags):
        told = subprocess.run(
            ["git", "tag", "-v", tag], cwd=repo.root, capture_output=True, text=True
        )
        assert told.returncode == 0 and 'Good "git" signature for ada@example.org' in told.stderr
    model = registry.read(whereabouts.of(repo)).models["churn"]
    assert model == done.known.models["churn"]
    assert [one.contested for one in model.history if one.contested] == []
    assert model.history[0].trailers["reason"] == "passed: größer"
    assert log.exists()
    logged = (Path(repo.root or "") / "hook.log").read_text().split()
    assert {name for name in logged if name.startswith("refs/")} == {
        f"refs/tags/{tag}" for tag in (*made.tags, "churn#production#1", *done.tags)
    }


def test_signed_in_a_linked_work_tree(repo: Repo, git: Any, signer: Path, tmp_path: Path) -> None:
    git(repo.root, "config", "tag.gpgSign", "true")
    git(repo.root, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    promote(Repo.open(tmp_path / "linked"), 0)
    git(repo.root, "tag", "-v", "churn#production#1")


def test_what_cannot_be_signed_is_not_decided(repo: Repo, git: Any) -> None:
    """Nor is it made unsigned by itself."""
    git(repo.root, "config", "tag.gpgSign", "true")
    git(repo.root, "config", "gpg.program", "false")
    before = tags_of(repo, git)
    with pytest.raises(GitFailed):
        promote(Repo.open(repo.root or ""), 0)
    assert tags_of(repo, git) == before
    git(repo.root, "config", "gpg.format", "ssh")
    git(repo.root, "config", "user.signingKey", str(repo.common_dir / "gone.pub"))
    with pytest.raises(GitFailed, match="sign"):
        promote(Repo.open(repo.root or ""), 0)
    assert tags_of(repo, git) == before
    git(repo.root, "config", "track.sign", "banana")
    with pytest.raises(UsageError, match=r"track\.sign"):
        promote(Repo.open(repo.root or ""), 0)


# -- dates ----------------------------------------------------------------------------------------


def test_dates_follow_the_counters_as_far_as_is_honest(repo: Repo) -> None:
    """GTO orders by whole seconds; but a clock of the year 2099 must not lead us there."""
    noon = 1_800_000_000
    for number, now in enumerate([noon, noon, noon - 300]):
        promote(repo, number, now=now)
    moments = [one.moment for one in model_of(repo).history if one.action == "assign"]
    first = model_of(repo).history[0].moment
    assert moments == [first, (first or 0) + 1, (first or 0) + 2]
    promote(repo, 0, now=4_000_000_000)
    promote(repo, 1, now=noon)
    last = [one.moment for one in model_of(repo).history if one.action == "assign"][-2:]
    assert last == [4_000_000_000, noon]
