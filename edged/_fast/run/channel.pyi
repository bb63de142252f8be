"""An open byte stream: nothing of it is reached from Python."""
