"""The command line, one module a subject; each command is a thin skin over an operation."""
