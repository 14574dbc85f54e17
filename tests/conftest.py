"""For all tests: settings, voices and lists of whoever runs them count for nothing, nor does how busy the machine is."""

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

os.environ["TRANSLATE_LIVE_CONFIG"] = ""
os.environ["TRANSLATE_LIVE_DATA"] = tempfile.mkdtemp(prefix="translate-live-tests-")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # on small matrices and beside other tests threads only wait for each other
atexit.register(shutil.rmtree, os.environ["TRANSLATE_LIVE_DATA"], ignore_errors=True)
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
