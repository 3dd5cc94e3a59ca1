"""Running networks: blocks with the states outside, the independent reference simulator, the ANN."""
