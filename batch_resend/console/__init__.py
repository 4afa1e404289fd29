"""What a person sees of a run, on standard error."""
