"""Does with pyzk what run.py asks for: a JSON document per line, an action in, its outcome out.

driver.py HOST PORT tcp|udp COMM_KEY
"""

import json
import sys
import time
from datetime import datetime

from zk import ZK
from zk.finger import Finger
from zk.user import User

PATIENCE = 2  # seconds


def main():
    host, port, transport, key = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    terminal = ZK(host, port=port, timeout=PATIENCE, password=key, force_udp=transport == "udp", ommit_ping=True)
    out = sys.stdout
    # It prints warnings.
    sys.stdout = sys.stderr
    for line in sys.stdin:
        action = json.loads(line)
        try:
            outcome = {"ok": ACTIONS[action.pop("do")](terminal, **action)}
        except Exception as error:  # whatever it raises is its outcome
            outcome = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(outcome), file=out, flush=True)


def connect(terminal):
    terminal.connect()


def device(terminal):
    return {
        "serial_number": terminal.get_serialnumber(),
        "firmware": terminal.get_firmware_version(),
        "platform": terminal.get_platform(),
        "name": terminal.get_device_name(),
        "mac": terminal.get_mac(),
    }


def counters(terminal):
    terminal.read_sizes()
    return {
        "users": terminal.users,
        "users_max": terminal.users_cap,
        "fingers": terminal.fingers,
        "fingers_max": terminal.fingers_cap,
        "records": terminal.records,
        "records_max": terminal.rec_cap,
        "faces": terminal.faces,
        "faces_max": terminal.faces_cap,
    }


def users(terminal):
    return [
        {
            "uid": user.uid,
            "user_id": user.user_id,
            "name": user.name,
            "privilege": user.privilege,
            "card": user.card,
            "group": user.group_id,
        }
        for user in terminal.get_users()
    ]


def attendance(terminal):
    return [told(record) for record in terminal.get_attendance()]


def told(record):
    """In pyzk `status` is the verify mode and `punch` the punch state."""
    return {
        "user_id": record.user_id,
        "uid": record.uid,
        "time": record.timestamp.isoformat(),
        "verify_mode": record.status,
        "punch_state": record.punch,
    }


def set_time(terminal, time):
    terminal.set_time(datetime.fromisoformat(time))


def set_user(terminal, uid, user_id, name, password, privilege, card, group):
    terminal.set_user(uid, name, privilege, password, group, user_id, card)


def delete_user(terminal, uid, user_id):
    terminal.delete_user(uid=uid)


def finger(found):
    return found and {"uid": found.uid, "finger": found.fid, "flag": found.valid, "data": found.template.hex()}


def templates(terminal):
    return [finger(found) for found in terminal.get_templates()]


def template(terminal, uid, finger):
    return globals()["finger"](terminal.get_user_template(uid, finger))


def save_template(terminal, uid, user_id, name, password, privilege, card, group, finger, data):
    user = User(uid, name, privilege, password, group, user_id, card)
    terminal.save_user_template(user, [Finger(uid, finger, 1, bytes.fromhex(data))])


def delete_template(terminal, uid, user_id, finger):
    if not terminal.delete_user_template(uid=uid, temp_id=finger):
        raise LookupError("it says that there was none")


def delete_template_by_id(terminal, user_id, finger):
    if not terminal.delete_user_template(temp_id=finger, user_id=user_id):
        raise LookupError("it says that there was none")


def voice(terminal, index):
    if not terminal.test_voice(index):
        raise RuntimeError("it says that nothing was played")


def live(terminal, count, patience_ms):
    events, deadline = [], time.monotonic() + patience_ms / 1000
    for event in terminal.live_capture(new_timeout=0.1):
        if event:
            events.append(told(event))
        if len(events) == count or time.monotonic() > deadline:
            terminal.end_live_capture = True
    return events


ACTIONS = {
    "connect": connect,
    "device": device,
    "counters": counters,
    "users": users,
    "attendance": attendance,
    "time": lambda terminal: terminal.get_time().isoformat(),
    "set_time": set_time,
    "set_user": set_user,
    "delete_user": delete_user,
    "templates": templates,
    "template": template,
    "save_template": save_template,
    "delete_template": delete_template,
    "delete_template_by_id": delete_template_by_id,
    "disable": lambda terminal: terminal.disable_device() and None,
    "enable": lambda terminal: terminal.enable_device() and None,
    "unlock": lambda terminal, seconds: terminal.unlock(seconds) and None,
    "voice": voice,
    "live": live,
    "clear_attendance": lambda terminal: terminal.clear_attendance() and None,
    "clear_data": lambda terminal: terminal.clear_data() and None,
    "restart": lambda terminal: terminal.restart() and None,
    "poweroff": lambda terminal: terminal.poweroff() and None,
    "disconnect": lambda terminal: terminal.disconnect() and None,
}


if __name__ == "__main__":
    main()
