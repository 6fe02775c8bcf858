"""Hosts: the only folder that imports nni, keras_tuner and autokeras."""
