"""Published figures beside measured ones: rows, tables, the page docs/results.md, a command."""
