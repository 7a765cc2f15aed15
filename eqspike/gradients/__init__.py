"""Gradients: exact ones, and how the estimates of equilibrium propagation stand to them.

- `settled`: the gradient of the settled cost by implicit differentiation; `curves`: the rate of a neuron
- `compare`: an estimate against it, for each weight matrix; `maps`: over settings; `watch`: while a network learns
- `through_time`: EqProp against backprop through time, step by step
"""
