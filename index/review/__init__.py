"""Review: a page on which people look at every region of a run, and what their decisions change in the index.

`build` writes the page from run folders; the page exports a patch; `decisions` keeps patches in the workspace, and
every ingest reads them through `corrections`. Run folders are never written to.
"""
