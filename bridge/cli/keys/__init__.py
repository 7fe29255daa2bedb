"""`bridge keys`: the file of keys made and changed on this machine (wiring)."""
