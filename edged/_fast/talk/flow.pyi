"""One direction of an exchange: a message body from one port to another: nothing of it is reached from Python."""
