"""A ledger in a file: the rows, many steps with one sync, and snapshots of a ledger in use."""
