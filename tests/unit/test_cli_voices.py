"""The command `voices` and the options for voices of the main one, on scripted models and real speech."""

import json
import shlex
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import yaml

from pipeline.cli import main
from pipeline.profiles.profile import load_profile, profiles_folder
from pipeline.request import SessionRequest, resolve
from pipeline.server.asked import Asked, Rejected, resolved
from pipeline.sinks.loudspeaker import Loudspeaker
from pipeline.voices.consent import consent_sentence
from pipeline.voices.store import VoiceStore
from tests.onnx_voices import take_for_whole, write_piper
from tests.scripted_voices import PRESET

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech"
CLIP, CONSENT = SPEECH / "austen-0870.flac", SPEECH / "austen-0920.flac"
PROFILE = {
    "recognizer": {"use": "tests.scripted_voices:Reader", "text": consent_sentence("en", "anna")},
    "translator": {"use": "tests.scripted_backends:Scripted"},
    "synthesizer": {"use": "tests.scripted_voices:Cloner"},
    "third_synthesizer": None,
    "cloning_synthesizer": None,
    "fallback_synthesizer": None,
    "diarizer": None,
    "units": {"policy": "pauses"},
}

QWEN = yaml.safe_load((profiles_folder() / "gpu.yaml").read_text())["synthesizer"]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> VoiceStore:
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(tmp_path / "data"))
    return VoiceStore()


@pytest.fixture
def profile(tmp_path) -> Path:
    path = tmp_path / "voices.yaml"
    path.write_text(json.dumps(PROFILE))
    return path


