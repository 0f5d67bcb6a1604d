"""Documents → pages → regions → records: scan, render, detect, analyze, records."""
