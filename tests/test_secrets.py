"""What looks like a secret is found and masked; what only resembles one passes untouched.

Every secret here is made up, and put together from pieces so that this file holds none.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gittrack import secrets
from gittrack.secrets import MASK, Finding, find, mask_argv, mask_text, secret_filename

MIXED = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0fX" * 4
HEX = "0123456789abcdef" * 8


def private_key(kind: str, newline: str = "\n") -> str:
    dashes = "-" * 5
    lines = [
        f"{dashes}BEGIN {kind}{dashes}",
        MIXED[:64],
        MIXED[3:67],
        f"{dashes}END {kind}{dashes}",
    ]
    return newline.join(lines)


SECRETS = {
    "pem": private_key("PRIVATE " + "KEY"),
    "rsa": private_key("RSA PRIVATE " + "KEY"),
    "openssh": private_key("OPENSSH PRIVATE " + "KEY"),
    "escaped": private_key("PRIVATE " + "KEY", "\\n"),
    "aws": "AK" + "IA" + "Q3X7B2M9K5T8W1Z6",
    "aws session": "AS" + "IA" + "Q3X7B2M9K5T8W1Z6",
    "github": "gh" + "p_" + MIXED[:36],
    "github app": "gh" + "s_" + MIXED[:36],
    "github fine": "github" + "_pat_" + MIXED[:22] + "_" + MIXED[:59],
    "gitlab": "gl" + "pat-" + MIXED[:20],
    "hugging face": "h" + "f_" + MIXED[:34],
    "openai": "s" + "k-" + MIXED[:48],
    "openai project": "s" + "k-proj-" + MIXED[:64],
    "anthropic": "s" + "k-ant-api03-" + MIXED[:80],
    "slack": "xo" + "xb-123456789012-" + MIXED[:24],
    "google": "AI" + "za" + MIXED[:35],
    "jwt": "ey" + "J" + MIXED[:20] + ".ey" + "J" + MIXED[:40] + "." + MIXED[:43],
    "stripe": "s" + "k_live_" + MIXED[:24],
    "npm": "np" + "m_" + MIXED[:36],
    "pypi": "py" + "pi-" + MIXED[:90],
    "sendgrid": "S" + "G." + MIXED[:22] + "." + MIXED[:43],
    "databricks": "da" + "pi" + HEX[:32],
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize(
    "around", ["{}", "x = '{}'\n", '{{"k": "{}"}}', "a {} b", "a,{};b", "k={}"]
)
def test_keys_are_found_wherever_they_stand(secret: str, around: str) -> None:
    """A key in a log or a diff is a key."""
    text = "first\n\n" + around.format(secret)
    [finding] = find(text.encode())
    assert finding.line == 3 and secret not in finding.kind
    masked, count = mask_text(text.encode())
    assert count == 1
    assert masked.decode() == "first\n\n" + around.format(MASK)


ASSIGNED = [
    ("WANDB_API_KEY={}", HEX[:40]),
    ("export WANDB_API_KEY='{}'", HEX[:40]),
    ('os.environ["WANDB_API_KEY"] = "{}"', HEX[:40]),
    ("aws_secret_access_key = {}", MIXED[:40]),
    ("\x1b[31mtoken\x1b[0m=\x1b[32m{}\x1b[0m", MIXED[:24]),
    ("password: {}", "Xk9Pass" + "word77q"),
    ("PGPASSWORD={}", "Xk9Pass" + "word77q"),
    ('password = "{}"', "hunter" + "2-and-more"),
    ("DB_PASSWORD={}", "Tr0ub4dor" + "&3x"),
    ('"api_key": "{}",', MIXED[:32]),
    ("token: '{}'", MIXED[:24]),
    ("client_secret: {}", MIXED[:24]),
    ('token: str = "{}"', MIXED[:24]),
    ("Namespace(lr=0.1, auth_token='{}', n=3)", MIXED[:24]),
    ("postgresql://bob:{}@db.host:5432/x", "s3" + "cretpw"),
    ("git clone https://bob:{}@host/x.git", MIXED[:12]),
    ("redis://:{}@host", MIXED[:12]),
    ("Authorization: Bearer {}", MIXED[:30]),
    ("'authorization': 'Basic {}'", MIXED[:30]),
]


@pytest.mark.parametrize(("text", "secret"), ASSIGNED)
def test_values_under_telling_names_are_found(text: str, secret: str) -> None:
    """Most secrets have no shape of their own; their names give them away."""
    line = text.format(secret)
    assert len(find(line.encode())) == 1
    assert mask_text(line.encode()) == (text.format(MASK).encode(), 1)


INNOCENT = [
    HEX[:40],
    "commit " + HEX[:40],
    "sha256:" + HEX[:64],
    "md5: " + HEX[:32],
    "amber-otter-7f3kq2 finished 4.2s accuracy 0.98",
    "num_tokens = 123456789",
    "tokenizer = 'bert-base-uncased-2024-01'",
    'pad_token = "<pad>"',
    "eos_token='</s>'",
    "max_token_length: 512000000",
    "key_dim=64 key = 'abcdefgh12345678'",
    "password = os.environ['DB_PASSWORD']",
    "password = getpass.getpass()",
    "password=args.password1",
    'password = "password"',
    'password = "<your password here>"',
    'password: "${DB_PASSWORD}"',
    "api_key = load_api_key_from_vault_v2",
    "token = tokens[position_1234567890]",
    "secret santa: Bob",
    "password must have 8 characters",
    "http://host:8080/a@b",
    "https://user@host/x",
    "https://user:password@host/x",
    "https://user:${TOKEN}@host",
    "ssh://git@host:22/x",
    "hf_model_name_or_path_of_the_pretrained_thing",
    "disk-" + MIXED[:48],
    "sk-learn-pipeline-with-a-very-long-name",
    "gh" + "p_" + "x" * 36,
    "AK" + "IA" + "IOSFODNN7" + "EXAMPLE",
    "-" * 5 + "BEGIN PUBLIC KEY" + "-" * 5 + "\n" + MIXED,
    "if line == '" + "-" * 5 + "BEGIN PRIVATE " + "KEY" + "-" * 5 + "':",
    "eyJust a word",
    "",
]


@pytest.mark.parametrize("text", INNOCENT)
def test_look_alikes_pass(text: str) -> None:
    """A masked digest or run name would break the record, and a false alarm is soon ignored."""
    assert find(text.encode()) == []
    assert mask_text(text.encode()) == (text.encode(), 0)


def test_the_sources_of_this_package_hold_none() -> None:
    """Code that speaks of secrets is the hardest look-alike."""
    assert secrets.__file__ is not None
    files = [*Path(secrets.__file__).parent.rglob("*.py"), Path(__file__)]
    assert {path.name: found for path in files if (found := find(path.read_bytes()))} == {}


def test_findings_have_their_lines() -> None:
    """The message sends the user there."""
    text = f"a\n{SECRETS['aws']} {SECRETS['slack']}\n\nb {SECRETS['google']}\n"
    kinds = [Finding(2, "AWS access key"), Finding(2, "Slack token"), Finding(4, "Google key")]
    assert find(text.encode()) == kinds


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*SECRETS.values(), "password=", "://", ":", "@", "x", "\n", "'", "token: "]
        )
        | st.text(max_size=5),
        max_size=8,
    ).map("".join)
)
def test_every_finding_is_masked_once(text: str) -> None:
    """What the notice counts is what was replaced, whatever stands side by side."""
    masked, count = mask_text(text.encode())
    assert (count == 0) == (masked == text.encode())
    assert len(find(text.encode())) == count


@given(st.binary(max_size=200))
def test_any_bytes_can_be_searched(data: bytes) -> None:
    """Output is not text."""
    find(data)


@pytest.mark.parametrize(
    "line",
    [
        b"2024-01-01 INFO step 12 loss 0.25 of /data/train/part-0001.parquet in 3.2 s\n",
        b"x = self.embed(hidden_states, position_ids, key_dim=64)  # disk, skip, risk\n",
        b"x",
        b"\x00\x17\xff\x93" * 20,
    ],
)
def test_ten_megabytes_cost_little(line: bytes) -> None:
    """A snapshot is searched before the command starts."""
    data = line * (10_000_000 // len(line))
    times = []
    for _ in range(3):
        began = time.process_time()
        assert find(data) == []
        times.append(time.process_time() - began)
    assert min(times) < 0.4


# Command lines.


@pytest.mark.parametrize(
    ("argv", "masked"),
    [
        (["--password", "hunter2"], ["--password", MASK]),
        (["--password=hunter2"], [f"--password={MASK}"]),
        (["--password", "1234"], ["--password", MASK]),
        (["-token", "abc"], ["-token", MASK]),
        (["--hf-token", "abc", "--lr", "1"], ["--hf-token", MASK, "--lr", "1"]),
        (["--api-key", "abc", "x"], ["--api-key", MASK, "x"]),
        (["--api_key", "abc"], ["--api_key", MASK]),
        (["--apiKey", "abc"], ["--apiKey", MASK]),
        (["--passwd", "a", "--secret", "b"], ["--passwd", MASK, "--secret", MASK]),
        (["--auth", "bob:pw"], ["--auth", MASK]),
        (["env", "WANDB_API_KEY=abc", "python"], ["env", f"WANDB_API_KEY={MASK}", "python"]),
        (["DB_PASSWORD="], ["DB_PASSWORD="]),
        (["wandb.api_key=abc", "+a.token=b"], [f"wandb.api_key={MASK}", f"+a.token={MASK}"]),
        (["--db.password=x"], [f"--db.password={MASK}"]),
        (["mysql://root:password@host/db"], [f"mysql://root:{MASK}@host/db"]),
        (["--url=https://u:p@h/x?a=b"], [f"--url=https://u:{MASK}@h/x?a=b"]),
        (["--x", SECRETS["aws"]], ["--x", MASK]),
        (["--x=" + SECRETS["github"]], [f"--x={MASK}"]),
        (["-H", "Authorization: Bearer " + MIXED[:30]], ["-H", f"Authorization: Bearer {MASK}"]),
        (
            ["bash", "-c", "t --password hunter2 --lr 1"],
            ["bash", "-c", f"t --password {MASK} --lr 1"],
        ),
        (['{"password": "' + "hunter" + '2-x9"}'], ['{"password": "' + MASK + '"}']),
        (["--password", "--token", "x"], ["--password", "--token", MASK]),
        (["--password"], ["--password"]),
        (
            ["env", "PGPASSWORD=pw", "MYSQL_PWD=q", "x"],
            ["env", f"PGPASSWORD={MASK}", f"MYSQL_PWD={MASK}", "x"],
        ),
        (["--pass", "pw", "--db-pass=q"], ["--pass", MASK, f"--db-pass={MASK}"]),
        (["/usr/bin/curl", "-u", "bob:pw", "x"], ["/usr/bin/curl", "-u", MASK, "x"]),
        (["curl", "-ubob:pw", "x"], ["curl", f"-u{MASK}", "x"]),
        (["sshpass", "-p", "pw", "ssh", "-p", "2"], ["sshpass", "-p", MASK, "ssh", "-p", "2"]),
        (["https://b/x?X-Amz-Signature=" + HEX[:64]], ["https://b/x?X-Amz-Signature=" + MASK]),
        (["https://b/x?sv=1&sig=" + MIXED[:30] + "&a=b"], [f"https://b/x?sv=1&sig={MASK}&a=b"]),
    ],
)
def test_secrets_of_a_command_line_are_masked(argv: list[str], masked: list[str]) -> None:
    """The record is pushed to colleagues."""
    found, notes = mask_argv(argv)
    assert list(found) == masked
    assert len(notes) == sum(word.count(MASK) for word in masked)
    assert not any(word in note for note in notes for word in ("hunter2", MIXED[:12], "abc"))


@pytest.mark.parametrize(
    "command",
    """
    train.py --lr 0.1 --num_tokens 5 --tokenizer bert --max-tokens 5 --token-length 5 key_dim=64
    train.py --pad-token <pad> --eos-token </s> --unk_token [UNK] --image-token 5 --num-token 3
    train.py --pad-token PAD --eos_token=EOS --special-token x model.bos_token=BOS
    train.py --token 5 --use-auth-token true --use_auth off --auth none --token $HF_TOKEN
    train.py --secret-santa bob --password-file /run/pw --passwordless x --token-env HF_TOKEN
    train.py --key 5 --keys a --keyboard b --monkey c --author bob --authors x --auth-method oauth
    train.py --password *** token=*** --secret= tokens=5 model.tokenizer=bert-base-uncased
    train.py --commit 0123456789abcdef0123456789abcdef01234567 --name amber-otter-7f3kq2
    train.py http://host:8080/x s3://bucket/key git@host:x/y.git https://user@host/x
    train.py -u x --user bob -p 5 --first-pass 2 passes=3 config=a.yaml?sig=1 --two_pass yes
    bash -c CODE --sort-key name --primary-key id --cache-key x
    """.strip().splitlines(),
)
def test_innocent_command_lines_pass(command: str) -> None:
    """A masked param is a lost param."""
    argv = command.split()
    assert mask_argv(argv) == (tuple(argv), [])


def test_words_that_are_not_utf8_come_back() -> None:
    """File names may be any bytes."""
    argv = ["t", "\udcff.csv", "https://u:" + "p\udcfe@h/"]
    assert mask_argv(argv)[0] == ("t", "\udcff.csv", f"https://u:{MASK}@h/")


# File names.


@pytest.mark.parametrize(
    "path",
    """
    .env .env.local .env.production sub/.env .envrc prod.env server.pem a/b.key id_rsa id_ed25519
    id_rsa.bak id_work .netrc .pypirc .npmrc a.p12 a.pfx .htpasswd secrets.yaml secrets.toml secret
    .secrets my_secrets.json credentials credentials.json aws_credentials.csv credentials.sh .pgpass
    .git-credentials kaggle.json .aws/config .ssh/work .dvc/config.local service-account-1.json
    client_secret_1.json token.txt api_key.txt .ENV ID_RSA Credentials.JSON openai-api-key
    """.split(),  # noqa: SIM905
)
def test_files_that_people_keep_secrets_in(path: str) -> None:
    """They stay out of the snapshot, whatever stands in them."""
    assert secret_filename(path)


@pytest.mark.parametrize(
    "path",
    """
    .env.example .env.sample .env.template .environment.py env environment.yml train.py key.py
    id_rsa.pub id_ed25519.pub id_mapping.csv id_to_label.json ids.txt credentials.py secrets.py
    docs/credentials.md test_secrets.py tokens.txt tokenizer.json keys.csv monkey.png pem keyboard
    .ssh/known_hosts .ssh/id_rsa.pub .dvc/config secretary.csv tokenizer_config.json .gitignore
    """.split(),  # noqa: SIM905
)
def test_files_with_similar_names_are_kept(path: str) -> None:
    """A snapshot without its code does not run."""
    assert not secret_filename(path)
