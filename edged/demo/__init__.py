"""`edged demo`: a complete little site to play with, its backends included."""
