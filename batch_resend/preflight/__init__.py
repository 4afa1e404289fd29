"""Preflight: what is learnt of pool, client and account, judged, and shown to approve."""
