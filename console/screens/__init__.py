"""The views of the app; each draws a model and offers the actions of its name."""
