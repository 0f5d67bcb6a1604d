"""The drawing kit behind the example documents: geometry, type, page primitives, composed parts and the documents."""
