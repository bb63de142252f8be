"""What epoll tells: nothing of it is reached from Python."""
