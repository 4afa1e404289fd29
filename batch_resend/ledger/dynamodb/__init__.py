"""A ledger in a DynamoDB table, for any number of machines: `dynamodb://TABLE`."""
