"""Sums the Autobahn report up, by group of cases, and fails if a case failed.

Runs on Python 2.7, which the suite needs, and on 3. "declined" are cases that need an
offer of compression which the server does not accept; the suite calls them
unimplemented.
"""

import collections
import json
import sys

VERDICTS = [
    ("passed", ("OK",)),
    ("not strict", ("NON-STRICT",)),
    ("informational", ("INFORMATIONAL",)),
    ("declined", ("UNIMPLEMENTED",)),
]


def verdict(result):
    """One word for how a case went."""
    behavior, close = result["behavior"], result["behaviorClose"]
    if close not in ("OK", "INFORMATIONAL"):
        return "FAILED"
    for word, behaviors in VERDICTS:
        if behavior in behaviors:
            return word
    return "FAILED"


def number(name):
    return [int(part) for part in name.split(".")]


def main(path):
    with open(path) as file:
        agents = json.load(file)
    words = [word for word, _ in VERDICTS] + ["FAILED"]
    failed = []
    for cases in agents.values():
        groups = collections.defaultdict(collections.Counter)
        for name, result in cases.items():
            word = verdict(result)
            depth = 2 if number(name)[0] in (12, 13) else 1
            groups[tuple(number(name)[:depth])][word] += 1
            if word == "FAILED":
                failed.append(name)
        total = sum(groups.values(), collections.Counter())
        for group in sorted(groups):
            counts = ", ".join("%d %s" % (groups[group][w], w) for w in words if groups[group][w])
            print("%-6s %s" % (".".join(map(str, group)), counts))
        print("all    " + ", ".join("%d %s" % (total[w], w) for w in words if total[w]))
    if not agents:
        sys.exit("autobahn: nothing was run")
    if failed:
        sys.exit("autobahn: failed: " + " ".join(sorted(failed, key=number)))


main(sys.argv[1])
