"""The whole daemon beside its peers: same cores, same backends, same load, turn by turn."""
