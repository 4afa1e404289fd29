"""A run, put together: backend, secret, ledger, outputs, source; prepared, then sent."""
