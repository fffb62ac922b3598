"""Behaviours: what a model does on a named set of inputs, as a unit that can be explained and predicted."""
