"""For all tests: the settings, voices and lists of whoever runs them count for nothing, and are not touched."""

import atexit
import os
import shutil
import tempfile

os.environ["TRANSLATE_LIVE_CONFIG"] = ""
os.environ["TRANSLATE_LIVE_DATA"] = tempfile.mkdtemp(prefix="translate-live-tests-")
atexit.register(shutil.rmtree, os.environ["TRANSLATE_LIVE_DATA"], ignore_errors=True)
