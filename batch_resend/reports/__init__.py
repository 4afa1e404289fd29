"""What is left for people and programs: the report, the failed rows, the summary."""
