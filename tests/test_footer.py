"""What stands beneath a table."""

from __future__ import annotations

import pytest

from gittrack.cli.footer import foot


@pytest.mark.parametrize(
    "dropped, width, text",
    [
        (["lr"], None, "1 more column: lr (--columns, --all-columns)"),
        (["lr", "f1"], None, "2 more columns: lr, f1 (--columns, --all-columns)"),
        (["a name that is much too long"], 26, "1 more column (--columns)"),
    ],
)
def test_one_column_is_no_columns(dropped: list[str], width: int | None, text: str) -> None:
    """The line is read with every listing."""
    assert foot("3 runs", dropped, hides=False, width=width).replace("\n", " · ").endswith(text)
