"""Keys of TLS 1.3: nothing of it is reached from Python."""
