"""`bgrs demo`: the whole idea on real HTTP in twenty seconds, on this machine alone."""
