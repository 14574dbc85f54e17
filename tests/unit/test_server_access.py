"""Admission of clients: keys, secrets, tickets, cookies, Origin, places; nothing can be forged, kept or used twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from starlette.requests import HTTPConnection

from pipeline.errors import BadInput
from pipeline.server.access import COOKIE, Access, Grant, Key, Refusal, Signer, load_keys, subprotocol
from pipeline.server.admission import KEPT_S, Admission, Resumed, resume_token, resumed_session
from tests.serving import SECRET, key

KEY = key("studio", "sesame", max_sessions=2)
NOW = [1_000_000.0]


@pytest.fixture
def signer() -> Signer:
    NOW[0] = 1_000_000.0
    return Signer(SECRET, lambda: NOW[0])


def connection(**headers: str) -> HTTPConnection:
    headers = {"host": "127.0.0.1:8200", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "websocket", "headers": raw, "path": "/", "query_string": b""})


def refused(access: Access, **headers: str) -> tuple[int, str]:
    with pytest.raises(Refusal) as error:
        access.identify(connection(**headers))
    return error.value.status, error.value.code


def test_a_key_is_taken_from_the_header_or_the_subprotocol_and_never_answered(signer):
    access = Access([KEY], signer)
    assert access.identify(connection(authorization="Bearer sesame")).key is KEY
    browser = connection(sec_websocket_protocol="realtime, openai-insecure-api-key.sesame")
    assert access.identify(browser).key is KEY
    assert subprotocol(browser) == "realtime"
    assert subprotocol(connection()) is None
    for headers in ({}, {"authorization": "Bearer guess"}, {"authorization": "Basic sesame"}, {"authorization": "Bearer "}):
        assert refused(access, **headers) == (401, "invalid_api_key")
    assert refused(access, authorization=f"Bearer {KEY.sha256}") == (401, "invalid_api_key")


def test_without_keys_this_machine_is_let_in_under_its_own_names_only(signer):
    access = Access([], signer)
    assert access.identify(connection()).key.may_clone
    assert access.identify(connection(host="[::1]:8200")).key.id == "local"
    assert refused(access, host="evil.example:8200") == (403, "origin_not_allowed")  # DNS rebinding
    assert refused(access, host="evil.example:8200", origin="http://evil.example:8200") == (403, "origin_not_allowed")
    assert refused(access, authorization="Bearer ek_forged.00") == (401, "invalid_api_key")


@pytest.mark.parametrize("keys", [[], [KEY]])
def test_a_page_of_another_site_is_refused_unless_it_is_listed(signer, keys):
    access = Access(keys, signer, ["https://ours.example"])
    right = {"authorization": "Bearer sesame"}
    assert access.identify(connection(origin="http://127.0.0.1:8200", **right))
    assert access.identify(connection(origin="https://ours.example", **right))
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "https://ours.example.evil"):
        assert refused(access, origin=origin, **right) == (403, "origin_not_allowed")


def test_a_client_secret_holds_its_configuration_until_it_expires(signer):
    access = Access([KEY], signer)
    secret, expires_at = access.client_secret(Grant(KEY), {"model": "m"}, 60, single_use=False)
    for _ in range(2):
        granted = access.identify(connection(authorization=f"Bearer {secret}"), secrets_too=True)
        assert granted == Grant(KEY, {"model": "m"})
    assert refused(access, authorization=f"Bearer {secret}")[0] == 401, "it opens sessions, nothing else"
    assert expires_at == NOW[0] + 60
    assert refused(access, authorization=f"Bearer {secret[:-1]}0")[0] == 401
    assert refused(Access([KEY], Signer(SECRET[::-1], lambda: NOW[0])), authorization=f"Bearer {secret}")[0] == 401
    assert refused(Access([key("other", "x")], signer), authorization=f"Bearer {secret}")[0] == 401
    NOW[0] += 60
    assert refused(access, authorization=f"Bearer {secret}")[0] == 401


def test_a_single_use_secret_and_a_ticket_work_once(signer):
    access = Access([KEY], signer)
    secret, _ = access.client_secret(Grant(KEY), {}, 60, single_use=True)
    words = connection(authorization=f"Bearer {secret}")
    granted = access.identify(words, secrets_too=True)
    assert granted.key is KEY
    assert access.identify(words, secrets_too=True) == granted, "a full server does not use it up"
    access.spend(granted)
    with pytest.raises(Refusal):
        access.identify(words, secrets_too=True)
    ticket, _ = access.ticket(Grant(KEY))
    cookie = access.cookie(ticket)
    assert access.cookie(ticket) is None
    assert access.identify(connection(cookie=f"{COOKIE}={cookie}")).key is KEY
    assert refused(access, cookie=f"{COOKIE}={ticket}")[0] == 401  # one kind of token is not another
    assert access.cookie(secret.replace("ek_", "tk_")) is None


def test_a_guest_has_a_place_of_the_hosts_key_and_none_of_its_rights(signer):
    host = replace(KEY, may_clone=True, consented=True, glossary_from=("https://terms.example/",))
    access = Access([host], signer)
    invite, _ = access.invitation(Grant(host), "tea")
    guest = HTTPConnection({**connection().scope, "query_string": f"invite={invite}".encode()})
    assert access.invited(guest, "another") is None
    assert access.invited(guest, "tea") == Grant(KEY)
    with pytest.raises(Refusal, match="invitation is not of this room, or has expired"):
        access.identify(guest)


def test_the_signature_of_every_byte_counts(signer):
    token, _ = signer.sign("ek", {"a": 1}, 60)
    assert signer.read("ek", token)["a"] == 1
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert signer.read("ek", token[:place] + other + token[place + 1 :]) is None
    for text in ("", "ek_", "ek_.", "ek_é.ü", "x" * 5000):
        assert signer.read("ek", text) is None
    with pytest.raises(ValueError, match="32 bytes"):
        Signer(b"short")


def test_a_resume_token_is_its_keys_only(signer):
    token = resume_token(signer, "sess_1", "studio", 2)
    assert resumed_session(signer, token, "studio") == Resumed("sess_1", 2)
    assert resumed_session(signer, token, "other") == Resumed()
    assert resumed_session(signer, "", "studio") == Resumed()
    NOW[0] += 120
    assert resumed_session(signer, token, "studio") == Resumed()


def test_a_keys_file_is_checked(tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text(f"- id: studio\n  sha256: {KEY.sha256}\n  max_sessions: 2\n")
    assert load_keys(file) == [KEY]
    file.write_text(f"- {{id: studio, sha256: {KEY.sha256}, retention_days: 0.5}}")
    assert load_keys(file)[0].retention_days == 0.5
    same = f"- {{id: a, sha256: {KEY.sha256}}}\n"
    for text in (
        "",
        "[]",
        "- id: a",
        "- {id: a, sha256: xyz}",
        "- {id: 5}",
        ": :",
        same * 2,
        same + same.replace("a,", "b,"),
        same.replace("}", ", retention_days: 0}"),
    ):
        file.write_text(text)
        with pytest.raises(BadInput, match=str(file)):
            load_keys(file)
    with pytest.raises(BadInput, match="cannot read"):
        load_keys(tmp_path / "none")


async def test_a_place_is_given_back_and_keys_have_a_share():
    admission = Admission(3)
    with admission.place(KEY), admission.place(KEY):
        assert admission.admits
        with pytest.raises(Refusal) as over, admission.place(KEY):
            pass
        assert (over.value.status, over.value.code, over.value.headers["Retry-After"]) == (429, "rate_limited", "5")
        with admission.place(Key("other")):
            assert not admission.admits
            with pytest.raises(Refusal) as full, admission.place(Key("third")):
                pass
        assert (full.value.status, full.value.code) == (503, "capacity")
    assert admission.active == 0
    await asyncio.wait_for(admission.emptied(), 1)
    admission.draining = True
    with pytest.raises(Refusal) as drained, admission.place(KEY):
        pass
    assert drained.value.status == 503
    assert not admission.admits


@pytest.mark.looptime
async def test_the_place_of_a_lost_session_waits_for_its_client():
    admission = Admission(1)
    admission.keep("sess_1", KEY)
    assert not admission.admits
    with admission.place(KEY, "sess_1"):
        assert admission.active == 1
    assert admission.admits
    admission.keep("sess_1", KEY)
    await asyncio.sleep(KEPT_S)
    assert admission.admits


def test_a_misspelt_limit_of_a_key_and_a_host_that_is_no_address_are_refused(signer, tmp_path):
    file = tmp_path / "keys.yaml"
    file.write_text(f"- {{id: studio, sha256: {KEY.sha256}, max-sessions: 2}}\n")
    with pytest.raises(BadInput, match="unknown setting 'max-sessions' of a key; did you mean 'max_sessions'"):
        load_keys(file)
    access = Access([KEY], signer)
    assert refused(access, host="[")[0] == 403
    assert refused(access, origin="http://[", host="ours.example")[0] == 403


@pytest.mark.looptime
async def test_lost_sessions_of_a_key_count_among_its_own():
    admission, one = Admission(4), key("one", "x", max_sessions=1)
    admission.keep("sess_1", one)
    with pytest.raises(Refusal) as refusal, admission.place(one):
        pass
    assert refusal.value.status == 429
    with admission.place(one, "sess_1"):
        assert admission.active == 1
