"""The usual trial, except that one of them dies before it asks for its config."""

import os
import sys

import trial_script

if __name__ == "__main__":
    if os.environ["NNI_TRIAL_SEQ_ID"] == os.environ.get("META_NNI_TEST_DIES_FIRST"):
        sys.exit("dies before it asks for its config")
    trial_script.log("environment", dict(os.environ))
    trial_script.main()
