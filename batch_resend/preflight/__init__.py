"""Preflight: facts about pool, client and account, judged, and shown for approval."""
