"""All communication with AWS: endpoints, clients, the transport, the sender, S3."""
