"""Foreign clients against our software terminal: what they read is compared with what it holds, and after all that they
write, what it holds with what it should.

run.py --mock PROGRAM --peers FOLDER

PROGRAM is zk-proto's example `mock_device`; FOLDER holds the programs `peer-rustzk` and `peer-zkteco`. NODE_PATH must
lead to node-zklib and zkteco-js, and this must run under a Python that has pyzk.

Each client is a process of its own that is told a step at a time (`lines.rs` says how) and meets terminals of its own,
one for each kind that it supports. The only differences accepted are the clients' own faults, listed in faults.py, each
with what it does; a fault of that list that does not show fails the run too.
"""

import argparse
import copy
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import RIGHT, ROW_FAULTS, STEP_FAULTS

HERE = Path(__file__).parent
# An odd number: rustzk misreads the others, and a step of its own shows that.
USERS, RECORDS, FINGERS, SEED, COMM_KEY = 40, 1701, 6, 20, 471123
# Most clients take one frame per read (quirks ): a terminal that sends faster loses them.
PACE_MS = 10
# A client that hangs is a failure, not a stuck gate. Longer than the patience of the drivers with the terminal.
PATIENCE = 20
AT_ONCE = 3
# A machine that stalls such a client for longer than the pace makes it lose frames, so what only reads is tried again.
REPEATS = 3
READS = ("device", "counters", "users", "attendance", "templates", "template")

REG_EVENT, RESTART, POWEROFF = "500", "1004", "1005"

TERMINALS = {
    "tcp": ("tcp", []),
    "udp": ("udp", []),
    # A whole chunk in one packet, as face terminals send it.
    "large": ("tcp", ["--max-packet", "65472"]),
    "lenient": ("tcp", ["--checksum", "lenient"]),
    # Black and white: short records of users and punches, and events that carry a number.
    "old": ("udp", ["--user-width", "28", "--attendance-width", "16", "--event-width", "10"]),
}

DEVICE = ["serial_number", "firmware", "platform", "name", "mac"]
COUNTERS = ["users", "users_max", "fingers", "fingers_max", "records", "records_max", "faces", "faces_max"]
USER = ["uid", "user_id", "name", "privilege", "card"]
RECORD = ["user_id", "uid", "time", "verify_mode", "punch_state"]

# `fields` are those that a client offers; `lacks` are the steps for which it has no call at all.
Peer = namedtuple("Peer", "name command comm_key terminals fields lacks")


def peers(folder):
    everything = {"device": DEVICE, "counters": COUNTERS, "users": [*USER, "group"], "attendance": RECORD}
    return [
        Peer(
            "pyzk",
            [sys.executable, str(HERE / "pyzk/driver.py")],
            COMM_KEY,
            ["tcp", "udp", "old"],
            everything,
            {"find UDP", "door", "time after door", "screen", "clear screen", "option", "set option"},
        ),
        Peer(
            "rustzk",
            [str(folder / "peer-rustzk")],
            COMM_KEY,
            ["tcp", "udp", "old", "lenient"],
            everything,
            {
                "find UDP", "disable", "enable", "voice", "door", "time after door", "screen", "clear screen", "clear log",
                "attendance of an empty log", "clear all", "delete template by id",
            },
        ),
        Peer(
            "zkteco",
            [str(folder / "peer-zkteco")],
            COMM_KEY,
            ["tcp", "large", "udp", "old"],
            everything,
            {"find UDP", "option", "set option", "delete template by id"},
        ),
        # These two have no AUTH at all, so their terminals have no comm key.
        Peer(
            "zkteco-js",
            ["node", str(HERE / "node/driver.js"), "zkteco-js"],
            0,
            ["tcp", "old"],
            {
                "device": DEVICE,
                "counters": ["users", "records", "records_max"],
                "users": USER,
                "attendance": RECORD,
                "live": ["user_id", "time"],
            },
            {
                "door", "time after door", "screen", "clear screen", "set option", "templates",
                "template", "save template", "delete template", "delete template by id", "restart", "power off",
            },
        ),
        Peer(
            "node-zklib",
            ["node", str(HERE / "node/driver.js"), "node-zklib"],
            0,
            ["tcp", "old"],
            {
                "counters": ["users", "records", "records_max"],
                "users": USER,
                "old users": ["uid", "user_id", "name", "privilege"],
                "attendance": ["user_id", "uid", "time"],
                "live": ["user_id", "time"],
            },
            {
                "device", "time", "set time", "time afterwards", "add user", "change user",
                "delete user", "delete user 65535", "voice", "door", "time after door", "screen", "clear screen",
                "set option", "templates", "template", "save template", "delete template", "delete template by id",
                "clear all", "restart", "power off",
            },
        ),
    ]


