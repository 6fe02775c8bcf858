"""The meta-learned model: what earlier tasks say about a new one, and how sure it is.

`training.train` learns from earlier runs, `posterior.Posterior` adapts to the trials of
the run at hand. Axes of arrays: T trials, N candidates, S source runs, P parameters,
F features of a parameter, E embedding.
"""
