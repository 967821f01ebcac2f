"""Parts of the readers of text: the header of a CSV file, the marks of numbers, and texts that count as no value."""
