"""The same job on AWS Step Functions: one Lambda function, three actions.

  plan    reads the input and plans it, as a dry run does; writes the plan's report and the
          users who are to be sent a code, divided into batches, to S3
  send    runs the job over one batch, at its slice of the rate; returns every user's outcome
  merge   makes one report, failed file, summary and HTML page of all batches, in S3

The promises. The ledger decides who is sent a code, so a batch may be started any number of
times: again by a redrive, or twice at the same time by mistake. Once a message may have been
sent, nothing is raised: an error is then a value in the response. Before the function's time
is over the job stops, settles what is in flight and returns the rest as `not-attempted`, for
the state machine to start again. A result that an earlier attempt reported for a user stays.
Names stay in S3 and in the ledger: the responses, which Step Functions shows and stores,
identify rows by their numbers.

The function is configured by the variables of the options (`BATCH_RESEND_...`), and each
execution by `arguments`: what would be typed after `batch-resend run`. `BUCKET` is the
bucket, `WORKERS` the number of batches that run at a time, `BATCH_SIZE` the number of users
in one, `TOLERATED_FAILURE_PERCENTAGE` how many of the batches may fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from batch_resend.cli.sdk_logs import quiet
from batch_resend.errors import UsageError
from batch_resend.step_functions import merge, plan, send

_ACTIONS = {"plan": plan.plan, "send": send.send, "merge": merge.merge_batches}


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Run the action that `event` names; the handler of the Lambda function.

    Raises a `BatchResendError` if no message can have been sent.
    """
    action = event.get("action")
    if action not in _ACTIONS:
        raise UsageError(f"action {action!r} is not valid. Use {', '.join(_ACTIONS)}.")
    quiet()  # the function's process is ours
    return anyio.run(_ACTIONS[action], event, context)
