"""What the `opencv` detector is called and which rules it has: known without loading what it computes with."""

NAME = "opencv"
VERSION = "9"
