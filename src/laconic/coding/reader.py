"""The one door through which bytes from outside come in: every read is checked against the end."""

from __future__ import annotations

from laconic.errors import FormatError

VARINT_BYTES = 9  # 63 bits: every length fits a signed 64-bit integer


class Reader:
    """Reads little-endian numbers and byte strings in order; never past the end.

    `offset` is where `data` starts in its file, so that errors name the place in the file.

    Raises:
        FormatError: from every method, when the bytes end too early or a number is malformed.

    Examples:
        >>> reader = Reader(b"\\x05hello")
        >>> bytes(reader.take(reader.varint()))
        b'hello'
    """

    def __init__(self, data: bytes | memoryview, offset: int = 0) -> None:
        self.data = memoryview(data)
        self.start = offset
        self.position = 0

    @property
    def offset(self) -> int:
        """Where the next read starts, counted from the start of the file."""
        return self.start + self.position

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self.data) - self.position

    def error(self, message: str) -> FormatError:
        """A FormatError for the present position."""
        return FormatError(message, self.offset)

    def take(self, count: int) -> memoryview:
        """The next `count` bytes, without a copy."""
        if count > self.remaining:
            raise self.error(f"{count} bytes were promised, {self.remaining} are left")
        part = self.data[self.position : self.position + count]
        self.position += count
        return part

    def rest(self) -> memoryview:
        """All bytes not read yet."""
        return self.take(self.remaining)

    def u8(self) -> int:
        """One byte."""
        position = self.position
        if position >= len(self.data):
            raise self.error("1 bytes were promised, 0 are left")
        self.position = position + 1
        return self.data[position]

    def u32(self) -> int:
        """Four bytes, little-endian."""
        return int.from_bytes(self.take(4), "little")

    def varint(self, limit: int = 2**63 - 1) -> int:
        """An unsigned LEB128 number of at most `limit`, in its shortest form."""
        value = 0
        for index in range(VARINT_BYTES):
            byte = self.u8()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if byte == 0 and index > 0:
                    raise self.error("a number is not in its shortest form")
                if value > limit:
                    raise self.error(f"a number is {value}; at most {limit} is possible here")
                return value
        raise self.error(f"a number is longer than {VARINT_BYTES} bytes")

    def signed(self, limit: int = 2**62) -> int:
        """A zigzag varint: 0, -1, 1, -2, … are stored as 0, 1, 2, 3, …"""
        value = self.varint(2 * limit + 1)
        return (value >> 1) ^ -(value & 1)

    def end(self) -> None:
        """Refuse bytes that nothing asked for."""
        if self.remaining:
            raise self.error(f"{self.remaining} bytes are left over")


def varint(value: int) -> bytes:
    """`value` ≥ 0 as unsigned LEB128: seven bits a byte, low bits first.

    Examples:
        >>> varint(300).hex()
        'ac02'
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """`value` as a zigzag varint; `Reader.signed` reads it."""
    return varint(value << 1 if value >= 0 else ~value << 1 | 1)
