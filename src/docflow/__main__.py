"""`python -m docflow` is the command line too."""

from docflow.cli import main

if __name__ == "__main__":
    main()
