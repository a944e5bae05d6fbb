"""Every speed that the README states, measured beside its peers and a floor."""
