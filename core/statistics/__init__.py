"""Statistics of plain arrays: intervals over groups, shares and ranks."""
