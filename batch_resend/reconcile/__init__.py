"""Unknown outcomes, settled by evidence: AWS CloudTrail's records of our own requests.

A request whose response was lost is unknown to us, not to Cognito: CloudTrail keeps each call
of the user pools API, with its result and the User-Agent as it was sent, and every request
carries the mark of its intent there (`marks`). The parts, in the order in which they work:

    windows      when the requests of unknown outcome were made; which answered requests
                 around them must have records too (controls)
    records      what a record says, read with suspicion
    event_files  records from files: lookup-events output, a trail's files
    search       which of the wanted records have been seen
    findings     what each unknown outcome turns out to be

The promises:

  1. `sent` only where a record with the mark says that Cognito accepted the message;
     `failed`, `skipped` or taken back only where it says that Cognito sent nothing.
  2. No record proves nothing. It becomes the reason `not-recorded`, and the outcome stays
     unknown, only for a request that is old enough, whose response was lost on our side, and
     around which enough of our own answered requests were made that all have a record. One
     that has none makes every missing record near it worthless.
  3. Only an unknown outcome changes. No message is sent, and Cognito is not called.
"""
