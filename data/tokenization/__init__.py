"""From documents to token stores, shard by shard, over a pool of processes, and the account of how they were cut."""
