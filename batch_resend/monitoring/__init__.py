"""What other programs receive during a run: pings and metrics.

Neither can harm the run: invalid URLs and paths are reported before it starts, and a later
failure is a note to the operator. Sending never waits for them, and the end of the program
waits for a few seconds at most. They contain no person's name.
"""
