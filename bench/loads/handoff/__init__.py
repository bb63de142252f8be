"""The hand-off load: what a proxy loses while it is reloaded and upgraded under load, and whether it grows."""
