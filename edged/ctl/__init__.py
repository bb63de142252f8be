"""How operators speak to a running daemon: the frames, the verbs, and the client's side. The supervisor hosts the other end."""
