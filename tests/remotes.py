"""Data remotes for tests: a directory, and a real S3-speaking server on loopback that can refuse.

And runs whose artifacts are in the cache, made without running anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from gittrack import commits, setup
from gittrack.cache import Cache, open_cache
from gittrack.git import Identity, Repo
from gittrack.records import Artifact, Code, Row, Run
from gittrack.refs import RunRef

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=timezone.utc)
ADA = Identity("Ada Lovelace", "ada@example.org")
KEYS = {
    "AWS_ACCESS_KEY_ID": "ada",
    "AWS_SECRET_ACCESS_KEY": "lovelace",
    "AWS_MAX_ATTEMPTS": "1",
}

_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


@dataclass
class S3:
    """A server with one bucket, `team`, and what it was asked for.

    `allows(method, key)` says whether a request is let through; it may wait, and it may raise
    nothing. `spoils` are keys, or their ends, whose next answer has another content.
    """

    address: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    allows: Callable[[str, str], bool] = lambda method, key: True
    spoils: set[str] = field(default_factory=set)

    def keys(self, method: str) -> list[str]:
        """The hashes of the objects that were asked for with this method, in order."""
        found = [key.split("/files/md5/")[1] for how, key in self.asked
                 if how == method and "/files/md5/" in key]  # fmt: skip
        return [key.replace("/", "") for key in found]

    def config(self, name: str = "store") -> str:
        """A DVC configuration with this server as the default remote."""
        return (
            f"[core]\n    remote = {name}\n['remote \"{name}\"']\n    url = s3://team/data\n"
            f"    endpointurl = {self.address}\n    region = us-east-1\n"
        )

    def application(self, inner: Any) -> Any:
        """Moto's application behind ours."""

        def answer(environ: dict[str, Any], start: Any) -> Any:
            method, key = environ["REQUEST_METHOD"], environ["PATH_INFO"]
            self.asked.append((method, key))
            if not self.allows(method, key):
                start("403 Forbidden", [("Content-Type", "application/xml")])
                return [_DENIED]
            spoiled = [end for end in self.spoils if method == "GET" and key.endswith(end)]
            if spoiled:
                self.spoils.difference_update(spoiled)
                start("200 OK", [("Content-Length", "5")])
                return [b"wrong"]
            return inner(environ, start)

        return answer


@contextmanager
def serve() -> Iterator[S3]:
    """A server that lives as long as the block."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    found = S3("")
    application = found.application(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_bucket(server: S3) -> None:
    """Empty the server and make the bucket anew."""
    import http.client

    host = server.address.removeprefix("http://")
    for method, path in (("POST", "/moto-api/reset"), ("PUT", "/team")):
        connection = http.client.HTTPConnection(host)
        connection.request(method, path, headers={"Authorization": "AWS4-HMAC-SHA256 Credential="
                           "ada/20260131/us-east-1/s3/aws4_request"})  # fmt: skip
        assert connection.getresponse().status == 200
        connection.close()
    server.asked.clear()
    server.spoils.clear()
    server.allows = lambda method, key: True


def directory_config(place: Path, name: str = "store") -> str:
    """A DVC configuration with a directory as the default remote."""
    return f"[core]\n    remote = {name}\n['remote \"{name}\"']\n    url = {place}\n"


def set_up(root: Path, config: str) -> None:
    """Make the `.dvc` of a project, with this configuration."""
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc" / "config").write_text(config)
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")


def cache_of(repo: Repo) -> Cache:
    """The cache that this repository uses."""
    return open_cache(repo, setup.read(repo))


def fill(top: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a directory -> the directory."""
    top.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        file = top / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return top


def keep(repo: Repo, scratch: Path, things: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Put contents into the cache: text or bytes as a file, a mapping as a directory of files."""
    cache = cache_of(repo)
    kept = []
    for number, (path, content) in enumerate(things.items()):
        place = scratch / str(number)
        if isinstance(content, Mapping):
            fill(place, content)
        else:
            fill(scratch, {str(number): content})
        found = cache.add(place)
        kept.append(Artifact(path, found.md5, found.size, found.nfiles))
    return tuple(kept)


def record(
    repo: Repo, name: str, *, tree: str | None = None, rows: Sequence[Row] = (), **fields: Any
) -> RunRef:
    """Write a run that finished, on the commit that HEAD is on."""
    base = repo.head()[0]
    known: dict[str, Any] = {"status": "finished", "ended": START, "exit_code": 0,
                             "code": Code(base=base), **fields}  # fmt: skip
    run = Run(id=f"{abs(hash(name)):032x}"[-32:], name=name, experiment="default", started=START,
              **known)  # fmt: skip
    if tree is None:
        tree = repo.empty_tree() if base is None else repo.read_commit(base).tree
    return commits.write(repo, run, tree=tree, author=ADA, rows=rows)
