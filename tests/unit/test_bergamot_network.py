"""The network in numpy: steps equal the whole, a batch equals each text alone, split vocabularies equal tied ones."""

import numpy as np
import pytest

from models.mt.bergamot.marian_file import read_marian_file
from models.mt.bergamot.network import Network, positions
from models.mt.bergamot.student import StudentStepModel
from pipeline.errors import ModelError
from tests.marian_files import HEADS, MULTIPLIER, SETTINGS, SIZE, random_tensors, split_embeddings, write_marian

VOCABULARY = 30
SOURCES = ([5, 7, 9, 0], [4, 0], [11, 12, 13, 14, 15, 0])
EVERY = np.arange(VOCABULARY)


def network(path, tensors, settings=SETTINGS):
    write_marian(path / "model.bin", tensors, settings)
    return Network(read_marian_file(path / "model.bin"))


@pytest.fixture
def student(tmp_path):
    return network(tmp_path, random_tensors(VOCABULARY))


def scored(student, sources, prefix, following=(), tokens=EVERY):
    """Log-probabilities after each of ``following``, one beam."""
    model = StudentStepModel(student, sources, [prefix] * len(sources), [tokens] * len(sources))
    scores = [model.start(1, 20).copy()]
    for token in following:
        rows = np.arange(len(sources))
        scores.append(model.step(np.array([rows, np.full(len(sources), token)])).copy())
    return scores


def test_a_prefix_read_at_once_scores_as_the_same_tokens_one_by_one(student):
    at_once, stepped = scored(student, SOURCES, [8, 3, 17])[0], scored(student, SOURCES, [], [8, 3, 17])[-1]
    np.testing.assert_allclose(at_once, stepped, atol=1e-4)
    np.testing.assert_allclose(np.exp(at_once).sum(-1), 1, atol=1e-5)
    assert np.abs(at_once - scored(student, SOURCES, [3, 8, 17])[0]).max() > 0.01, "the order of a prefix counts"


def test_a_text_scores_alone_as_in_a_batch(student):
    together = scored(student, SOURCES, [6], [9, 2])
    for number, source in enumerate(SOURCES):
        for alone, batched in zip(scored(student, [source], [6], [9, 2]), together, strict=True):
            np.testing.assert_allclose(alone[0], batched[number], atol=1e-4)


def test_beams_go_on_from_the_rows_they_come_from(student):
    model = StudentStepModel(student, SOURCES, [[]] * 3, [EVERY] * 3)
    model.start(2, 9)
    model.step(np.array([[0, 0, 2, 2, 4, 4], [5, 6] * 3]))
    crossed = model.step(np.array([[1, 0, 3, 3, 4, 5], [7] * 6])).reshape(3, 2, -1)
    after_5, after_6 = (scored(student, SOURCES, [], [token, 7])[-1] for token in (5, 6))
    np.testing.assert_allclose(crossed[0], [after_6[0], after_5[0]], atol=1e-4)
    np.testing.assert_allclose(crossed[1], [after_6[1], after_6[1]], atol=1e-4)
    np.testing.assert_allclose(crossed[2], [after_5[2], after_6[2]], atol=1e-4)


def test_tokens_outside_the_list_are_impossible_and_share_no_probability(student):
    few = np.array([0, 4, 9])
    (scores,) = scored(student, SOURCES[:1], [], tokens=few)
    (every,) = scored(student, SOURCES[:1], [])
    assert np.isneginf(np.delete(scores[0], few)).all()
    np.testing.assert_allclose(np.exp(scores[0, few]), np.exp(every[0, few]) / np.exp(every[0, few]).sum(), atol=1e-5)


def test_split_vocabularies_with_equal_numbers_score_as_the_tied_one(tmp_path, student):
    split = network(tmp_path, *split_embeddings(random_tensors(VOCABULARY)))
    np.testing.assert_allclose(scored(split, SOURCES, [6], [9])[1], scored(student, SOURCES, [6], [9])[1], atol=1e-5)
    tensors, settings = split_embeddings(random_tensors(VOCABULARY))
    other = network(tmp_path, tensors | {"encoder_Wemb": tensors["encoder_Wemb"][::-1]}, settings)
    assert np.abs(scored(other, SOURCES, [6])[0] - scored(student, SOURCES, [6])[0]).max() > 0.01


def test_the_encoder_is_the_published_formula(tmp_path):
    """One layer written out in float64, from Vaswani et al. 2017 with Marian's order: sum, then normalization."""
    tensors = random_tensors(VOCABULARY)
    student = network(tmp_path, tensors, SETTINGS | {"enc-depth": 1})

    def linear(x, name, bias):
        return x @ (tensors[name].T / MULTIPLIER) + tensors[bias][0]

    def norm(x, name):
        deviation = x - x.mean(-1, keepdims=True)
        normal = deviation / np.sqrt((deviation**2).mean(-1, keepdims=True) + 1e-9)
        return normal * tensors[f"{name}_ln_scale"][0] + tensors[f"{name}_ln_bias"][0]

    tokens = [5, 7, 9, 0]
    x = tensors["Wemb"][tokens] / MULTIPLIER * np.sqrt(SIZE) + positions(0, 4, SIZE)
    q, k, v = (linear(x, f"encoder_l1_self_W{part}", f"encoder_l1_self_b{part}") for part in "qkv")
    heads = []
    for head in range(HEADS):
        part = slice(head * SIZE // HEADS, (head + 1) * SIZE // HEADS)
        weights = np.exp(q[:, part] @ k[:, part].T / np.sqrt(SIZE / HEADS))
        heads.append(weights / weights.sum(-1, keepdims=True) @ v[:, part])
    attended = linear(np.concatenate(heads, -1), "encoder_l1_self_Wo", "encoder_l1_self_bo")
    x = norm(x + attended, "encoder_l1_self_Wo")
    wide = np.maximum(linear(x, "encoder_l1_ffn_W1", "encoder_l1_ffn_b1"), 0)
    x = norm(x + linear(wide, "encoder_l1_ffn_W2", "encoder_l1_ffn_b2"), "encoder_l1_ffn_ffn")
    np.testing.assert_allclose(student.encode(tokens)[0], x, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "value"), [("dec-cell", "gru"), ("transformer-preprocess", "n"), ("transformer-tied-layers", [1, 1])]
)
def test_networks_of_another_kind_are_refused_in_words(tmp_path, name, value):
    with pytest.raises(ModelError, match=name):
        network(tmp_path, random_tensors(VOCABULARY), SETTINGS | {name: value})
