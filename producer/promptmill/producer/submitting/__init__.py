"""Store an input as a batch: what is read, checked and asked, up to the batch that is open."""