# ---- what is asked of every client -----------------------------------------------------------------

USUAL = ("tcp", "large", "udp", "old")

# `answer(state)` is what should be told, `effect(state)` changes the state as the terminal's should. `fresh` steps begin
# with a new process and connection.
Step = namedtuple("Step", "name do given answer effect fresh kinds", defaults=[{}, lambda state: None, lambda state: None, False, USUAL])

NEW_USER = {
    "uid": 77, "user_id": "7001", "name": "Zoë Q", "password": "4711", "privilege": 14, "card": 7_654_321, "group": "3",
}
CHANGED_USER = {**NEW_USER, "name": "Zoe K", "privilege": 0, "card": 54_321, "group": "2"}
FINGERED_USER = {**NEW_USER, "uid": 78, "user_id": "7002", "name": "Ann", "privilege": 0, "card": 0, "group": "1"}
TEMPLATE = {"finger": 4, "data": (b"\x4d\x3a\x53\x53\x32\x31" + bytes(range(1, 256)) * 5).hex()}
TIME = "2024-02-29T23:59:58"
PUNCHES = [
    {"user_id": "1002", "uid": 2, "time": "2026-03-01T08:31:00", "verify_mode": 1, "punch_state": 0, "work_code": 0},
    {"user_id": "1003", "uid": 3, "time": "2026-03-01T08:31:07", "verify_mode": 15, "punch_state": 1, "work_code": 0},
    {"user_id": "1002", "uid": 2, "time": "2026-03-01T17:02:59", "verify_mode": 1, "punch_state": 4, "work_code": 0},
]


def put_user(user):
    def effect(state):
        row = {field: user[field] for field in [*USER, "group"]}
        state["users"] = sorted([*without(state["users"], uid=user["uid"]), row], key=lambda row: row["uid"])

    return effect


def delete_user(uid):
    def effect(state):
        state["users"] = without(state["users"], uid=uid)
        state["templates"] = without(state["templates"], uid=uid)

    return effect


def put_template(state):
    put_user(FINGERED_USER)(state)
    row = {"uid": FINGERED_USER["uid"], "flag": 1, **TEMPLATE}
    state["templates"] = sorted([*state["templates"], row], key=lambda row: (row["uid"], row["finger"]))


def delete_template(uid, finger):
    def effect(state):
        state["templates"] = without(state["templates"], uid=uid, finger=finger)

    return effect


def without(rows, **key):
    return [row for row in rows if any(row[field] != value for field, value in key.items())]


def template(uid):
    return lambda state: next(row for row in state["templates"] if row["uid"] == uid)


def punched(state):
    state["attendance"] += [{**punch, "time_valid": True} for punch in PUNCHES]


def clear_all(state):
    state.update(users=[], attendance=[], templates=[])


def setting(table, key, value):
    return lambda state: state[table].update({key: value})


def more(table, value):
    return lambda state: state[table].append(value)


def counted(command):
    return lambda state: state["commands"].update({command: state["commands"][command] + 1})


