"""Search spaces in NNI's JSON format; installed as `meta_nni.search_spaces`."""
