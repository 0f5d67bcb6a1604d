"""What the operator touches: the Textual app, the command line, settings and the operations that join the packages."""
