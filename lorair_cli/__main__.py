"""``python -m lorair_cli`` is the same as ``lorair``; ``accelerate launch -m lorair_cli train`` needs it."""

from lorair_cli.cli.main import run

if __name__ == "__main__":
    run()
