"""Attacks 300 to 399: programs, probes, descriptions, and what was packed from other tools."""

from liar import (
    ABOUT,
    F32,
    FOREIGN,
    GOOD,
    I64,
    PROBE,
    PROGRAM,
    deflated,
    record,
    text,
    varint,
    with_sections,
)  # fmt: skip

RELU = b"\x11"
VALUE = b"\0\0"
"""Without a name, float32, no dimensions."""


def program(*parts: bytes | int, form: int = 0) -> bytes:
    """A file with this program: opset, constants, inputs, nodes, outputs."""
    body = b"".join(varint(part) if isinstance(part, int) else part for part in parts)
    return with_sections({PROGRAM: bytes([form]) + body})


def node(attributes: bytes = b"\0", inputs: bytes = b"\0", outputs: bytes = b"\0") -> bytes:
    """A program of one Relu."""
    return program(20, 0, 0, 1, RELU, inputs, attributes, outputs, 0)


def nested(depth: int) -> bytes:
    """Programs in attributes of programs."""
    inner = b"\x14\0\0\0\0"
    for _ in range(depth):
        inner = b"\x14\0\0\1" + RELU + b"\0\1\x26\7" + inner + b"\0\0"
    return inner


def given(name: str) -> bytes:
    """A float32 scalar that a program takes or gives."""
    return text(name) + b"\0\0"


def foreign(kind: int, plain: bytes, tensors: int = 1) -> bytes:
    """A file of tensors with two floats each that says what it was packed from."""
    records = [record(f"{i}", (2,), GOOD) for i in range(tensors)]
    section = bytes([kind]) + deflated(plain)
    return with_sections({FOREIGN: section}, records, GOOD * tensors)


CUT = b"\1\0\0"
"""One cut, at the start, in C order."""

