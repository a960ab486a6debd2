"""The command `bgrs purge`: removes from a store what has ended and is old enough, at once."""
