"""The command `bgrs worker`: a process that runs what web processes have accepted, and answers nobody itself."""
