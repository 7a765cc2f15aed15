"""The dynamics of rates: settling, energy, and backprop through time as what it is held against."""
