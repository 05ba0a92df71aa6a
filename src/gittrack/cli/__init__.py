"""The command line: the only part of gittrack that prints, prompts or exits."""
