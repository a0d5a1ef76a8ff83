"""The report's sections on the team: verdict, baselines, members, confidence, classes, cost. Each file lays one out."""
