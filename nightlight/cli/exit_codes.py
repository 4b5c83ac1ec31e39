"""What every command's exit status means, and how a command ends: with a result, a difference, or an error.

The table is that of ``terraform plan -detailed-exitcode``: 0 nothing to do or done, 1 an error, 2 differences.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import typer

from nightlight_core.errors import NightlightError

DONE, ERROR, DIFFERENCES = 0, 1, 2

# What each command exits with 2 for; every other command knows 0 and 1 alone.
DIFFERENCES_OF = {
    "backfill": "keys still wait for the workers, or the walk stopped since the bucket refuses us",
    "buckets check": "a bucket has drifted; with --identity: something forbidden was done, something needed was "
    "refused, or it could not be tried",
    "buckets fix": "something could not be mended",
    "catalogue resume": "another policy is active than was before: nothing was changed",
    "erase": "the workers were not done in time; they go on",
    "export": "it is still being made; the workers go on",
    "keys rotate": "the step would break something now: nothing was changed",
    "lifecycle drift": "something has changed since it was applied",
    "lifecycle plan": "there is something to do",
    "lifecycle retag": "the workers were not done in time; they go on",
    "lifecycle verify": "an object outlived its rule",
    "lists import": "the list has lost more than a tenth: renders wait until `lists confirm-change`",
    "lists status": "a list waits to be confirmed",
    "provenance check": "the manifest is not trusted",
    "receipt verify": "a receipt is wrong or was left out, or a file is not shown to be whole",
    "rerender": "the workers were not done in time; they go on",
    "status": "something needs somebody: the problems are listed",
    "sweep": "the workers were not done in time; they go on",
    "trace": "nothing at all was found",
    "webhooks list": "the endpoint is disabled",
    "webhooks replay": "there is no such event any more",
    "webhooks test": "the receiver did not answer with 2xx in time",
}
# Other statuses of single commands, so that a script can tell two kinds of difference apart.
OTHER_STATUSES = {
    "buckets check": {3: "all that is left is what no policy of this server refuses, and what is put is sealed"},
    "policy comply": {3: "a clause in force is not met"},
    "policy diff": {3: "something changes, and none of it needs the safety team", 4: "something needs the safety team"},
    "policy progress": {3: "pictures wait", 4: "no run is under way"},
}


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status; an error is one line, or JSON where ``--json`` was asked for."""
    as_json = "--json" in arguments
    try:
        status = typer.main.get_command(app).main(list(arguments), prog_name="nightlight", standalone_mode=False)
    except NightlightError as error:
        return _failed(as_json, error.code, str(error), retryable=error.retryable)
    except (KeyboardInterrupt, typer.Abort):
        return _failed(as_json, "aborted", "stopped by whoever ran it")
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ERROR
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return _failed(as_json, "file", _of_a_file(error))
    except Exception as error:
        if not hasattr(error, "exit_code"):
            raise  # a mistake of ours: Python shows where, and exits with 1
        return _misused(as_json, error)
    return status if isinstance(status, int) else DONE


def _misused(as_json: bool, error: Any) -> int:
    """Tell of arguments that the command does not take."""
    if as_json:
        return _failed(as_json, "arguments", str(error.format_message()))
    show: Callable[[], None] = error.show
    show()
    return ERROR


def _failed(as_json: bool, code: str, message: str, *, retryable: bool = False) -> int:
    if as_json:
        sys.stdout.write(json.dumps({"error": {"code": code, "message": message, "retryable": retryable}}) + "\n")
    else:
        sys.stderr.write(f"nightlight: {message}\n")
    return ERROR


def _of_a_file(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return f"a file is not what it should be: {error}"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
