"""Foreign clients read our software terminal; what they read is compared with what it holds.

run.py --mock PROGRAM [ARGUMENT…]

PROGRAM takes the options of zk-proto's example `mock_device`. Each client runs as a process of its own against a
terminal of its own. Every field that a client offers is compared for every user and every record; the
only differences accepted are the clients' own known faults, listed below, each with the value that the
fault produces. A listed fault that does not show fails the run too.

NODE_PATH must lead to zkteco-js, and this must run under a Python that has pyzk.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter, namedtuple
from pathlib import Path

HERE = Path(__file__).parent
USERS, RECORDS, SEED, COMM_KEY = 40, 3000, 20, 471123
# Both clients take one frame per read (quirks ): a terminal that sends faster loses them.
PACE_MS = 10
# A client that hangs is a failure, not a stuck gate.
PATIENCE = 120

DEVICE = ["serial_number", "platform", "name", "mac"]
COUNTERS = ["users", "users_max", "fingers", "fingers_max", "records", "records_max", "faces", "faces_max"]
USER = ["uid", "user_id", "name", "privilege", "card"]
RECORD = ["user_id", "uid", "time", "verify_mode", "punch_state"]

# What a client offers; the rest (work codes, for one) it does not decode at all.
Peer = namedtuple("Peer", "name command comm_key fields")
PEERS = [
    Peer(
        "pyzk",
        [sys.executable, str(HERE / "pyzk_client.py")],
        COMM_KEY,
        {"device": ["firmware", *DEVICE], "counters": COUNTERS, "users": [*USER, "group"], "attendance": RECORD},
    ),
    # It has no AUTH at all, so its terminal has no comm key.
    Peer(
        "zkteco-js",
        ["node", str(HERE / "zkteco_js_client.js")],
        None,
        {"device": DEVICE, "counters": ["users", "records", "records_max"], "users": USER, "attendance": RECORD},
    ),
]


def seven_bit(text):
    """Node's `ascii` drops the high bit of every byte."""
    return bytes(byte & 0x7F for byte in text.encode()).decode("ascii")


# `reads(row)` is what the client makes of a row that the terminal holds.
Fault = namedtuple("Fault", "peer table field reads reason")
FAULTS = [
    Fault(
        "pyzk", "users", "group", lambda row: "",
        "reads the group as text from bytes 40 to 46, the time zones; the terminal keeps a number at 39",
    ),
    Fault(
        "zkteco-js", "users", "name", lambda row: seven_bit(row["name"]),
        'decodes names as 7-bit ASCII: "José" becomes "JosC)"',
    ),
    *(
        Fault(
            "zkteco-js", table, "user_id", lambda row: row["user_id"][:9],
            "takes the first 9 of the 24 bytes of a user id",
        )
        for table in ("users", "attendance")
    ),
]


class Mock:
    """A software terminal and what it holds, in the form of `device dump`."""

    def __init__(self, program, comm_key, folder):
        data = Path(folder) / "held.json"
        arguments = [
            "--bind", "127.0.0.1:0", "--users", str(USERS), "--records", str(RECORDS), "--seed", str(SEED),
            "--pace", str(PACE_MS), "--data", str(data),
        ]
        if comm_key is not None:
            arguments += ["--comm-key", str(comm_key)]
        self.process = subprocess.Popen([*program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        first = self.process.stdout.readline()
        if not first:
            sys.exit(f"the software terminal ended at once: {' '.join(program)}")
        self.host, self.port = json.loads(first)["tcp"].rsplit(":", 1)
        self.held = json.loads(data.read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def run(peer, mock, comm_key):
    command = [*peer.command, mock.host, mock.port]
    if comm_key is not None:
        command.append(str(comm_key))
    environment = {**os.environ, "TZ": "UTC"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        sys.exit(f"{peer.name}: no end after {PATIENCE} s")


def read(peer, mock):
    done = run(peer, mock, peer.comm_key)
    if done.returncode:
        sys.exit(f"{peer.name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def compare(peer, held, told):
    """Every difference that no known fault explains, as text."""
    faults = {(fault.table, fault.field): fault for fault in FAULTS if fault.peer == peer.name}
    seen, differences, compared = Counter(), [], 0
    for table, fields in peer.fields.items():
        ours, theirs = held[table], told[table]
        if isinstance(ours, dict):
            ours, theirs = [ours], [theirs]
        if len(ours) != len(theirs):
            differences.append(f"{table}: the terminal holds {len(ours)}, read were {len(theirs)}")
        for number, (row, answer) in enumerate(zip(ours, theirs)):
            if set(answer) != set(fields):
                sys.exit(f"{peer.name}: {table} has {sorted(answer)}, the table of fields says {sorted(fields)}")
            for field in fields:
                compared += 1
                fault = faults.get((table, field))
                if row[field] == answer[field]:
                    continue
                if fault and fault.reads(row) == answer[field]:
                    seen[fault] += 1
                else:
                    differences.append(f"{table}[{number}].{field}: held {row[field]!r}, read {answer[field]!r}")
    for fault in faults.values():
        if seen[fault]:
            print(f"  known fault, {seen[fault]} times in {fault.table}.{fault.field}: {fault.reason}")
        else:
            differences.append(f"the fault listed for {fault.table}.{fault.field} does not show any more: {fault.reason}")
    print(f"  {compared} fields compared: {len(held['users'])} users, {len(held['attendance'])} records")
    return differences


def check_data(held):
    """The comparison is worth nothing if the terminal holds nothing that could go wrong."""
    users, records = held["users"], held["attendance"]
    assert len(users) == USERS and len(records) == RECORDS, "the terminal does not hold what was asked for"
    assert any(not user["name"].isascii() for user in users), "no name outside ASCII"
    assert any(len(user["user_id"]) > 9 for user in users), "no long user id"
    assert any(user["card"] > 0xFFFF for user in users), "no card number beyond 16 bits"
    assert len({record["punch_state"] for record in records}) > 1, "one punch state only"
    assert len({record["verify_mode"] for record in records}) > 1, "one verify mode only"
    assert all(record["time_valid"] for record in records), "neither client survives a time that is no date"


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "--mock":
        sys.exit(__doc__)
    program, failed = sys.argv[2:], False
    for peer in PEERS:
        with tempfile.TemporaryDirectory() as folder, Mock(program, peer.comm_key, folder) as mock:
            print(f"{peer.name}:", flush=True)
            check_data(mock.held)
            if peer.comm_key is not None:
                refused = run(peer, mock, peer.comm_key + 1)
                if refused.returncode == 0 or "Unauthenticated" not in refused.stderr:
                    sys.exit(f"{peer.name}: a wrong comm key was not refused:\n{refused.stderr}")
                print("  a wrong comm key is refused")
            differences = compare(peer, mock.held, read(peer, mock))
        for difference in differences[:20]:
            print(f"  {difference}")
        if len(differences) > 20:
            print(f"  … {len(differences)} differences in all")
        failed = failed or bool(differences)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
