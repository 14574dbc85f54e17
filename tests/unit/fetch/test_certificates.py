"""A user behind a proxy has told pip which certificates to trust; downloads trust them, too."""

import ssl
import subprocess
from pathlib import Path
from types import SimpleNamespace

import certifi

from models import downloads


def test_what_pip_is_told_to_trust_is_trusted(tmp_path, monkeypatch):
    whole = Path(certifi.where()).read_text()
    one = whole[whole.index("-----BEGIN") : whole.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    (tmp_path / "own.pem").write_text(one)
    loaded = []
    context = SimpleNamespace(load_verify_locations=loaded.append)
    monkeypatch.setattr(ssl, "create_default_context", lambda: context)
    settings = f"global.cert='{tmp_path / 'own.pem'}'\n:env:.cert='/nowhere'\nglobal.index-url='https://x'\n"
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: SimpleNamespace(stdout=settings))
    downloads._certificates.cache_clear()
    try:
        assert downloads._certificates() is context
    finally:
        downloads._certificates.cache_clear()
    assert str(tmp_path / "own.pem") in loaded
    assert "/nowhere" not in loaded
