"""The report's sections on the sweep: search, trials, training, diagnosis, data, nights. Each file lays one out."""
