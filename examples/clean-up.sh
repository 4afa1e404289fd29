#!/usr/bin/env bash
# A careful one-off clean-up: look, try a few, do the rest, try again what failed.
#
# What is set by environment variables:
#   USERS         a CSV file of users; without it they are listed from the pool
#   OUT           folder for the reports (clean-up-<date>)
#   CANARY        how many are written to first (10)
#   CANARY_FAILS  how many of these may fail or be unknown before all stops (3)
#   AGAIN_AFTER   seconds before what failed is tried again (3600: a user's own limit of
#                 five codes an hour is over by then)
# and every option of `batch-resend run`, each by BATCH_RESEND_<OPTION>:
#   export BATCH_RESEND_USER_POOL_ID=eu-west-1_AbCdEf123
#   export BATCH_RESEND_CLIENT_ID=1example23456789
#   export BATCH_RESEND_CLIENT_SECRET_FILE=client-secret
#   examples/clean-up.sh
# At a terminal each step shows its plan and asks; elsewhere set BATCH_RESEND_YES=1.
# To try it against the simulator: BATCH_RESEND_SIMULATE=1 USERS=examples/users.csv AGAIN_AFTER=1
#
# It is safe to stop this at any time and to start it again: the ledger knows who was
# written to. (Those who fail are what is left then: raise CANARY_FAILS.) It ends with 0
# or 1 as `batch-resend run` does, or with the code of the step that stopped it.
set -eu

OUT=${OUT:-clean-up-$(date -u +%Y%m%dT%H%M%SZ)}
mkdir -p "$OUT"

# A simulated run forgets its users at its end. The steps must see each other's messages.
if [ -n "${BATCH_RESEND_SIMULATE:-}" ] && [ -z "${BATCH_RESEND_LEDGER:-}" ]; then
    export BATCH_RESEND_LEDGER="$OUT/simulated-ledger.sqlite3"
fi

# step NAME [OPTION...]: one run. Exit code 1 (some users failed) does not stop the script, any other does.
step() {
    name=$1
    shift
    printf '\n== %s\n' "$name" >&2
    code=0
    batch-resend run ${USERS:+"$USERS"} --report "$OUT/$name.csv" --overwrite "$@" || code=$?
    if [ "$code" -gt 1 ]; then
        printf 'Stopped at step "%s" with exit code %s.\n' "$name" "$code" >&2
        exit "$code"
    fi
}

# Show who would be sent a code, who would not, and why. Nothing is sent.
step dry-run --dry-run

# A few first. Ask one of them whether the mail came, and whether its link works.
# --sample in place of --limit draws them at random.
step canary --limit "${CANARY:-10}" --max-failures "${CANARY_FAILS:-3}"

# All other users: the ledger has those of the canary.
step rest --failed "$OUT/failed.csv"

# What failed, once more. Users whose answer was lost stand in failed.csv too, and are skipped
# as `outcome-unknown`: they may have got their code.
if [ "$code" -eq 1 ]; then
    sleep "${AGAIN_AFTER:-3600}"
    USERS="$OUT/failed.csv"
    unset BATCH_RESEND_FILTER BATCH_RESEND_ONE_PER_ADDRESS # these are for a listing only
    unset BATCH_RESEND_OLDER_THAN BATCH_RESEND_NEWER_THAN
    step again
fi

exit "$code"
