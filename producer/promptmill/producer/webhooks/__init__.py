"""Tell others what became of a batch: by signed requests, again and again until they take them."""
