// Reads a terminal with zkteco-js and prints what it understood, field by field, as one JSON document.
//
// TZ=UTC node zkteco_js_client.js HOST PORT

'use strict';

// The library reports its progress on stdout.
console.log = console.error;

const Terminal = require('zkteco-js');

// It gives the time as text in the zone of this machine, which is why the caller sets TZ=UTC.
const civil = (text) => new Date(text).toISOString().slice(0, 19);

async function main() {
  const [host, port] = process.argv.slice(2);
  const terminal = new Terminal(host, Number(port), 10000, 4000);
  await terminal.createSocket();
  const info = await terminal.getInfo();
  const device = {
    serial_number: await terminal.getSerialNumber(),
    platform: await terminal.getPlatform(),
    name: await terminal.getDeviceName(),
    mac: await terminal.getMacAddress(),
  };
  const users = (await terminal.getUsers()).data;
  const attendance = (await terminal.getAttendances()).data;
  await terminal.disconnect();
  return {
    device,
    counters: { users: info.userCounts, records: info.logCounts, records_max: info.logCapacity },
    users: users.map((user) => ({
      uid: user.uid,
      user_id: user.userId,
      name: user.name,
      privilege: user.role,
      card: user.cardno,
    })),
    // `type` is the verify mode, `state` the punch state.
    attendance: attendance.map((record) => ({
      user_id: record.user_id,
      uid: record.sn,
      time: civil(record.record_time),
      verify_mode: record.type,
      punch_state: record.state,
    })),
  };
}

main().then(
  // It leaves timers behind that would keep the process alive.
  (answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
