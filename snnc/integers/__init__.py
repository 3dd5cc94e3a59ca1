"""From real weights to the integer grid: rounding, thresholds, layer by layer simulation for calibration."""
