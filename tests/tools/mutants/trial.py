"""Runs the tests that reach a mutant, the cheapest first, until one of them fails."""

import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

# Seeds of the simulation. What it finds, it mostly finds within a few.
SEEDS = 100

# What a mutant may take of memory before it is stopped, which is a failure of the test.
MEMORY = 4 << 30

FAILED = re.compile(rb"^test (\S+).*\.\.\. FAILED|\b(seed \d+): ")
ENDED = re.compile(rb"^test (\S+).*\.\.\. ")

# Seconds that are left to tests that take less than a fifth of them without a mutant.
LEAST_TIMEOUT = 20

# Seconds of a test that is run with the first.
QUICK = 0.1


@dataclass(frozen=True)
class Stage:
    """The tests of one binary, under some environment."""

    target: str
    environment: dict = field(default_factory=dict, hash=False)
    # They start gateways, which reach mutants too, and can be disturbed by load.
    processes: bool = False

    @property
    def name(self):
        return " ".join([*(f"{k}={v}" for k, v in self.environment.items()), self.target])


STAGES = (
    Stage("lib"),
    Stage("heart"),
    Stage("simulation", environment={"SIM_ALL": "1", "SIM_RUNS": str(SEEDS)}),
    Stage("explore"),
    Stage("heart", environment={"HEART_UNITS": "1"}),
    Stage("nats_client", processes=True),
    Stage("conformance", processes=True),
    Stage("gateway", processes=True),
    Stage("tls", processes=True),
    Stage("nats_security", processes=True),
    Stage("client", processes=True),
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `failure` is the first test that failed, or why it was stopped."""

    failure: str
    seconds: float
    # The seconds that each test took, where they run one by one.
    each: dict


class Runner:
    """The binaries, and which of their tests reach which mutants."""

    def __init__(self, tree, work, say):
        self.tree = tree
        self.work = Path(work)
        self.say = say
        # Built when the first mutant needs it.
        self.executables = {}
        # For each stage: the tests that reach a mutant, by its number, and the seconds of each
        # test.
        self.reached = {}
        self.each = {}

    def executable(self, stage):
        """The binary of a stage; those that are needed with it are built at once."""
        if stage.target not in self.executables:
            together = {there.target for there in STAGES if there.processes == stage.processes}
            self.executables |= self.tree.executables(sorted(together))
        return self.executables[stage.target]

    def run(self, stage, tests, mutant=None, record=None, timeout=600):
        """Runs these tests (all if there are none named), up to the first failure."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MUTANT")}
        environment |= stage.environment
        if mutant is not None:
            environment["MUTANT"] = str(mutant)
        if record is not None:
            environment["MUTANTS_RECORD"] = str(record)
        command = [self.executable(stage), "--test-threads", "1" if record else "2"]
        if tests:
            command += ["--exact", *tests]
        if "SIM_ALL" in stage.environment:
            command += ["--nocapture"]
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.tree.copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        try:
            failure, each = watch(process, began + timeout)
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            process.stdout.close()
        return Outcome(failure, time.monotonic() - began, each)

    def learn(self, stage):
        """The tests without a mutant: they must pass, and what they reach is written down."""
        records = self.work / "records"
        shutil.rmtree(records, ignore_errors=True)
        records.mkdir(parents=True)
        reached, each, seconds, broken = defaultdict(set), {}, 0, []
        for at, tests in enumerate(self.parts(stage)):
            file = records / str(at)
            outcome = self.run(stage, tests, record=file)
            if outcome.failure and stage.processes:
                outcome = self.run(stage, tests, record=file)
            seconds += outcome.seconds
            each |= outcome.each
            if outcome.failure:
                broken.append(outcome.failure)
            for line in file.read_text().splitlines() if file.exists() else ():
                number, thread = line.split(" ", 1)
                if stage.processes:
                    reached[int(number)] |= set(tests)
                else:
                    reached[int(number)].add(thread)
        if broken and not stage.processes:
            raise SystemExit(f"without a mutant {stage.name} fails: {broken}")
        if broken:
            self.say(f"{stage.name}: left out, since they fail without a mutant: {broken}")
            for tests in reached.values():
                tests -= set(broken)
        self.reached[stage.name] = reached
        self.each[stage.name] = each
        self.say(f"{stage.name}: {seconds:.0f} s, {len(reached)} mutants are reached")

    def tests(self, stage):
        done = subprocess.run(
            [self.executable(stage), "--list", "--format", "terse"],
            cwd=self.tree.copy,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return re.findall(r"^(\S+): test$", done.stdout, re.MULTILINE)

    def parts(self, stage):
        """What is run at a time: with processes, which cannot say for what test they were
        started, a test each."""
        tests = self.tests(stage)
        return [[test] for test in tests] if stage.processes else [tests]

    def judge(self, stage, mutant):
        """What notices the mutant, if something does."""
        if stage.name not in self.reached:
            self.learn(stage)
        tests = self.reached[stage.name].get(mutant.number)
        if not tests:
            return None
        each = self.each[stage.name]
        if not tests <= each.keys():
            # A thread that a test has started.
            tests = each.keys()
        for tests in batches(tests, each):
            timeout = max(LEAST_TIMEOUT, 5 * sum(each[test] for test in tests))
            outcome = self.run(stage, tests, mutant.number, timeout=timeout)
            if outcome.failure:
                break
        if outcome.failure and stage.processes:
            # Load can fail them, but not twice in a row and not without the mutant.
            tests = [outcome.failure] if outcome.failure in each else tests
            again = self.run(stage, tests, mutant.number, timeout=timeout)
            if not again.failure or self.run(stage, tests, timeout=timeout).failure:
                return None
        return outcome.failure and f"{stage.name} {outcome.failure}"

    def judge_alone(self, stage):
        """The same for a mutant that is in the source, with all tests of the stage."""
        failure = self.run(stage, []).failure
        return failure and f"{stage.name} {failure}"


def batches(tests, each):
    """The tests by what they take: many that take little first, as one run."""
    ordered = sorted(tests, key=lambda test: (each[test], test))
    quick = [test for test in ordered if each[test] < QUICK]
    return [part for part in (quick, ordered[len(quick) :]) if part]


def watch(process, until):
    """Reads what the tests say until one has failed, all have ended, or it is time: the
    failure, and the seconds between one test's end and the next's."""
    each, last = {}, time.monotonic()
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    os.set_blocking(process.stdout.fileno(), False)
    rest = b""
    while True:
        left = until - time.monotonic()
        if left <= 0:
            return "timeout", each
        if not selector.select(left):
            continue
        read = process.stdout.read(65536)
        if read == b"":
            break
        *lines, rest = (rest + (read or b"")).split(b"\n")
        for line in lines:
            failed = FAILED.search(line)
            if failed:
                return (failed.group(1) or failed.group(2)).decode(), each
            ended = ENDED.search(line)
            if ended:
                now = time.monotonic()
                each[ended.group(1).decode()], last = now - last, now
    try:
        code = process.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "timeout", each
    return f"exit {code}" if code else "", each
