"""Questions drafted from the corpus, for the operator to accept into the labelled queries."""
