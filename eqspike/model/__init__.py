"""WHAT is simulated: neurons, couplings, rules, nudges, encodings, hardware. Nothing here steps through time."""
