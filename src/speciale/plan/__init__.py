"""What a job would take, computed before it is started: memory, traffic, time, contexts a node."""