@pytest.fixture
def voices(profile, capsys):
    """Run ``voices ACTION …``; gives exit code, standard output and standard error."""

    def run(action: str, *options: object) -> tuple[int, str, str]:
        models = ["--profile", "cpu", "--config", profile] if action in {"add", "list", "preview"} else []
        code = main([str(word) for word in ["voices", action, *options, *models]])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_an_empty_audit_says_of_whom(voices, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert voices("audit") == (0, "nothing is in the audit\n", "")
    assert voices("audit", "anna") == (0, "nothing is in the audit of the voice 'anna'\n", "")


@pytest.fixture
def add(voices):
    def run(*options: object, clip: object = CLIP, name: str = "anna", consent: object = CONSENT):
        given = ["--consent", consent] if consent else []
        return voices("add", clip, "--name", name, *given, *options)

    return run


def set_backend(profile: Path, stage: str, **settings: object) -> None:
    profile.write_text(json.dumps(PROFILE | {stage: PROFILE[stage] | settings}))


@pytest.mark.parametrize(
    ("likeness", "said"),
    [
        (0.9, "the voices of clip and consent are alike (0.90), which proves nothing"),
        (0.3, "clip and consent may be of two people (likeness 0.30, of one person 0.72 and more)"),
        (2.0, "not compared: the voices of clip and consent (an encoder broke)"),
    ],
)
def test_clip_and_consent_are_compared_and_nothing_is_refused(add, profile, store, likeness, said):
    diarizer = {"use": "tests.scripted_voices:Comparing", "answer": likeness}
    profile.write_text(json.dumps(PROFILE | {"diarizer": diarizer}))
    code, _, err = add()
    assert code == 0
    assert said in err
    assert "is for you to answer" in err
    assert store.has("anna")


def test_a_voice_from_its_clip_to_its_end(add, voices, store, tmp_path):
    code, out, err = add("--who", "Anna Smith")
    assert code == 0
    assert out.startswith("voice anna: 6")
    assert "checking the consent" in err
    assert "not compared: the voices of clip and consent (the profile names no diarizer); that" in err
    record = store.record("anna")
    assert (record.consent.who, record.consent.checked) == ("Anna Smith", "heard")
    assert list(record.arrays) == ["tests.scripted_voices:Cloner toy"]
    assert record.clip is None

    code, out, _ = voices("list")
    assert code == 0
    assert out.startswith("anna  English, 6")
    assert "consent of Anna Smith on 20" in out

    said = tmp_path / "said.wav"
    assert voices("preview", "anna", "--to", "Spanish", "--out", said)[0] == 0
    samples, _ = soundfile.read(said)
    assert len(samples)
    assert 0.03 < np.median(samples) < 0.1, "as loud as the clip"
    assert "AI-generated" in soundfile.SoundFile(said).comment

    assert voices("remove", "anna")[:2] == (0, "voice anna and all that was kept of it is deleted\n")
    assert list(store.folder.iterdir()) == []
    assert "no voice is enrolled" in voices("list")[1]


class SlowSpeaker(Loudspeaker):
    """Holds seven seconds of speech until they are waited for."""

    made: ClassVar[list["SlowSpeaker"]] = []
    queued_s = 7.0

    def __init__(self, name):
        self.given = []
        self.made.append(self)

    async def put(self, event):
        self.given.append(event)

    async def close(self):
        self.given.append("closed")


def test_a_preview_is_played_to_its_end(voices, store, monkeypatch):
    enrol(store)

    async def sleep(seconds):
        SlowSpeaker.made[0].given.append(seconds)

    monkeypatch.setattr("pipeline.voices.preview.Loudspeaker", SlowSpeaker)
    monkeypatch.setattr("asyncio.sleep", sleep)
    assert voices("preview", "anna", "--text", "hello")[0] == 0
    first, second, *rest = SlowSpeaker.made.pop().given
    assert (first.start, second.start, second.last) == (0.0, first.duration, True)
    assert rest == [7.0, "closed"]


@pytest.mark.parametrize("name", ["short", "empty", "text", "silent", "noise", "clipped", "long", "nothing"])
def test_bad_clips_are_refused_before_any_model_is_loaded(add, profile, tmp_path, store, name):
    set_backend(profile, "synthesizer", lacks="qwen")  # would be told next
    speech, rate = soundfile.read(CLIP, dtype="float32")
    path = tmp_path / f"{name}.wav"
    kinds = {
        "short": (speech[: 2 * rate], "record some sentences"),
        "silent": (np.zeros(5 * rate), "check which microphone"),
        "noise": (np.random.default_rng(0).normal(0, 0.1, 8 * rate), "no speech"),
        "clipped": (np.clip(speech * 10, -1, 1), "turn the microphone down"),
        "long": (np.zeros(120 * rate), "a file that holds only that part of it"),
    }
    if name in kinds:
        soundfile.write(path, kinds[name][0], rate)
    elif name != "nothing":
        path.write_bytes(b"no audio " * (1000 if name == "text" else 0))
    step = kinds[name][1] if name in kinds else ""
    for recorded in ({"clip": path}, {"consent": path}) if name not in {"short", "clipped"} else ({"clip": path},):
        code, out, err = add(**recorded)
        error, *advice = [line for line in err.splitlines() if line.startswith(("error:", "try:"))]
        assert (code, out) == (2, "")
        assert f"{name}.wav" in error
        assert step in "".join([error, *advice])
        assert not any("--help" in line for line in advice)
    assert store.names() == []


def test_without_consent_it_says_what_to_record(add, store):
    code, _, err = add(consent=None)
    assert code == 2
    assert err.splitlines()[-1] == f'try: --consent FILE, in which they say: "{consent_sentence("en", "anna")}"'
    code, _, err = add("--language", "German", consent=None)
    assert consent_sentence("de", "anna") in err
    assert store.names() == []


def test_consent_to_another_name_is_none(add, store):
    code, _, err = add(name="bertha_the_second_of_spain")
    assert code == 2
    assert "was heard" in err
    assert store.names() == []


def test_a_language_that_is_not_heard_needs_the_users_word(add, store):
    code, _, err = add("--language", "de")
    assert code == 2
    assert "does not hear German" in err
    assert err.splitlines()[-1].startswith('try: --consent-text "')
    assert add("--language", "de", "--consent-text", "Ja, translate-live darf meine Stimme als anna benutzen")[0] == 0
    assert store.record("anna").consent.checked == "confirmed"


@pytest.mark.parametrize("name", ["../anna", "", "a b", "same", "con/../x"])
def test_names_are_no_paths(add, store, name):
    code, _, err = add(name=name)
    assert code == 2
    assert "name" in err
    assert not store.folder.exists()


def test_a_clip_that_is_its_own_consent_is_of_one_speaker(add):
    code, _, err = add(consent=CLIP)
    assert (code, "not checked" in err) == (0, False)


def test_a_name_is_taken_unless_it_is_replaced(add, store):
    assert add("--keep-clip")[0] == 0
    code, _, err = add()
    assert code == 2
    assert "try: --replace, or another --name" in err
    assert store.record("anna").clip is not None
    assert add("--replace")[0] == 0
    assert store.record("anna").clip is None


def test_a_backend_that_cannot_clone_or_lacks_something(add, profile, store):
    set_backend(profile, "synthesizer", use="tests.scripted_voices:Mute")
    code, _, err = add()
    assert (code, "cannot clone" in err) == (2, True)
    set_backend(profile, "synthesizer", lacks="qwen")
    code, _, err = add()
    assert code == 4
    assert "try: pip install qwen" in err
    assert store.names() == []


def test_what_cannot_clone_says_so_before_anything_is_heard_or_loaded(add, translate, profile, store):
    set_backend(profile, "synthesizer", clones=False)
    for code, _, err in (add(clip="nowhere.wav"), translate("--voice", "same", "--speaker-consents")):
        assert code == 2
        assert "error: this one cannot clone\ntry: another" in err
        assert "loading models" not in err
    code, _, err = translate("--voice", "anna")
    assert code == 2
    assert "there is no voice 'anna'; profile cpu cannot learn it: this one cannot clone" in err
    assert err.splitlines()[-1] == "try: translate-live voices list"


def test_the_list_shows_presets_or_why_they_are_not_known(voices, profile):
    assert voices("list")[1].endswith("presets of profile cpu, Cloner toy: vivian\n")
    set_backend(profile, "synthesizer", lacks="qwen")
    assert voices("list")[1].endswith("presets of profile cpu, Cloner toy: not known yet, it lacks qwen\n")


def test_voices_that_come_by_language_are_listed_where_they_are_here(voices, profile, tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    monkeypatch.setattr("models.tts.piper.lacking", lambda *_: [])
    profile.write_text(json.dumps(PROFILE | {"third_synthesizer": {"use": "models.tts.piper:Piper"}}))
    assert voices("list")[1].endswith("\npresets of profile cpu, Piper: none is here\n")
    write_piper(tmp_path / "piper" / "de_DE-mls-medium.onnx")
    take_for_whole(monkeypatch, tmp_path / "piper")
    assert voices("list")[1].endswith("\npresets of profile cpu, Piper: de_DE-mls-medium\n")
    for words in ((), ("--to", "de")):
        said = tmp_path / f"said{len(words)}.wav"
        assert voices("preview", "de_DE-mls-medium", *words, "--out", said)[0] == 0
        assert np.abs(soundfile.read(said)[0]).max() > 0.05
    code, _, err = voices("preview", "de_DE-mls-medium", "--to", "es", "--out", tmp_path / "none.wav")
    assert (code, "the voice 'de_DE-mls-medium' speaks de and not es" in err) == (2, True)
    for may_clone in (True, False):
        told = resolved(
            Asked("es", voice="de_DE-mls-medium", any_voice=True), load_profile("cpu", profile), may_clone=may_clone
        )
        assert told.notices == ("the voice 'de_DE-mls-medium' speaks de and not es: another speaks",)
        with pytest.raises(Rejected, match="^the voice 'de_DE-mls-medium' speaks de and not es$"):
            resolved(Asked("es", voice="de_DE-mls-medium"), load_profile("cpu", profile), may_clone=may_clone)
    assert "Cloner does not speak 'fr'; it speaks en, es" in voices("preview", "vivian", "--to", "fr")[2]


def test_a_broken_voice_does_not_hide_the_others(add, voices, store):
    add()
    (store.folder / "zoe").mkdir()
    (store.folder / "zoe" / "voice.json").write_text("{")
    code, out, _ = voices("list")
    assert code == 0
    assert out.startswith("anna  English")
    assert "zoe: " in out
    assert voices("remove", "zoe")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["remove", "ana"], "did you mean 'anna'"),
        (["preview", "ana"], "did you mean 'anna'"),
        (["preview", "anna", "--to", "fr"], "does not speak 'fr'; it speaks en, es"),
        (["preview", "anna", "--to", "klingonish"], "is no language"),
        (["preview", "anna", "--text", "", "--out", "empty.wav"], "the text '' holds no word to say"),
        (["preview", "anna", "--text", " …", "--out", "empty.wav"], "holds no word to say"),
        (["preview", "anna", "--out", "a.mp3"], ".wav or .flac"),
        (["lst"], "invalid choice: 'lst'"),
    ],
)
def test_wrong_words_are_told(voices, store, words, said):
    enrol(store)
    code, out, err = voices(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert not Path("empty.wav").exists()


@pytest.fixture
def translate(profile, tmp_path, capsys):
    """Translate eight seconds of speech into a file with some options; gives code, the speech and what was said."""
    talk = tmp_path / "talk.wav"
    soundfile.write(talk, np.full(16 * 16_000, 0.3, np.float32), 16_000)
    recognizer = {"recognizer": {"use": "tests.scripted_backends:Scripted"}}

    def run(*options: object) -> tuple[int, np.ndarray, str]:
        profile.write_text(json.dumps(json.loads(profile.read_text()) | recognizer))
        out = tmp_path / "out.wav"
        out.unlink(missing_ok=True)
        words = [talk, "--to", "es", "--out", out, "--profile", "cpu", "--config", profile, *options]
        code = main([str(word) for word in words])
        samples = soundfile.read(out)[0] if out.exists() else np.zeros(0)
        return code, samples[samples > 0.001], capsys.readouterr().err

    return run


def enrol(store, level=0.5, clip=False, model="tests.scripted_voices:Cloner toy"):
    from tests.unit.test_voices_store import CLIP as STORED
    from tests.unit.test_voices_store import record

    store.add(record(), model, {"loudness": np.array([level], np.float32)}, STORED if clip else None)


def test_a_session_speaks_with_an_enrolled_voice_at_once(translate, store):
    enrol(store)
    code, spoken, _ = translate("--voice", "Anna")
    assert code == 0
    assert np.median(spoken) == pytest.approx(0.5, abs=0.01)
    assert spoken[: len(spoken) // 10].mean() == pytest.approx(0.5, abs=0.02)


def test_a_preset_and_no_voice(translate):
    assert np.median(translate("--voice", "Vivian")[1]) == pytest.approx(PRESET, abs=0.01)
    assert np.median(translate()[1]) == pytest.approx(PRESET, abs=0.01)


def test_the_speakers_own_voice_needs_consent_and_comes_after_some_seconds(translate):
    code, _, err = translate("--voice", "same")
    assert code == 2
    assert "try: --voice same --speaker-consents" in err
    code, spoken, _ = translate("--voice", "same", "--speaker-consents")
    assert code == 0
    tenth = len(spoken) // 10
    assert np.median(spoken[:tenth]) == pytest.approx(PRESET, abs=0.01)
    assert np.median(spoken[-tenth:]) == pytest.approx(0.3, abs=0.02)


def test_a_voice_of_another_model_is_learned_again_from_the_kept_clip(translate, store):
    enrol(store, model="another one")
    code, _, err = translate("--voice", "anna")
    assert code == 2
    assert "was enrolled for another one, not for tests.scripted_voices:Cloner toy" in err
    assert "--keep-clip" in err
    enrol(store, clip=True, model="another one")
    code, spoken, _ = translate("--voice", "anna")
    assert code == 0
    assert np.median(spoken) == pytest.approx(0.5 / 2**0.5, abs=0.01), "as loud as the kept clip, a tone"
    assert list(store.record("anna").arrays) == ["another one", "tests.scripted_voices:Cloner toy"]


GERMAN = "tests.scripted_voices:GermanCloner"


@pytest.fixture
def two_cloners(profile):
    """Give the profile a second synthesizer that clones, and a translator into its language."""
    second = {"second_synthesizer": {"use": GERMAN}, "translator": {"use": "tests.scripted_backends:Tagging"}}
    profile.write_text(json.dumps(PROFILE | second))


@pytest.mark.usefixtures("two_cloners")
def test_each_synthesizer_that_clones_learns_a_voice_and_speaks_its_own_languages_in_it(
    add, voices, translate, store, tmp_path
):
    code, _, err = add()
    assert code == 0
    assert "learning it for the languages of GermanCloner" in err
    assert list(store.record("anna").arrays) == ["tests.scripted_voices:Cloner toy", f"{GERMAN} toy"]
    loudness = store.voice(store.record("anna"), f"{GERMAN} toy").arrays["loudness"][0]
    code, spoken, err = translate("--to", "de", "--voice", "anna")
    assert code == 0
    assert "Cloner does not speak German (de): GermanCloner will, too" in err
    assert np.median(spoken) == pytest.approx(loudness, abs=0.01)
    assert voices("preview", "anna", "--to", "de", "--text", "hallo", "--out", tmp_path / "de.wav")[0] == 0
    assert np.median(soundfile.read(tmp_path / "de.wav")[0]) == pytest.approx(loudness, abs=0.01)


@pytest.mark.usefixtures("two_cloners")
def test_a_second_synthesizer_learns_a_voice_from_the_clip_that_was_kept_or_says_that_it_has_not(translate, store):
    enrol(store)
    code, spoken, err = translate("--to", "de", "--voice", "anna")
    assert code == 0
    assert "GermanCloner will, in its own voice" in err
    assert "GermanCloner has not learned the voice 'anna': enrol it again" in err
    assert np.median(spoken) == pytest.approx(PRESET, abs=0.01)
    enrol(store, clip=True)
    code, spoken, err = translate("--to", "de", "--voice", "anna")
    assert (code, "GermanCloner will, too" in err) == (0, True)
    assert np.median(spoken) == pytest.approx(0.5 / 2**0.5, abs=0.01), "as loud as the kept clip, a tone"


@pytest.fixture
def cloning(profile):
    """Give the profile a first synthesizer that cannot clone and one that does, for Spanish, after it."""
    mute = PROFILE["synthesizer"] | {"clones": False}
    translator = {"use": "tests.scripted_backends:Tagging", "regions": ["en-GB"]}
    stages = {"synthesizer": mute, "cloning_synthesizer": {"use": GERMAN}, "translator": translator}
    profile.write_text(json.dumps(PROFILE | stages))


@pytest.mark.usefixtures("cloning")
def test_voices_of_ones_own_are_spoken_by_the_first_synthesizer_that_learns_them(add, voices, translate, store, tmp_path):
    assert add()[0] == 0
    assert list(store.record("anna").arrays) == [f"{GERMAN} toy"]
    loudness = store.voice(store.record("anna"), f"{GERMAN} toy").arrays["loudness"][0]
    for target in ("es", "de"):
        code, spoken, err = translate("--to", target, "--voice", "anna")
        assert (code, "in its own voice" in err) == (0, False)
        assert np.median(spoken) == pytest.approx(loudness, abs=0.01)
    assert voices("preview", "anna", "--to", "es", "--out", tmp_path / "es.wav")[0] == 0
    assert np.median(soundfile.read(tmp_path / "es.wav")[0]) == pytest.approx(loudness, abs=0.01)
    code, spoken, _ = translate("--to", "es", "--voice", "same", "--speaker-consents")
    assert code == 0
    assert np.median(spoken[-len(spoken) // 10 :]) == pytest.approx(0.3, abs=0.02)
    code, spoken, err = translate("--to", "es", "--voice", "vivian")
    assert (code, np.median(spoken), "own voice" in err) == (0, pytest.approx(PRESET, abs=0.01), False)


@pytest.mark.usefixtures("cloning")
def test_a_language_that_no_synthesizer_speaks_in_ones_voice_is_told(add, profile, store):
    assert add()[0] == 0
    asked = SessionRequest(targets=("en-GB", "es"), spoken=("en-GB", "es"), voice="anna")
    resolved_ = resolve(asked, load_profile("cpu", profile), store)
    assert [(one.synthesizer, one.voice and one.voice.name) for one in resolved_.speech] == [
        ("synthesizer", None), ("cloning_synthesizer", "anna"),
    ]  # fmt: skip
    (notice,) = resolved_.notices
    assert notice.startswith("the voice 'anna' does not speak")
    assert notice.endswith("Cloner will, in its own voice")


def test_a_synthesizer_for_voices_that_is_not_here_is_told_where_it_is_asked_for_only(add, translate, profile, store):
    mute = PROFILE["synthesizer"] | {"clones": False}
    absent = {"use": GERMAN, "lacks": "a model"}
    profile.write_text(json.dumps(PROFILE | {"synthesizer": mute, "cloning_synthesizer": absent}))
    for code, _, err in (add(), translate("--to", "es", "--voice", "same", "--speaker-consents")):
        assert (code, "profile cpu lacks a model" in err) == (4, True)
        assert err.splitlines()[-1] == "try: pip install a model"
    code, spoken, err = translate("--to", "es")
    assert (code, np.median(spoken), "a model" in err) == (0, pytest.approx(PRESET, abs=0.01), False)
    enrol(store, model=f"{GERMAN} toy")
    code, spoken, err = translate("--to", "es", "--voice", "anna")
    assert (code, np.median(spoken)) == (0, pytest.approx(PRESET, abs=0.01))
    assert "the voice 'anna' does not speak Spanish (es): Cloner will, in its own voice; to have it: pip install" in err


def test_a_voice_that_only_the_first_synthesizer_could_learn_is_kept(add, profile, store):
    profile.write_text(json.dumps(PROFILE | {"second_synthesizer": {"use": "tests.scripted_voices:Mute"}}))
    code, _, err = add()
    assert code == 0
    assert "Mute did not learn it: this one cannot clone" in err
    assert list(store.record("anna").arrays) == ["tests.scripted_voices:Cloner toy"]


def test_what_add_advises_can_be_typed_as_it_stands(add, profile):
    code, out, _ = add()
    assert code == 0
    advised = shlex.split(out.strip().partition("; try: translate-live ")[2])
    assert advised == ["voices", "preview", "anna", "--profile", "cpu", "--config", str(profile)]
    assert main([*advised, "--text", "hello", "--out", str(profile.with_suffix(".wav"))]) == 0


def test_a_voice_of_another_profile_is_told_with_that_profile_and_no_advice_that_cannot_help(voices, profile, store):
    enrol(store, model=f"{QWEN['use']} {QWEN['model']}")
    code, _, err = voices("preview", "anna")
    assert code == 2
    assert err.splitlines()[-1] == "try: --profile gpu"
    store.remove("anna")
    enrol(store, model="another one")
    set_backend(profile, "synthesizer", clones=False)
    _, _, err = voices("preview", "anna")
    assert "not for tests.scripted_voices:Cloner toy; this one cannot clone" in err
    assert "--replace" not in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--voice", "ana"], "did you mean 'anna'"),
        (["--voice", "vivien"], "did you mean 'vivian'"),
        (["--voice", "bertha"], "or to add it translate-live voices add CLIP --name NAME --consent FILE"),
        (["--voice", "anna", "--speaker-consents"], "--speaker-consents belongs to --voice same"),
        (["--speaker-consents"], "--speaker-consents belongs to --voice same"),
        (["--voice", "../anna"], "there is no voice '../anna'"),
    ],
)
def test_wrong_voices_are_told_before_anything_is_loaded(translate, store, options, said):
    enrol(store)
    code, spoken, err = translate(*options)
    assert (code, len(spoken)) == (2, 0)
    assert said in err


def test_a_style_is_for_models_that_take_it(translate, profile):
    assert translate("--voice-style", "calm: and slow, 'really'")[0] == 0
    loaded = json.loads(profile.read_text())
    loaded["synthesizer"] = {"use": "tests.scripted_backends:ScriptedVoice"}
    profile.write_text(json.dumps(loaded))
    code, _, err = translate("--voice-style", "calm")
    assert code == 2
    assert "takes no style" in err
    assert "CustomVoice" in err


def test_no_speech_has_no_voice(profile, capsys):
    assert main(["a.wav", "--to", "es", "--no-speech", "--voice", "anna"]) == 2
    assert "--no-speech leaves nothing to --voice" in capsys.readouterr().err
