"""Personal data in texts: what is found, by shapes and checksums, and how it is masked."""
