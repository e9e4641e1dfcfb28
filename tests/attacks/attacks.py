"""Every attack on the format: number and abuse, a file, and what its refusal says.

`python tests/attacks/attacks.py` prints the list that README.md holds.
"""

import attacks_on_coders
import attacks_on_files
import attacks_on_sections
import attacks_on_tensors

CHAPTERS = {
    "Files, headers, names, shapes, parts": attacks_on_files.ATTACKS,
    "Payloads, ties, rows, grids": attacks_on_tensors.ATTACKS,
    "Coders": attacks_on_coders.ATTACKS,
    "Programs, probes, descriptions, foreign files": attacks_on_sections.ATTACKS,
}
ATTACKS = {name: attack for chapter in CHAPTERS.values() for name, attack in chapter.items()}
HEAD = """# Attacks

Every way that we know to abuse a `.lac` file, numbered, with its refusal: a `FormatError` that
names a place inside the file and says this. `attacks_on_*.py` hold the files, made by a writer that
can lie (`liar.py`); `attacks.py` prints this page, `test_attacks.py` holds both against each other.
`test_damage.py` cuts a good file at every byte and flips every bit, with its checksums and with
checksums made right again; `test_memory.py` measures what reading takes, from outside the process;
`fuzz_files.py` mutates (`scripts/fuzz`). Programs that abuse the native engine stand in
`test_programs.py`; `fuzz_programs.py` mutates the ONNX project's node cases and compares both
engines.
"""


def listed() -> str:
    """The list as Markdown."""
    lines = [HEAD]
    for title, chapter in CHAPTERS.items():
        lines += [f"## {title}", "", "| | abuse | refusal |", "|---|---|---|"]
        for name, (_, message) in chapter.items():
            number, abuse = name.split(" ", 1)
            lines.append(f"| {number} | {abuse} | {message} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(listed(), end="")
