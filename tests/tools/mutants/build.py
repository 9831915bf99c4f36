"""Builds copies of the tree with mutants in them."""

import json
import os
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import rewrite

COPIED = ("Cargo.toml", "Cargo.lock", "README.md", "src", "tests", "benches", "examples", "docs")
PROFILE = "trial"


class BuildFailed(Exception):
    """The tree does not build, and no mutant can be named as the cause."""


class Tree:
    """The copy, and what cargo makes of it."""

    def __init__(self, root, work):
        self.root = Path(root)
        self.copy = Path(work) / "copy"
        self.environment = dict(os.environ, CARGO_TARGET_DIR=str(Path(work) / "build"))
        # A lint that forbids is no reason why a mutant would not build.
        self.environment["RUSTFLAGS"] = "--cap-lints warn"
        self.environment["CARGO_PROFILE_TRIAL_OPT_LEVEL"] = "1"
        self.environment["CARGO_PROFILE_TRIAL_STRIP"] = "debuginfo"

    def lay_out(self):
        """The copy is what the tree is. What has not changed keeps its time, for cargo."""
        for name in COPIED:
            source = self.root / name
            files = sorted(source.rglob("*")) if source.is_dir() else [source]
            for file in files:
                if file.is_file() and "node_modules" not in file.parts:
                    self.put(file.relative_to(self.root), file.read_bytes())
        for file in sorted((self.copy / "src").rglob("*.rs")):
            if not (self.root / file.relative_to(self.copy)).exists():
                file.unlink()

    def put(self, name, content):
        there = self.copy / name
        if not (there.is_file() and there.read_bytes() == content):
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(content)

    def cargo(self, *arguments):
        """Runs cargo; what the compiler and cargo said, and whether it went well."""
        done = subprocess.run(
            ["cargo", *arguments, "--profile", PROFILE, "--message-format", "json"],
            cwd=self.copy,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        messages = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
        return messages, done.returncode == 0, done.stderr

    def executables(self, targets):
        """Builds tests; the path of each binary by its target's name."""
        arguments = []
        for target in targets:
            arguments += ["--lib"] if target == "lib" else ["--test", target]
        messages, good, said = self.cargo("test", "--no-run", *arguments)
        if not good:
            errors = [message["message"]["rendered"] for message in errors_of(messages)]
            raise BuildFailed("\n".join(errors) or said)
        made = {}
        for message in messages:
            if message.get("executable") and message["profile"]["test"]:
                target = message["target"]
                name = "lib" if "lib" in target["kind"] else target["name"]
                made[name] = message["executable"]
        return made

    def with_switches(self, mutants):
        """Puts all mutants into the copy; those that are in, and why others are not."""
        by_file, reasons, keep_const = defaultdict(list), {}, set()
        for mutant in mutants:
            by_file[mutant.file].append(mutant)
        library = (self.root / "src/lib.rs").read_bytes()
        switch = Path(__file__).with_name("switch.rs").read_bytes()
        while True:
            self.put("src/mutants.rs", switch)
            self.put("src/lib.rs", library + b"\npub mod mutants;\n")
            loosened = set()
            for name, there in by_file.items():
                there = [mutant for mutant in there if mutant not in reasons]
                source = (self.root / name).read_bytes()
                file = rewrite.File(source, there, keep_const)
                reasons.update(file.misfits)
                loosened |= file.loosened
                self.put(name, file.text())
            messages, good, said = self.cargo("check", "--lib")
            if good:
                return [mutant for mutant in mutants if mutant not in reasons], reasons
            guilty = self.guilty(errors_of(messages), loosened, keep_const)
            if guilty is None:
                errors = [message["message"]["rendered"] for message in errors_of(messages)]
                raise BuildFailed("\n".join(errors) or said)
            reasons.update((m, guilty[m.number]) for m in mutants if m.number in guilty)

    def guilty(self, errors, loosened, keep_const):
        """The mutants that made these errors, with the error; `None` if there is none."""
        guilty, constants = {}, set()
        for error in errors:
            message = error["message"]
            blame = self.blame(message)
            if blame is not None:
                number, put_in = blame
                # What only the switch makes wrong may be right without.
                why = "unviable" if put_in else "not behind a switch"
                guilty.setdefault(number, f"{why}: {message['message'].splitlines()[0]}")
                continue
            # A constant needs a function that is none any more.
            called = re.search(r"cannot call non-const .*`(?:.*::)?(\w+)`", message["message"])
            if called and called.group(1) in loosened:
                constants.add(called.group(1))
        keep_const |= constants
        return guilty if guilty or constants else None

    def blame(self, message):
        spans = sorted(message["spans"], key=lambda span: not span["is_primary"])
        for child in message["children"]:
            spans += child["spans"]
        found = None
        for span in spans:
            # A macro's may be in the standard library.
            file = self.copy / span["file_name"]
            text = file.read_bytes() if file.is_file() else b""
            blame = rewrite.blamed(text, span["byte_start"], span["byte_end"])
            if blame is not None and (found is None or blame[1] > found[1]):
                found = blame
        return found

    def without_switches(self, names):
        """Puts these files back as they are in the tree."""
        (self.copy / "src/mutants.rs").unlink(missing_ok=True)
        for name in {*names, "src/lib.rs"}:
            self.put(name, (self.root / name).read_bytes())

    def alone(self, mutant):
        """Puts one mutant into the copy, in place of what it changes, and nothing else."""
        source = (self.root / mutant.file).read_bytes()
        begins = rewrite.offsets(source)
        start = rewrite.byte_at(source, begins, mutant.start)
        end = rewrite.byte_at(source, begins, mutant.end)
        self.put(mutant.file, source[:start] + mutant.replacement.encode() + source[end:])


def errors_of(messages):
    return [
        message
        for message in messages
        if message.get("reason") == "compiler-message"
        and message["message"]["level"].startswith("error")
        and message["message"]["spans"]
    ]
