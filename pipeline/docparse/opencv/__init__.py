"""The `opencv` detector: contours and morphology, no model, no learning."""
