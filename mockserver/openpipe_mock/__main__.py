"""`python -m openpipe_mock` is the command `openpipe-mock`."""

from openpipe_mock.cli.main import main

if __name__ == "__main__":
    main()
