"""Reads the file that stands in the command; tells when it begins and when it is done.

`test_memory.py` starts this and looks at its memory from outside meanwhile.
"""

import sys

import numpy as np

from laconic.container import LacFile, pack_bytes, plain
from laconic.errors import FormatError


def main() -> None:
    path, way = sys.argv[1:]
    with LacFile(pack_bytes([plain("w", np.zeros(2, "u1"), "U8")], {})) as file:
        file.verify()  # what is imported and made once
    print("ready", flush=True)
    sys.stdin.readline()
    said = "read"
    try:
        with LacFile(path, threads=int(way) if way.isdigit() else 1) as file:
            if way == "verify":
                file.verify()
            else:
                for name in file.names[:3]:
                    file.bits(name)
    except FormatError as error:
        said = str(error)
    print(said, flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
