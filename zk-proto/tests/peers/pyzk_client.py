"""Reads a terminal with pyzk and prints what pyzk understood, field by field, as one JSON document.

pyzk_client.py HOST PORT COMM_KEY
"""

import json
import sys

from zk import ZK


def main():
    host, port, key = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    terminal = ZK(host, port=port, timeout=20, password=key, ommit_ping=True)
    terminal.connect()
    answer = {
        "device": {
            "serial_number": terminal.get_serialnumber(),
            "firmware": terminal.get_firmware_version(),
            "platform": terminal.get_platform(),
            "name": terminal.get_device_name(),
            "mac": terminal.get_mac(),
        },
        "users": [
            {
                "uid": user.uid,
                "user_id": user.user_id,
                "name": user.name,
                "privilege": user.privilege,
                "card": user.card,
                "group": user.group_id,
            }
            for user in terminal.get_users()
        ],
        # In pyzk `status` is the verify mode and `punch` the punch state.
        "attendance": [
            {
                "user_id": record.user_id,
                "uid": record.uid,
                "time": record.timestamp.isoformat(),
                "verify_mode": record.status,
                "punch_state": record.punch,
            }
            for record in terminal.get_attendance()
        ],
        "counters": {
            "users": terminal.users,
            "users_max": terminal.users_cap,
            "fingers": terminal.fingers,
            "fingers_max": terminal.fingers_cap,
            "records": terminal.records,
            "records_max": terminal.rec_cap,
            "faces": terminal.faces,
            "faces_max": terminal.faces_cap,
        },
    }
    terminal.disconnect()
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
