"""The known faults of the clients, each with what it does. All of them show in every run, or the run fails: a client that
was mended, or a terminal that changed, is noticed.

Where clients and terminals merely disagree (the unit of the door's lock, the order of two bytes), the table says so too.
"""

import struct
from collections import namedtuple

# A field that a client reads wrongly: `reads(row)` is what it makes of a row that the terminal holds.
RowFault = namedtuple("RowFault", "peer terminals steps field reads reason")
# A step that goes wrong: `says` is a part of the error, or a function of the terminal's state that gives the wrong answer;
# `effect` changes the state as it is changed, and is None where nothing changes. RIGHT: as it should be.
StepFault = namedtuple("StepFault", "peer terminals steps says effect reason")
RIGHT = object()

TFT, ALL = ("tcp", "udp"), ("tcp", "udp", "old")
USERS = ("users", "users before writing", "users after writing")
LOG = ("attendance", "attendance after live")


def seven_bit(text):
    return bytes(byte & 0x7F for byte in text.encode()).decode("ascii")


def as_gbk(text):
    return text.encode().decode("gb18030", errors="replace")


def head_as_16_bytes(field):
    """What a record of 16 bytes would say if it were the head of one of 40."""

    def reads(row):
        head = struct.pack("<H24s", row["uid"], row["user_id"].encode())
        number, packed, verify_mode, punch_state = struct.unpack("<IIBB", head[:10])
        read = {"uid": number, "user_id": str(number), "verify_mode": verify_mode, "punch_state": punch_state}
        return {**read, "time": unpacked(packed)}[field]

    return reads


def unpacked(packed):
    parts = []
    for limit in (60, 60, 24, 31, 12):
        packed, part = divmod(packed, limit)
        parts.append(part)
    second, minute, hour, day, month = parts
    return f"{2000 + packed}-{month + 1:02}-{day + 1:02}T{hour:02}:{minute:02}:{second:02}"


def written(uid, **changes):
    """A user is stored, but differently."""

    def effect(state):
        kept = [user for user in state["users"] if user["uid"] != uid]
        state["users"] = sorted([*kept, {"uid": uid, **changes}], key=lambda user: user["uid"])

    return effect


def added(**changes):
    usual = {"user_id": "7001", "name": "Zoë Q", "privilege": 14, "card": 7_654_321, "group": "3"}
    return written(77, **{**usual, **changes})


def changed(**changes):
    usual = {"user_id": "7001", "name": "Zoe K", "privilege": 0, "card": 54_321, "group": "2"}
    return written(77, **{**usual, **changes})


def noted(table, value):
    return lambda state: state[table].append(value)


ROW_FAULTS = [
    # ---- the group and the names of users
    *(
        RowFault(
            peer, terminals, USERS, "group", lambda row: {77: "2"}.get(row["uid"], ""),
            "reads the group as text from the bytes of the time zones (40 to 46); the terminal keeps a number at 39",
        )
        for peer, terminals in (("pyzk", TFT), ("rustzk", TFT), ("zkteco", ("large", "udp")))
    ),
    RowFault("rustzk", ALL, USERS, "name", lambda row: as_gbk(row["name"]), "takes every name for GBK"),
    *(
        RowFault(
            peer, terminals, USERS, "name", lambda row: seven_bit(row["name"]),
            'decodes names as 7-bit ASCII: "José" becomes "JosC)"',
        )
        for peer, terminals in (("zkteco-js", ("tcp",)), ("node-zklib", ("tcp", "old")))
    ),
    # ---- user ids
    *(
        RowFault(
            peer, ("tcp",), (*USERS, *LOG), "user_id", lambda row: row["user_id"][:9],
            "takes the first 9 of the 24 bytes of a user id",
        )
        for peer in ("zkteco-js", "node-zklib")
    ),
    RowFault(
        "node-zklib", ("old",), LOG, "user_id", lambda row: str(int(row["user_id"]) & 0xFFFF),
        "takes 16 of the 32 bits of a user id",
    ),
    *(
        RowFault(
            peer, ("old",), ("live",), "user_id", lambda row: str(row["uid"]),
            "takes the internal number that such an event carries for the user id",
        )
        for peer in ("zkteco", "zkteco-js", "node-zklib")
    ),
    RowFault("rustzk", TFT, ("live",), "uid", lambda row: 0, "does not look the internal number up for an event"),
    # ---- records
    *(
        RowFault(
            peer, ("old",), LOG, field, lambda row, other=other: row[other],
            "takes the two state bytes of a record of 16 bytes the other way round (open question, protocol 12.3)",
        )
        for peer in ("pyzk", "zkteco")
        for field, other in (("verify_mode", "punch_state"), ("punch_state", "verify_mode"))
    ),
    *(
        RowFault(
            "rustzk", TFT, ("attendance after live",), field, head_as_16_bytes(field),
            "takes an even number of records of 40 bytes for records of 16",
        )
        for field in ("uid", "user_id", "time", "verify_mode", "punch_state")
    ),
    # ---- the rest
    RowFault(
        "zkteco-js", ("tcp",), ("device",), "firmware", lambda row: row["firmware"] + "\0",
        "leaves the NUL at the end of the firmware version",
    ),
]

