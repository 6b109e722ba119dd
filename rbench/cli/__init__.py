"""Words to one api call to an exit code; progress on stderr, results on stdout."""

import os
import shlex
import signal
import sys

import typer

from rbench.cli import (  # noqa: F401 - each adds its verbs to the application
    comparing,
    evaluating,
    exchanging,
    gating,
    making,
    merging,
    reporting,
    sharing,
    shelves,
    studying,
    training,
)
from rbench.cli._app import app
from rbench.errors import InterruptedRunError, RbenchError

__all__ = ["app", "main", "run"]
USAGE, INTERRUPTED = 3, 5
BadCommand: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, wherever this typer keeps its click


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """The exit code of one command: 0 fine, 2 suspect or unreliable, 3 usage, 4 data or model, 5 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill is an interruption too
    try:
        code = app(arguments, prog_name="rbench", standalone_mode=False)
    except BadCommand as error:
        getattr(error, "show", lambda: None)()
        return USAGE
    except RbenchError as error:
        if os.environ.get("RANK", "0") != "0":  # of the ranks that torchrun starts, the first one speaks
            return error.exit_code
        typer.echo(f"rbench: {error}", err=True)
        if error.code:
            typer.echo(f"What it means: rbench explain {error.code}", err=True)
        if isinstance(error, InterruptedRunError):
            shared = os.environ.get("WORLD_SIZE", "1") != "1"
            again = "the same torchrun command" if shared else f"rbench {shlex.join(arguments)}"
            typer.echo(f"To {'resume' if error.kept else 'run it again'}: {again}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("rbench: interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    return code if isinstance(code, int) else 0
