"""gittrack: the experiment tracker that is just Git."""

__version__ = "0.1.0"
