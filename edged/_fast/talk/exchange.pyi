"""One request, the story in one place: look up, choose, edit, dial, retry, relay, end: nothing of it is reached from Python."""
