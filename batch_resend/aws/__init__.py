"""AWS, spoken to here: endpoints, clients, the transport, the sender, S3."""
