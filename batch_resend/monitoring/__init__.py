"""What other programs hear of a run while it goes on: pings and metrics.

Neither can harm the run: what is wrong with their addresses and paths is said before it
begins, and whatever goes wrong with them afterwards is a note to the operator. Sending
never waits for them, and the end of the program waits for seconds at the most. What is
told holds no person's name.
"""
