"""Every action of the app as data: keys, palette, help page, key map, docs and tests are made from these tables."""
