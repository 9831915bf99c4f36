"""Draws a sample from all mutants that cargo-mutants lists."""

import hashlib
import json
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from rewrite import CONSTANT, File

ROOMS = ("gateway", "nats", "ws", "http", "res")


@dataclass(frozen=True)
class Mutant:
    """One change. Lines and columns begin at 1, columns count characters."""

    number: int
    name: str
    file: str
    function: str
    genre: str
    start: tuple
    end: tuple
    replacement: str


def listed(root):
    """What cargo-mutants lists for the rooms, as it prints it."""
    command = ["cargo", "mutants", "--list", "--json"]
    for room in ROOMS:
        command += ["-f", f"src/{room}/**"]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def only_checks(entry):
    """Whether it changes what only finds faults or is only printed for debugging."""
    function = (entry["function"] or {}).get("function_name", "")
    last = function.split("::")[-1]
    return (
        entry["file"].endswith("/audit.rs")
        or last == "audit"
        or last.startswith("audit_")
        or "Debug for " in function
    )


def ranked(entries, seed):
    """The mutants in an order that follows from the seed and what each changes. Lines do not
    matter, so that an edit elsewhere in the file leaves the order as it is."""
    met = Counter()

    def place(entry):
        file, _, what = entry["name"].partition(":")
        what = file + what.split(": ", 1)[1]
        met[what] += 1
        return hashlib.sha256(f"{seed} {what} {met[what]}".encode()).digest()

    return sorted(entries, key=place)


def drawn(root, entries, seed, count):
    """The first `count` mutants of that order that can be tried, numbered from 1; how many there
    are; and how many are constants, which cannot be another at run time."""
    fit = ranked([entry for entry in entries if not only_checks(entry)], seed)
    mutants = [mutant_of(number, entry) for number, entry in enumerate(fit)]
    by_file, constants = defaultdict(list), set()
    for mutant in mutants:
        by_file[mutant.file].append(mutant)
    for name, there in by_file.items():
        misfits = File((root / name).read_bytes(), there).misfits
        constants.update(mutant for mutant, why in misfits.items() if why == CONSTANT)
    tried = [mutant for mutant in mutants if mutant not in constants]
    sample = [replace(mutant, number=at) for at, mutant in enumerate(tried[:count], 1)]
    return sample, len(tried), len(constants)


def mutant_of(number, entry):
    span = entry["span"]
    return Mutant(
        number=number,
        name=entry["name"],
        file=entry["file"],
        function=(entry["function"] or {}).get("function_name", ""),
        genre=entry["genre"],
        start=(span["start"]["line"], span["start"]["column"]),
        end=(span["end"]["line"], span["end"]["column"]),
        replacement=entry["replacement"],
    )
