"""What survives a death: of the process, of the machine, of the disk."""