STEPS = [
    Step("connect by default", "connect_by_default", kinds=("lenient",)),
    Step("find UDP", "find_udp", {}, lambda state: "udp", kinds=("old",)),
    Step("device", "device", {}, lambda state: {field: state["device"][field] for field in DEVICE}, fresh=True),
    Step("counters", "counters", {}, lambda state: state["counters"]),
    Step("option", "option", {"key": "~Platform"}, lambda state: state["options"]["~Platform"]),
    Step("users", "users", {}, lambda state: state["users"]),
    Step("attendance", "attendance", {}, lambda state: state["attendance"], fresh=True),
    Step("templates", "templates", {}, lambda state: state["templates"], fresh=True),
    Step("template", "template", {"uid": 4, "finger": 4}, template(4)),
    Step("time", "time", {}, lambda state: state["device"]["time"], fresh=True),
    Step("set time", "set_time", {"time": TIME}, effect=setting("device", "time", TIME)),
    Step("time afterwards", "time", {}, lambda state: state["device"]["time"]),
    Step("set option", "set_option", {"key": "LockOn", "value": "7"}, effect=setting("options", "LockOn", "7")),
    Step("users before writing", "users", {}, lambda state: state["users"], fresh=True),
    Step("add user", "set_user", NEW_USER, effect=put_user(NEW_USER)),
    Step("change user", "set_user", CHANGED_USER, effect=put_user(CHANGED_USER)),
    Step("save template", "save_template", {**FINGERED_USER, **TEMPLATE}, effect=put_template),
    Step(
        "delete template", "delete_template", {"uid": 3, "user_id": "1003", "finger": 3}, effect=delete_template(3, 3),
    ),
    Step(
        "delete template by id", "delete_template_by_id", {"user_id": "1002", "finger": 2},
        effect=delete_template(2, 2),
    ),
    Step("delete user", "delete_user", {"uid": 5, "user_id": "1005"}, effect=delete_user(5)),
    Step("delete user 65535", "delete_user", {"uid": 65535, "user_id": ""}, effect=delete_user(65535)),
    Step("users after writing", "users", {}, lambda state: state["users"]),
    Step("disable", "disable", effect=lambda state: state.update(disabled=True), fresh=True),
    Step("enable", "enable", effect=lambda state: state.update(disabled=False)),
    Step("unlock", "unlock", {"seconds": 3}, effect=more("unlocked", 3)),
    Step("voice", "voice", {"index": 10}, effect=more("played", 10)),
    Step("screen", "lcd", {"line": 2, "text": "Olá"}, effect=setting("screen", "2", "Olá")),
    Step("clear screen", "clear_lcd", effect=lambda state: state["screen"].clear()),
    Step("door", "door", {}, lambda state: False),
    Step("time after door", "time", {}, lambda state: state["device"]["time"]),
    Step("live", "live", {"count": len(PUNCHES), "patience_ms": 2000}, lambda state: PUNCHES, punched, fresh=True),
    Step("attendance after live", "attendance", {}, lambda state: state["attendance"], fresh=True),
    Step("clear log", "clear_attendance", effect=lambda state: state["attendance"].clear(), fresh=True),
    Step("attendance of an empty log", "attendance", {}, lambda state: []),
    Step("clear all", "clear_data", effect=clear_all, fresh=True),
    Step("restart", "restart", effect=counted(RESTART), fresh=True),
    Step("power off", "poweroff", effect=counted(POWEROFF), fresh=True),
]


# ---- the two ends ------------------------------------------------------------------------------------


