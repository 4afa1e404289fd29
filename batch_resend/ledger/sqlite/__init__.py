"""A ledger in a file: the rows, many steps under one sync, and a look at it meanwhile."""
