"""The command `bgrs status`: the health of a store and of the processes of this host that use it."""