class Mock:
    """A software terminal; its state is in the form of `device dump`, and more."""

    def __init__(self, program, comm_key, kind):
        transport, options = TERMINALS[kind]
        arguments = [
            "--users", str(USERS), "--records", str(RECORDS), "--fingers", str(FINGERS), "--seed", str(SEED),
            "--pace", str(PACE_MS), "--comm-key", str(comm_key), "--transport", transport,
            "--clock", "2026-03-01T08:30:00", *options,
        ]
        self.process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        first = self.process.stdout.readline()
        if not first:
            sys.exit(f"the software terminal ended at once: {program} {' '.join(arguments)}")
        self.transport = transport
        self.host, self.port = json.loads(first)["tcp"].rsplit(":", 1)

    def tell(self, command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def asked(self, command):
        return self.tell({"state": None})["commands"].get(command, 0)

    def state(self):
        state = self.tell({"state": None})
        state["commands"] = {command: state["commands"].get(command, 0) for command in (RESTART, POWEROFF)}
        return state

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def counters(state):
    found = {"users": len(state["users"]), "fingers": len(state["templates"]), "records": len(state["attendance"])}
    return {**state["counters"], **found}


class Driver:
    """A client's process. It ends with its standard input."""

    def __init__(self, peer, mock, comm_key):
        command = [*peer.command, mock.host, mock.port, mock.transport, str(comm_key)]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, env={**os.environ, "TZ": "UTC"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors, text=True,
        )
        self.answers = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        said = next((line for line in lines if "Error" in line or "panicked" in line), "nothing")
        self.answers.put({"died": said})

    def do(self, step):
        self.start(step)
        return self.outcome()

    def start(self, step):
        try:
            self.process.stdin.write(json.dumps({"do": step.do, **step.given}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def outcome(self):
        try:
            return self.answers.get(timeout=PATIENCE)
        except queue.Empty:
            return {"died": f"no answer in {PATIENCE} s"}

    def is_busy(self):
        return self.answers.empty()

    def close(self):
        self.process.kill()
        self.process.wait()


# ---- the comparison ----------------------------------------------------------------------------------


class Meeting:
    """One client with one terminal."""

    def __init__(self, peer, kind):
        self.peer, self.kind = peer, kind
        # By what is wrong: how often, and the first time.
        self.problems, self.seen, self.compared, self.steps = {}, Counter(), 0, 0
        self.repeats = 0
        self.step_faults = {
            step: fault
            for fault in STEP_FAULTS
            if fault.peer == peer.name and kind in fault.terminals
            for step in fault.steps
        }

    def run(self, program):
        began = time.monotonic()
        with Mock(program, self.peer.comm_key, self.kind) as mock:
            check_data(mock.state())
            if self.peer.comm_key and self.kind != "lenient":
                self.check_wrong_key(mock)
            driver = None
            for step in STEPS:
                if step.name in self.peer.lacks or self.kind not in step.kinds:
                    continue
                if driver is None or step.fresh:
                    driver = self.connected(mock, step, driver)
                before = self.problems.copy(), self.seen.copy()
                fine = self.meet(mock, driver, step)
                for _ in range(REPEATS if step.do in READS else 0):
                    if self.problems == before[0]:
                        break
                    self.problems, self.seen = before[0].copy(), before[1].copy()
                    self.repeats += 1
                    driver = self.connected(mock, step, driver)
                    fine = self.meet(mock, driver, step)
                self.steps += 1
                if not fine:
                    driver.close()
                    driver = None
            if driver:
                driver.close()
        self.check_faults_seen()
        self.took = time.monotonic() - began

    def connected(self, mock, step, old):
        if old:
            old.close()
        driver = Driver(self.peer, mock, self.peer.comm_key)
        if step.do not in ("connect_by_default", "find_udp"):
            outcome = driver.do(Step("connect", "connect"))
            if outcome != {"ok": None}:
                self.problem(step, "connecting", outcome)
        return driver

    def check_wrong_key(self, mock):
        driver = Driver(self.peer, mock, self.peer.comm_key + 1)
        outcome = driver.do(Step("connect", "connect"))
        driver.close()
        if "nauth" not in outcome.get("error", ""):
            self.problem(STEPS[0], "a wrong comm key was not refused", outcome)

    def meet(self, mock, driver, step):
        """Does a step and judges it; whether the client is as good as before."""
        before = mock.state()
        right = copy.deepcopy(before)
        answer = step.answer(before)
        step.effect(right)
        outcome = self.live(mock, driver, step) if step.do == "live" else driver.do(step)
        after = mock.state()
        fault = self.step_faults.get(step.name)
        if fault:
            if fault.effect is not RIGHT:
                right = copy.deepcopy(before)
                fault.effect and fault.effect(right)
            if fault.says is not RIGHT:
                expected = fault.says(before) if callable(fault.says) else fault.says
                said = next(iter(outcome.values()))
                shows = said == expected if callable(fault.says) else "ok" not in outcome and expected in str(said)
                if shows:
                    self.seen[fault] += 1
                else:
                    self.problem(step, f"the fault listed does not show: {fault.reason}", outcome)
                answer = None
            elif fault.effect is not RIGHT:
                self.seen[fault] += 1
        if not fault or fault.says is RIGHT:
            self.judge_answer(step, answer, outcome)
        right["counters"] = counters(right)
        for table in right:
            if right[table] != after[table]:
                self.problem(step, f"{table} is not as it should be", difference(right[table], after[table]))
        return "ok" in outcome

    def live(self, mock, driver, step):
        """The punches come when the client listens, one after the other."""
        listening = mock.asked(REG_EVENT)
        driver.start(step)
        deadline = time.monotonic() + PATIENCE
        while mock.asked(REG_EVENT) == listening and driver.is_busy() and time.monotonic() < deadline:
            time.sleep(0.01)
        for punch in PUNCHES:
            # Time for a client that looks its users up at the first event, and loses what comes meanwhile.
            time.sleep(0.25)
            mock.tell({"punch": punch})
        return driver.outcome()

    def judge_answer(self, step, answer, outcome):
        if "ok" not in outcome:
            self.problem(step, "it fails", outcome)
            return
        told, table = outcome["ok"], step.do
        fields = self.fields(table)
        if not fields:
            self.compared += 1
            if told != answer:
                self.problem(step, "a wrong answer", {"right": answer, "told": told})
            return
        ours, theirs = (answer, told) if isinstance(answer, list) else ([answer], [told])
        if len(ours) != len(theirs):
            self.problem(step, "a wrong number", {"right": len(ours), "told": len(theirs)})
        faults = {
            fault.field: fault
            for fault in ROW_FAULTS
            if fault.peer == self.peer.name and self.kind in fault.terminals and step.name in fault.steps
        }
        for number, (row, row_told) in enumerate(zip(ours, theirs)):
            for field in fields:
                self.compared += 1
                fault = faults.get(field)
                if row[field] == row_told.get(field, "missing"):
                    continue
                if fault and fault.reads(row) == row_told.get(field):
                    self.seen[fault] += 1
                else:
                    self.problem(step, f"{table}.{field}", {"row": number, "right": row[field], "told": row_told.get(field)})

    def fields(self, table):
        known = self.peer.fields
        fields = known.get(f"{self.kind} {table}") or known.get(table) or (RECORD if table == "live" else [])
        # Old records have no place for the internal number.
        without_uid = self.kind == "old" and table == "attendance"
        return [field for field in fields if not (without_uid and field == "uid")]

    def check_faults_seen(self):
        """Each of them, in one of its steps at least; the steps are judged one by one anyway."""
        for fault in ROW_FAULTS + STEP_FAULTS:
            if fault.peer == self.peer.name and self.kind in fault.terminals and not self.seen[fault]:
                self.problem(STEPS[0], f"the fault listed for {fault.steps} does not show: {fault.reason}", {})

    def problem(self, step, what, evidence):
        times, first = self.problems.get((step.name, what), (0, evidence))
        self.problems[step.name, what] = (times + 1, first)


def brief(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 300 else f"{text[:300]}…"


def difference(right, found):
    if isinstance(right, list):
        missing = [row for row in right if row not in found]
        extra = [row for row in found if row not in right]
        return {"missing": missing, "too many": extra}
    return {"right": right, "is": found}


def check_data(held):
    """The comparison is worth nothing if the terminal holds nothing that could go wrong."""
    users, records = held["users"], held["attendance"]
    assert len(users) == USERS and len(records) == RECORDS, "the terminal does not hold what was asked for"
    assert any(not user["name"].isascii() for user in users), "no name outside ASCII"
    assert any(len(user["user_id"]) > 9 for user in users), "no long user id"
    assert any(user["card"] > 0xFFFF for user in users), "no card number beyond 16 bits"
    assert len({record["punch_state"] for record in records}) > 1, "one punch state only"
    assert len({record["verify_mode"] for record in records}) > 1, "one verify mode only"
    assert all(record["time_valid"] for record in records), "no client survives a time that is no date"
    assert len(held["templates"]) == FINGERS, "no templates"


def check_faults(meetings):
    """A fault of nobody would never be missed."""
    known = {(meeting.peer.name, meeting.kind) for meeting in meetings}
    names = {step.name for step in STEPS}
    for fault in ROW_FAULTS + STEP_FAULTS:
        assert {(fault.peer, kind) for kind in fault.terminals} <= known, f"no such meeting: {fault}"
        assert set(fault.steps) <= names, f"no such step: {fault}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--mock", required=True)
    arguments.add_argument("--peers", required=True, type=Path)
    given = arguments.parse_args()
    meetings = [Meeting(peer, kind) for peer in peers(given.peers) for kind in peer.terminals]
    check_faults(meetings)
    # They mostly wait: for the pace of the terminal, and for their own timers.
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda meeting: meeting.run(given.mock), meetings))
    for meeting in meetings:
        where = f"{meeting.peer.name}, {meeting.kind}"
        print(f"{where}: {meeting.steps} steps, {meeting.compared} fields compared, {meeting.took:.1f} s")
        if meeting.repeats:
            print(f"  {meeting.repeats} reads were repeated")
        faults = Counter()
        for fault, times in meeting.seen.items():
            faults[fault.reason] += times
        for reason, times in faults.items():
            print(f"  known fault, {times}×: {reason}")
        for (step, what), (times, evidence) in meeting.problems.items():
            print(f"  WRONG in \"{step}\", {times}×: {what}: {brief(evidence)}")
    sys.exit(any(meeting.problems for meeting in meetings))


if __name__ == "__main__":
    main()
