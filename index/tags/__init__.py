"""Tags: the catalog of them, what is tagged with which, where they come from, and how far each moves a ranking."""
