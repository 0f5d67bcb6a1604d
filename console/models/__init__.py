"""What screens and progress bars draw: values folded from events and files, with no Textual in them."""
