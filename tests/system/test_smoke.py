"""`python -m benchmarks smoke`: the whole harness on known data, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_harness_proves_itself(tmp_path):
    result = tmp_path / "smoke.json"
    command = [sys.executable, "-m", "benchmarks", "smoke", "--json", str(result), "--keep", str(tmp_path / "runs")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    figures = json.loads(result.read_text())["figures"]
    assert figures["golden_figures"] > 40
    page = (tmp_path / "runs" / "report" / "after" / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 3
    assert page.count("data:audio/ogg;base64,") == 2
