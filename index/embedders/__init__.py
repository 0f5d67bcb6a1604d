"""Embedders that ask a server, and what they keep so that nothing is paid twice."""
