"""Mining: what a corpus speaks of and the catalog does not know, proposed to people, who decide."""
