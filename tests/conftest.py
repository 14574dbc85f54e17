"""For all tests: the settings of whoever runs them count for nothing."""

import os

os.environ["TRANSLATE_LIVE_CONFIG"] = ""
