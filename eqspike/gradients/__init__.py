"""Gradients: what the estimates of a learner are held against."""
