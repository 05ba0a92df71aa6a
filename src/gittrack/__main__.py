"""`python -m gittrack`: the command line without an installed script."""

from gittrack.cli.main import main

if __name__ == "__main__":
    main()
