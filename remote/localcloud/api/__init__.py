"""vast.ai's HTTP surface by subject: paths, shapes and refusals as its own clients meet them."""
