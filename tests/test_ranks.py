"""Ranks: each launcher says who is who in variables of its own."""

from __future__ import annotations

import pytest

from gittrack.ranks import job, rank

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
SLURM = {"SLURM_PROCID": "2", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, (None, None)),
        ({**TORCHRUN, "TORCHELASTIC_RUN_ID": "a1"}, (3, "TORCHELASTIC_RUN_ID/a1")),
        ({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}, (3, "MASTER_ADDR/10.0.0.1/29500")),
        ({**SLURM, **TORCHRUN}, (3, "MASTER_ADDR/10.0.0.1/29500")),
        (SLURM, (2, "SLURM_JOB_ID/77/0")),
        ({"SLURM_PROCID": "2", "SLURM_JOBID": "77", "SLURM_STEPID": "1"}, (2, "SLURM_JOBID/77/1")),
        ({"RANK": "1", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0"}, (1, "SLURM_JOB_ID/77/0")),
        ({"OMPI_COMM_WORLD_RANK": "1", "PMIX_NAMESPACE": "n"}, (1, "PMIX_NAMESPACE/n")),
        ({"PMI_RANK": "5"}, (5, None)),
        ({"MV2_COMM_WORLD_RANK": "0", **SLURM}, (0, "SLURM_JOB_ID/77/0")),
        ({"HOROVOD_RANK": "4"}, (4, None)),
        ({"LOCAL_RANK": "2", "NODE_RANK": "0"}, (2, None)),
        ({"LOCAL_RANK": "2", "NODE_RANK": "3", "LOCAL_WORLD_SIZE": "4"}, (14, None)),
        ({"LOCAL_RANK": "2", "NODE_RANK": "3"}, (None, None)),
        ({"RANK": "0", "MASTER_ADDR": "", "MASTER_PORT": "1"}, (0, None)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_each_launcher_is_understood(
    env: dict[str, str], expected: tuple[int | None, str | None]
) -> None:
    """Ranks of one launch have to find each other; those of two must not."""
    assert (rank(env), job(env)) == expected


@pytest.mark.parametrize("text", ["", "-1", "1.0", "one", "1_0", "٣", "9" * 10, " 1", "1\n"])
def test_what_is_no_rank_is_none(text: str) -> None:
    """RANK is a common word: whoever uses it for something else must not get odd files."""
    assert rank({"RANK": text}) is None
