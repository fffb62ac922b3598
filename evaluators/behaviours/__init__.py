"""What explanations of behaviours are worth: predictions, calibration, gains, edits, known answers."""
