"""What moves the batches of clients on: of several gateways one does each part at a time."""
