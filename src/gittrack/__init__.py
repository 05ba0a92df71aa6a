"""gittrack: the experiment tracker that is just Git."""

from __future__ import annotations

TYPE_CHECKING = False  # what type checkers read as true; `typing` would double the import's cost
if TYPE_CHECKING:
    from typing import Any

    from gittrack.api import log_metric, log_metrics, log_param, log_params, set_tag
    from gittrack.keeping import (
        load_artifact,
        log_artifact,
        log_artifacts,
        log_dict,
        log_figure,
        log_image,
        log_table,
        log_text,
    )

__all__ = [
    "__version__",
    "load_artifact",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "set_tag",
]

__version__ = "0.1.0"

_VALUES = ("log_metric", "log_metrics", "log_param", "log_params", "set_tag")


def __getattr__(name: str) -> Any:
    """Load the Python interface when it is first used: `import gittrack` alone costs nothing."""
    if name in _VALUES:
        from gittrack import api

        return getattr(api, name)
    if name in __all__:
        from gittrack import keeping

        return getattr(keeping, name)
    raise AttributeError(f"module 'gittrack' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
