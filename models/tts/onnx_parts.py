"""Parts of an ONNX graph as graphs of their own, cut out of the file's bytes without the package onnx.

An ONNX file is a protocol buffer (https://onnx.ai/onnx/repo-docs/IR.html): a model holds a graph, a graph its nodes and
weights. A part is what leads from some tensors to others; weights are copied as they are.

Processors with VNNI multiply numbers of 8 bits in one instruction where one of the two is signed; onnxruntime widens two
that are not. So a part may have ``signed`` convolutions: 128 less from their input and from its zero point, the same sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

_GRAPH, _NODE, _WEIGHT, _INPUT, _OUTPUT = 7, 1, 5, 11, 12
_FLOAT_TENSOR = b"\x12\x04\x0a\x02\x08\x01"  # ValueInfoProto.type: a tensor of float32 of any shape
_CONVOLUTION, _FACTOR = "ConvInteger", (0, 2)  # of its inputs: what it convolves, without a sign, and its zero point
_UINT8, _TO_FLOAT, _TO_INT8 = b"\x10\x02", *(b"\x2a\x09\x0a\x02to\x18%c\xa0\x01\x02" % kind for kind in (1, 3))
LARGEST_SUM = 4 * 255 * 127


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    field: bytes


class OnnxFile:
    """Nodes and weights of a model file's bytes; raises `ValueError` where they are no ONNX model."""

    def __init__(self, data: bytes) -> None:
        self._head: list[bytes] = []  # all but the graph: versions and operator sets
        graph = memoryview(b"")
        for number, value, field in _fields(memoryview(data)):
            if number == _GRAPH:
                graph = value
            else:
                self._head.append(bytes(field))
        self._nodes: list[_Node] = []
        self._weights: dict[str, memoryview] = {}
        self._inputs: dict[str, bytes] = {}
        for number, value, field in _fields(graph):
            if number == _NODE:
                self._nodes.append(_node(value, bytes(field)))
            elif number == _WEIGHT:
                self._weights[_text(value, 8)] = field
            elif number == _INPUT:
                self._inputs[_text(value, 1)] = bytes(field)
        self._producer = {output: node for node in self._nodes for output in node.outputs}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the file's inputs."""
        return tuple(self._inputs)

    def has(self, tensors: Sequence[str]) -> bool:
        """Tell if nodes give all these tensors."""
        return self._producer.keys() >= set(tensors)

    def outputs_of(self, kind: str, inputs: Set[str], outputs: Set[str]) -> list[str]:
        """List the first outputs of the nodes of a kind that lead from some tensors to others, in the file's order."""
        return [node.outputs[0] for node in self._between(inputs, outputs) if node.kind == kind]

    def part(self, inputs: Sequence[str], outputs: Sequence[str], *, signed: bool = False) -> bytes:
        """Make a model from ``inputs`` to ``outputs``; those that are no inputs of the file are float32 of any shape.

        Its convolutions are ``signed`` or as they are in the file.
        """
        nodes = self._between(set(inputs), set(outputs))
        used = {name for node in nodes for name in node.inputs}
        fields: list[bytes | memoryview] = [*_with_signed_input(nodes)] if signed else [node.field for node in nodes]
        fields += [_field(2, b"part")]
        fields += [_weight("top_bit", b"", b"\x80")] if signed else []
        fields += [field for name, field in self._weights.items() if name in used]
        fields += [self._inputs.get(name) or _field(_INPUT, _value_info(name)) for name in inputs]
        fields += [_field(_OUTPUT, _value_info(name)) for name in outputs]
        return b"".join([*self._head, _field(_GRAPH, b"".join(fields))])

    def _between(self, inputs: Set[str], outputs: Set[str]) -> list[_Node]:
        needed, wanted = set[int](), list(outputs)
        while wanted:
            name = wanted.pop()
            node = None if name in inputs else self._producer.get(name)
            if node is not None and id(node) not in needed:
                needed.add(id(node))
                wanted += node.inputs
        return [node for node in self._nodes if id(node) in needed]


def _node(value: memoryview, field: bytes) -> _Node:
    texts: Mapping[int, list[str]] = {1: [], 2: [], 4: []}
    for number, text, _ in _fields(value):
        if number in texts:
            texts[number].append(bytes(text).decode())
    return _Node("".join(texts[4]), tuple(texts[1]), tuple(texts[2]), field)


def _with_signed_input(nodes: Sequence[_Node]) -> Iterator[bytes]:
    """Yield the fields of the nodes, with what makes the input of a convolution signed before it."""
    made = set[str]()
    for node in nodes:
        if node.kind != _CONVOLUTION or len(node.inputs) <= max(_FACTOR):
            yield node.field
            continue
        for name in (node.inputs[place] for place in _FACTOR):
            if name not in made:
                made.add(name)
                yield _new_node("BitwiseXor", (name, "top_bit"), f"{name} flipped")
                yield _new_node("Cast", (f"{name} flipped",), f"{name} signed", _TO_INT8)
        yield _with_inputs(node, [f"{name} signed" if place in _FACTOR else name for place, name in enumerate(node.inputs)])


def largest_convolution() -> bytes:
    """Build a model from "x" [1, 4, n], all 127, to "y" [1, 16, n], all `LARGEST_SUM` if nothing saturates."""
    nodes = (
        _new_node("Cast", ("x",), "signed", _TO_INT8),
        _new_node(_CONVOLUTION, ("signed", "weights"), "sums"),
        _new_node("Cast", ("sums",), "y", _TO_FLOAT),
    )
    weights = _weight("weights", b"\x08\x10\x08\x04\x08\x01", b"\xff" * 64)
    ends = _field(_INPUT, _value_info("x")) + _field(_OUTPUT, _value_info("y"))
    return b"\x08\x09" + _field(8, b"\x10\x14") + _field(_GRAPH, b"".join(nodes) + _field(2, b"largest") + weights + ends)


def _new_node(kind: str, inputs: Sequence[str], output: str, attribute: bytes = b"") -> bytes:
    names = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    return _field(_NODE, names + _field(4, kind.encode()) + attribute)


def _weight(name: str, shape: bytes, numbers: bytes) -> bytes:
    return _field(_WEIGHT, shape + _UINT8 + _field(8, name.encode()) + _field(9, numbers))


def _with_inputs(node: _Node, inputs: Sequence[str]) -> bytes:
    ((_, value, _),) = _fields(memoryview(node.field))
    rest = b"".join(field for number, _, field in _fields(value) if number != 1)
    return _field(_NODE, b"".join(_field(1, name.encode()) for name in inputs) + rest)


def _value_info(name: str) -> bytes:
    return _field(1, name.encode()) + _FLOAT_TENSOR


def _text(message: memoryview, wanted: int) -> str:
    return next((bytes(value).decode() for number, value, _ in _fields(message) if number == wanted), "")


def _field(number: int, value: bytes) -> bytes:
    """Encode a field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield number, value (empty for numbers) and whole of each field; raises `ValueError` where bytes are no message."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        size = {1: 8, 5: 4}.get(key & 7, 0)
        if key & 7 == 0:
            _, at = _read_varint(message, at)
        elif key & 7 == 2:
            size, at = _read_varint(message, at)
        elif not size:
            raise ValueError(f"no protocol buffer: wire type {key & 7} at byte {start}")
        if at + size > len(message):
            raise ValueError(f"no protocol buffer: a field of {size} bytes at byte {start} of {len(message)}")
        yield key >> 3, message[at : at + size], message[start : at + size]
        at += size


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("no protocol buffer: a number has no end")
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return number, at
