"""The job: the straight line of a username.

 1 read     sources   row 17 of the input                  -> Candidate("ada", row 17)
 2 plan     plan      candidate + history + policy + now   -> ELIGIBLE, or why not -> 8
 3 build    request   user + app client + template         -> Request
 4 wait     pacing    a place in the pace; nothing is promised yet
 5 intend   ledger    "about to ask for ada": durable from here on
 6 send     sender    the call; `outcome` decides what the response means
 7 settle   ledger    "ada: sent": durable from here on. A response which proves that
                      nothing was sent withdraws the intent; then a pause, and back to 4
 8 report   reports   Result -> one row

Steps 1 and 2 (`planner`) run over the whole input first, into a spool on disk: a broken last
row is found before the first message. From the spool on, a fixed number of workers take
their rows from one iterator, each when it is free; where users are asked for in waves, one wave
after another. Steps 3 to 7 of one user are an `attempt`.

Every row ends in exactly one result, whatever ends the run: to stop is to close the gate
of the pace, so that what is in flight is settled and the rest becomes `not-attempted`.
What goes wrong with one user is a value; what goes wrong with the run is a `Stop`.
"""
