"""The client's side of an HTTP/1 or TCP connection: nothing of it is reached from Python."""