PROGRAMS = {
    "300 an unknown form": (with_sections({PROGRAM: b"\2"}), "no program form 2"),
    "301 an opset of 2^40": (program(2**40), "at most 10000 is possible"),
    "302 2^40 constants": (program(20, 2**40), "a number is 1099511627776; at most"),
    "303 nodes by the million": (
        with_sections({PROGRAM: b"\1" + deflated(b"\x14\0\0" + varint(2**20) + bytes(2**22))}),
        "a program of so many parts; they may cost 4,194,304",
    ),
    "304 integers by the million": (
        with_sections(
            {
                PROGRAM: b"\1"
                + deflated(b"\x14\0\0\1" + RELU + b"\0\1\1\3" + varint(2**20) + bytes(2**20))
            }
        ),
        "a program of so many parts; they may cost 4,194,304",
    ),
    "305 a text of megabytes": (
        with_sections(
            {PROGRAM: b"\1" + deflated(b"\x14\0\1" + varint(2**24 - 10) + bytes(2**24 - 10))}
        ),
        "a program of so many parts; they may cost 4,194,304",
    ),
    "306 a program that inflates to gigabytes": (
        with_sections({PROGRAM: b"\1" + deflated(b"\x14", 2**40)}),
        "a number is 1099511627776; at most 16777216 is possible",
    ),
    "307 a program that inflates to more than it says": (
        with_sections({PROGRAM: b"\1" + deflated(bytes(9_000), 50)}),
        "does not inflate to its 50 bytes",
    ),
    "308 a program that inflates to less than it says": (
        with_sections({PROGRAM: b"\1" + deflated(bytes(50), 60)}),
        "does not inflate to its 60 bytes",
    ),
    "309 a megabyte from four bytes": (
        with_sections({PROGRAM: b"\1" + deflated(b"", 2**20)}),
        "no deflate stream of 1048576 bytes takes 2 bytes",
    ),
    "310 a deflate stream that goes on and gives nothing": (
        with_sections({PROGRAM: b"\1\5" + b"\0\0\0\xff\xff" * 1000 + b"\3\0"}),
        "no deflate stream of 5 bytes takes 5002 bytes",
    ),
    "311 a number that points forward": (
        node(inputs=b"\1\5"),
        "a number is 5; at most 0 is possible",
    ),
    "312 a node that reads its own output": (
        node(inputs=b"\1\1", outputs=b"\1"),
        "a number is 1; at most 0 is possible",
    ),
    "313 programs nested 17 deep": (program(nested(17)), "programs are nested deeper than 16"),
    "314 programs nested a thousand deep": (
        program(nested(1000)),
        "programs are nested deeper than 16",
    ),
    "315 an attribute of an unknown type": (node(b"\1\1\x09"), "no attribute has type 9"),
    "316 an attribute twice": (node(b"\2\1\0\0\1\0\0"), "has the attribute 'kernel_shape' twice"),
    "317 an attribute that nobody knows": (
        node(b"\1" + varint(2**40)),
        "a number is 1099511627776",
    ),
    "318 an attribute of 2^40 texts": (
        node(b"\1\1\5" + varint(2**40)),
        "a number is 1099511627776",
    ),
    "319 an attribute whose text has 2^62 bytes": (
        node(b"\1\1\2" + varint(2**62)),
        "a program of so many parts",
    ),
    "320 an array beyond any memory": (
        program(20, 1, F32, 2, 2**40, 2**40),
        "is beyond any memory",
    ),
    "321 an array of 2^40 integers": (
        program(20, 1, I64, 1, 2**40),
        "integers were promised in too few bytes",
    ),
    "322 an array of 2^40 floats": (program(20, 1, F32, 1, 2**40), "bytes were promised"),
    "323 an array of 33 dimensions": (program(20, 1, F32, 33), "at most 32 is possible"),
    "324 an array of bfloat16": (program(20, 1, 2, 0), "a program cannot hold BF16 constants"),
    "325 a value of 2^40 dimensions": (
        program(20, 0, 1, text("x"), F32, 2**40),
        "a number is 109951",
    ),
    "326 two inputs of one name": (
        program(20, 0, 2, given("x"), given("x")),
        "the input 'x' has the name of another value",
    ),
    "327 an input with the reader's own name": (
        program(20, 0, 1, given("%1")),
        "names with '%' are the reader's own",
    ),
    "328 a tensor with the reader's own name": (
        with_sections({PROGRAM: b"\0\x14\0\0\0\0"}, [record("%1", (2,), GOOD)], GOOD),
        "names with '%' are the reader's own",
    ),
    "329 an output that nobody makes": (
        program(20, 0, 0, 0, 1, given("y"), 0),
        "the output 'y' is not made by its program",
    ),
    "330 two outputs of one name": (
        program(20, 0, 1, given("x"), 0, 2, given("x"), 1, given("x"), 1),
        "is not made by its program, or stands there twice",
    ),
    "331 an output with an input's name": (
        program(20, 1, F32, 0, bytes(4), 1, given("x"), 0, 1, given("x"), 1),
        "the output 'x' has the name of another value",
    ),
    "332 a text that is no UTF-8": (program(20, 0, 1, b"\1\xff"), "is not UTF-8"),
    "333 an operator that nobody knows": (program(20, 0, 0, 1, 2**40), "a number is 1099511627776"),
    "334 bytes behind the program": (program(20, 0, 0, 0, 0, 0), "1 bytes are left over"),
}
PROBES = {
    "340 a probe of 2^40 inputs": (
        with_sections({PROBE: varint(2**40)}),
        "a number is 1099511627776; at most",
    ),
    "341 an input of 2^25 elements": (
        with_sections({PROBE: b"\1\1" + varint(2**25)}),
        "a probe input of shape (33554432,) is too large",
    ),
    "342 inputs that are too large together": (
        with_sections({PROBE: b"\2" + (b"\1" + varint(2**24 - 1)) * 2}),
        "is too large",
    ),
    "343 an input whose sizes wrap to 0": (
        with_sections({PROBE: b"\1\2" + varint(2**32) * 2}),
        "is too large",
    ),
    "344 an input of nothing beyond any memory": (
        with_sections({PROBE: b"\1\2" + varint(2**62) + b"\0"}),
        "is too large",
    ),
    "345 an input of 33 dimensions": (
        with_sections({PROBE: b"\1" + b"\x21"}),
        "at most 32 is possible",
    ),
    "346 an output of 65 values": (
        with_sections({PROBE: b"\0\1" + b"\x41"}),
        "at most 64 is possible",
    ),
    "347 an output of missing values": (
        with_sections({PROBE: b"\0\1\2" + bytes(7)}),
        "8 bytes were promised, 7",
    ),
    "348 bytes behind the probe": (with_sections({PROBE: b"\0\0!"}), "1 bytes are left over"),
}
ABOUTS = {
    "350 no JSON": (with_sections({ABOUT: deflated(b"hello")}), "the section about is no JSON"),
    "351 no object": (
        with_sections({ABOUT: deflated(b"[1]")}),
        "the section about is no JSON object",
    ),
    "352 lists nested beyond the stack": (
        with_sections({ABOUT: deflated(b'{"a":' + b"[" * 100_000)}),
        "the section about is no JSON",
    ),
    "353 a number of 100,000 digits": (
        with_sections({ABOUT: deflated(b'{"a":' + b"9" * 100_000 + b"}")}),
        "the section about is no JSON",
    ),
    "354 infinity": (
        with_sections({ABOUT: deflated(b'{"a":Infinity}')}),
        "Infinity is no number in JSON",
    ),
    "355 JSON that inflates to megabytes": (
        with_sections({ABOUT: deflated(b'{"a":[' + b"{}," * 2**20 + b"1]}")}),
        "at most 1048576 is possible",
    ),
    "356 JSON that is no UTF-8": (with_sections({ABOUT: deflated(b'{"\xff":1}')}), "no JSON"),
    "357 bytes behind the stream": (
        with_sections({ABOUT: deflated(b"{}") + b"!"}),
        "does not inflate to its 2",
    ),
    "358 bytes that do not inflate": (with_sections({ABOUT: b"\5hello"}), "does not inflate"),
    "359 steps that are no lists of texts": (
        with_sections({ABOUT: deflated(b'{"steps":{"w":5}}')}),
        "steps must be a table from tensors to lists of texts",
    ),
}
FOREIGNS = {
    "360 an unknown kind": (foreign(9, CUT), "no kind of foreign file has number 9"),
    "361 more cuts than tensors": (foreign(1, b"\2" + bytes(4)), "2 cuts for 1 tensors"),
    "362 fewer cuts than tensors": (foreign(1, b"\0"), "0 cuts for 1 tensors"),
    "363 2^40 cuts": (foreign(1, varint(2**40)), "1099511627776 cuts for 1 tensors"),
    "364 a cut beyond the skeleton": (
        foreign(1, b"\1\5\0abcd"),
        "the cuts reach beyond the skeleton of 4 bytes",
    ),
    "365 cuts that wrap round": (
        foreign(1, b"\2" + (varint(2**63 - 1) + b"\0") * 2 + b"ab", tensors=2),
        "the cuts reach beyond the skeleton of 2 bytes",
    ),
    "366 a cut with unknown flags": (foreign(1, b"\1\0\4"), "a cut has the flags 4"),
    "367 2^40 members": (foreign(2, CUT + varint(2**40)), "at most 65536 is possible"),
    "368 a member's name of 2^40 bytes": (
        foreign(2, CUT + b"\1" + varint(2**40)),
        "at most 4096 is possible",
    ),
    "369 a member that is no UTF-8": (foreign(2, CUT + b"\1\1\xff\x08"), "is not UTF-8"),
    "370 two members of one name": (foreign(2, CUT + b"\2" + b"\1x\4" * 2), "stands there twice"),
    "371 a member outside the folder": (
        foreign(2, CUT + b"\1" + text("../x") + b"\x08"),
        "leads out of a folder",
    ),
    "372 a member outside the folder, written otherwise": (
        foreign(2, CUT + b"\1" + text("a\\..\\..\\x") + b"\x08"),
        "leads out of a folder",
    ),
    "373 a member at the root": (
        foreign(2, CUT + b"\1" + text("/etc/x") + b"\x08"),
        "leads out of a folder",
    ),
    "374 a member on another drive": (
        foreign(2, CUT + b"\1" + text("C:x") + b"\x08"),
        "leads out of a folder",
    ),
    "375 a member whose name ends early": (
        foreign(2, CUT + b"\1" + text("a\0b") + b"\x08"),
        "leads out of a folder",
    ),
    "376 a skeleton of more bytes than are allowed": (
        with_sections({FOREIGN: b"\1" + deflated(b"\0", 2**40)}),
        "a number is 1099511627776; at most 4294967296 is possible",
    ),
    "377 a skeleton of gigabytes from a few bytes": (
        with_sections({FOREIGN: b"\1" + deflated(b"\0", 2**31)}),
        "no deflate stream of 2147483648 bytes takes",
    ),
}
ATTACKS = PROGRAMS | PROBES | ABOUTS | FOREIGNS
