"""What other programs learn of a run: pings and metrics."""