STEP_FAULTS = [
    # ---- connecting
    StepFault(
        "rustzk", ("lenient",), ("connect by default",), "Invalid packet checksum", None,
        "computes checksums that are too small by one, and refuses right ones, unless told to be 'legacy'",
    ),
    StepFault(
        "zkteco-js", ("old",), ("find UDP",), "ECONNREFUSED", None,
        "looks for the reason why TCP failed in an error that it has wrapped, so it never tries UDP",
    ),
    # ---- reading
    StepFault(
        "zkteco", ("tcp",), (*USERS, *LOG, "templates"), "Resource temporarily unavailable", None,
        "waits for ever for a chunk that comes in more than one packet",
    ),
    StepFault(
        "zkteco", ("tcp",), ("live",), "Resource temporarily unavailable", RIGHT,
        "reads the users first, and does not get them",
    ),
    StepFault(
        "rustzk", ("old",), LOG, "Invalid date/time", None, "takes records of 16 bytes for records of 8",
    ),
    StepFault(
        "rustzk", ALL, ("template",), lambda state: None, None,
        "expects a single template in one packet, without announcement",
    ),
    StepFault(
        "pyzk", ("old",), ("live",), lambda state: [], RIGHT, "passes over events that are shorter than 12 bytes",
    ),
    StepFault(
        "zkteco-js", ("old",), USERS, "Cannot read properties of undefined", None,
        "its UDP half forgets to wait for the data",
    ),
    StepFault(
        "zkteco-js", ("old",), LOG, "Cannot read properties of undefined", None,
        "its UDP half forgets to wait for the data",
    ),
    StepFault(
        "node-zklib", ("old",), ("attendance of an empty log",), "TIMEOUT_ON_RECEIVING_REQUEST_DATA", None,
        "takes the answer of 4 bytes that means an empty log for no answer",
    ),
    StepFault(
        "zkteco", ("tcp", "large", "udp", "old"), ("door",), lambda state: True, None,
        "takes any answer for an open door",
    ),
    StepFault(
        "zkteco", ("tcp", "large"), ("time after door",), "TCP packet invalid", None,
        "leaves the state of the door in the stream, where the next answer should begin",
    ),
    # ---- writing
    *(
        StepFault(
            peer, terminals, ("add user",), RIGHT, added(group="0", name=name),
            "writes the group as text into the time zones" + more,
        )
        for peer, terminals, name, more in (
            ("pyzk", TFT, "Zoë Q", ""),
            ("zkteco", ("tcp", "large", "udp"), "Zoë Q", ""),
            ("rustzk", TFT, "Zo&#235; Q", ", and names in GBK with HTML for what GBK lacks"),
        )
    ),
    *(
        StepFault(
            peer, terminals, ("change user",), RIGHT, changed(group="0"),
            "writes the group as text into the time zones",
        )
        for peer, terminals in (("pyzk", TFT), ("zkteco", ("tcp", "large", "udp")), ("rustzk", TFT))
    ),
    StepFault(
        "rustzk", ("old",), ("add user",), RIGHT, added(name="Zo&#235;"),
        "writes names in GBK with HTML for what GBK lacks",
    ),
    StepFault(
        "zkteco-js", ("tcp",), ("add user",), "It must be >= 0 and <= 65535", None,
        "writes 16 bits of a card number, and refuses what does not fit",
    ),
    StepFault("zkteco-js", ("tcp",), ("change user",), RIGHT, changed(group="0"), "knows no groups"),
    StepFault(
        "rustzk", ALL, ("save template",), "Failed to save user template", None,
        "leaves out the byte that begins a user in such an upload",
    ),
    StepFault(
        "pyzk", ("tcp",), ("delete template by id",), "must be a bytes object", None,
        "packs the text of the user id where Python 3 wants bytes",
    ),
    StepFault(
        "pyzk", ALL, ("delete user 65535",), "short format requires", None, "takes the internal number for signed",
    ),
    StepFault(
        "zkteco-js", ("tcp",), ("delete user 65535",), "must be between 1 and 3000", None,
        "knows no internal numbers above 3000",
    ),
    StepFault("pyzk", ALL, ("clear all",), "can't concat str to bytes", None, "sends text where Python 3 wants bytes"),
    StepFault(
        "zkteco-js", ("old",), ("device", "add user", "change user", "delete user", "delete user 65535", "voice"),
        "udpCallback is not a function", None, "has no UDP half of this call",
    ),
    # ---- the door, the voice, the screen
    *(
        StepFault(
            peer, terminals, ("unlock",), RIGHT, noted("unlocked", 30),
            "takes the unit of the lock for a tenth of a second (open question, protocol 20.1)",
        )
        for peer, terminals in (("pyzk", ALL), ("rustzk", ALL), ("zkteco", ("tcp", "large", "udp", "old")))
    ),
    StepFault("zkteco-js", ("tcp",), ("voice",), RIGHT, noted("played", 0), "always plays the first prompt"),
    StepFault(
        "zkteco", ("tcp", "large", "udp", "old"), ("screen",), RIGHT,
        lambda state: state["screen"].update({"2": " Olá"}), "puts a blank before a text",
    ),
]
