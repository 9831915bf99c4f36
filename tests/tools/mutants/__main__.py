"""Draws mutants by a seed, tries each, and shows which no test notices.

    python3 tests/tools/mutants SEED COUNT

The environment may say AGAIN=1: only those that were missed the last time. What is found is in
target/mutants/SEED.json.
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from build import BuildFailed, Tree
from draw import drawn, listed
from trial import STAGES, Runner

ROOT = Path(__file__).resolve().parents[3]
WORK = ROOT / "target" / "mutants"


def say(text):
    print(text, file=sys.stderr, flush=True)


class Verdicts(dict):
    """What became of each mutant, and why; kept in a file as it becomes known."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def note(self, mutant, verdict, why):
        self[mutant] = (verdict, why)
        say(f"{verdict}: {mutant.name}" + (f" ({why})" if why else ""))
        known = {mutant.name: verdict for mutant, verdict in self.items()}
        self.file.write_text(json.dumps(known, indent=1))


def reaches(runner, mutant):
    return any(reached.get(mutant.number) for reached in runner.reached.values())


def switched(tree, mutants, verdicts):
    """Tries all that can be behind a switch: one build, and a run for each. What cannot is
    returned."""
    fit, reasons = tree.with_switches(mutants)
    apart = []
    for mutant, why in reasons.items():
        if why.startswith("unviable"):
            verdicts.note(mutant, "unviable", why.removeprefix("unviable: "))
        else:
            apart.append(mutant)
    say(f"{len(fit)} of {len(mutants)} mutants in one build, {len(apart)} one by one")
    runner = Runner(tree, WORK, say)
    # What is cheap is tried with all, before the next is built up for those that are left.
    for stage in STAGES:
        for mutant in fit:
            if mutant not in verdicts:
                by = runner.judge(stage, mutant)
                if by:
                    verdicts.note(mutant, "found", by)
    for mutant in fit:
        if mutant not in verdicts:
            verdicts.note(mutant, "missed", "" if reaches(runner, mutant) else "reached by no test")
    tree.without_switches({mutant.file for mutant in mutants})
    return apart


def alone(tree, mutants, verdicts):
    """Tries mutants that will not build behind a switch: a build for each."""
    for mutant in mutants:
        tree.alone(mutant)
        by, runner = "", Runner(tree, WORK, say)
        for stage in STAGES:
            if stage.processes:
                continue
            try:
                runner.executable(stage)
            except BuildFailed as error:
                verdicts.note(mutant, "unviable", str(error).splitlines()[0])
                break
            by = runner.judge_alone(stage)
            if by:
                break
        if mutant not in verdicts:
            verdicts.note(mutant, "found" if by else "missed", by)
        tree.without_switches({mutant.file})


def main():
    seed, count = sys.argv[1:]
    mutants, possible, constants = drawn(ROOT, listed(ROOT), seed, int(count))
    results = WORK / f"{seed}.json"
    verdicts = Verdicts(results)
    if os.environ.get("AGAIN"):
        before = json.loads(results.read_text())
        for mutant in mutants:
            verdict, why = before.get(mutant.name, ("missed", ""))
            if verdict != "missed":
                verdicts[mutant] = (verdict, why)
    left = [mutant for mutant in mutants if mutant not in verdicts]
    say(
        f"{len(mutants)} of {possible} mutants are drawn, {len(left)} are tried;"
        f" {constants} constants are left out"
    )
    tree = Tree(ROOT, WORK)
    tree.lay_out()
    began = time.monotonic()
    apart = switched(tree, left, verdicts)
    alone(tree, apart, verdicts)
    counts = Counter(verdict for verdict, _ in verdicts.values())
    for mutant in mutants:
        verdict, why = verdicts[mutant]
        if verdict != "found":
            print(f"{verdict}: {mutant.name}" + (f" ({why})" if why else ""))
    tested = counts["found"] + counts["missed"]
    print(
        f"seed {seed}: of {len(mutants)} mutants {counts['unviable']} do not build; of the other"
        f" {tested} {counts['found']} are found ({100 * counts['found'] / max(1, tested):.1f} %),"
        f" {counts['missed']} are missed; {(time.monotonic() - began) / 60:.0f} minutes"
    )
    sys.exit(counts["missed"] > 0)


main()
