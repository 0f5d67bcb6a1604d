"""What can go wrong with tags, each with the way out in its text."""

from __future__ import annotations

from index.errors import IndexProblem


class BadCatalog(IndexProblem):
    """A tag catalog can't be used; the text names file and entry."""


class UnknownTag(IndexProblem):
    """No tag of the catalog has this name; the text names those that are near."""


class UnknownRecord(IndexProblem):
    """The index has no record of this id."""


class BadPolicy(IndexProblem):
    """A boost policy can't be used; the text names file and line."""


class BadPortfolio(IndexProblem):
    """A list of groups and tags in Markdown can't be used; the text names file and line."""


class BadCandidates(IndexProblem):
    """A review file of mined candidates can't be used; the text names file and line."""
