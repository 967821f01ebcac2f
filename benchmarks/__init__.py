"""One script a claim. Each prints machine, versions, command and figures against a floor or a peer of the same run."""
