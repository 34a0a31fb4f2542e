// Does with zkteco-js or node-zklib what run.py asks for: a JSON document per line, an action in, its outcome out.
//
// TZ=UTC node driver.js zkteco-js|node-zklib HOST PORT tcp|udp
//
// The two grew from one source and share their names, not their fields. They take UDP only where TCP is refused, so
// it is the terminal that chooses.

'use strict';

// The libraries report their progress on stdout.
const answer = (outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`);
console.log = console.error;

const [library, host, port, transport] = process.argv.slice(2);
const PATIENCE_MS = 2000;
const UNLOCK = 31;
const OPTION = 11;
const OK = 2000;

const terminal = new (require(library))(host, Number(port), PATIENCE_MS, 0);

// They give the time in the zone of this machine, which is why the caller sets TZ=UTC.
const civil = (time) => new Date(time).toISOString().slice(0, 19);

// Neither looks at the code of a reply.
const done = (reply) => {
  if (Buffer.isBuffer(reply) && reply.readUInt16LE(0) !== OK) {
    throw new Error(`refused with ${reply.readUInt16LE(0)}`);
  }
  return null;
};

const u32 = (number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
};

const whole = ({ data, err }) => {
  if (err) throw err;
  return data;
};

const user = (user) => ({
  uid: user.uid,
  // A number where the terminal has numbers.
  user_id: String(user.userId),
  name: user.name,
  privilege: user.role,
  card: user.cardno,
});

// In zkteco-js `type` is the verify mode, `state` the punch state; node-zklib has neither.
const record = (record) =>
  library === 'zkteco-js'
    ? {
        user_id: String(record.user_id),
        uid: record.sn,
        time: civil(record.record_time),
        verify_mode: record.type,
        punch_state: record.state,
      }
    : { user_id: String(record.deviceUserId), uid: record.userSn, time: civil(record.recordTime) };

const actions = {
  connect: async () => {
    if (transport === 'udp' && library === 'zkteco-js') {
      // It does not find the way there by itself (step "find UDP"), so its UDP half is opened by hand.
      await terminal.zudp.createSocket();
      await terminal.zudp.connect();
      terminal.connectionType = 'udp';
    } else {
      await terminal.createSocket();
    }
    return null;
  },
  find_udp: async () => {
    await terminal.createSocket();
    return terminal.connectionType;
  },
  device: async () => ({
    serial_number: await terminal.getSerialNumber(),
    firmware: await terminal.getFirmware(),
    platform: await terminal.getPlatform(),
    name: await terminal.getDeviceName(),
    mac: await terminal.getMacAddress(),
  }),
  counters: async () => {
    const info = await terminal.getInfo();
    return { users: info.userCounts, records: info.logCounts, records_max: info.logCapacity };
  },
  users: async () => whole(await terminal.getUsers()).map(user),
  attendance: async () => whole(await terminal.getAttendances()).map(record),
  time: async () => civil(await terminal.getTime()),
  set_time: async ({ time }) => done(await terminal.setTime(new Date(`${time}Z`))),
  set_user: async ({ uid, user_id, name, password, privilege, card }) =>
    done(await terminal.setUser(uid, user_id, name, password, privilege, card)),
  delete_user: async ({ uid }) => done(await terminal.deleteUser(uid)),
  disable: async () => done(await terminal.disableDevice()),
  enable: async () => done(await terminal.enableDevice()),
  unlock: async ({ seconds }) => done(await terminal.executeCmd(UNLOCK, u32(seconds))),
  option: async ({ key }) => {
    const reply = await terminal.executeCmd(OPTION, key);
    return reply.subarray(8).toString().replace(`${key}=`, '').replace(/\0/g, '');
  },
  voice: async () => done(await terminal.voiceTest()),
  live: async ({ count, patience_ms }) => {
    const events = [];
    await new Promise((resolve) => {
      setTimeout(resolve, patience_ms);
      terminal.getRealTimeLogs(({ userId, attTime }) => {
        events.push({ user_id: String(userId), time: civil(attTime) });
        if (events.length === count) resolve();
      });
    });
    return events;
  },
  clear_attendance: async () => done(await terminal.clearAttendanceLog()),
  clear_data: async () => done(await terminal.clearData()),
  disconnect: async () => {
    await terminal.disconnect();
    return null;
  },
};

// Their errors wrap the one that says something, more than once, and are no `Error`s.
const innermost = (error) => {
  while (error?.err) error = error.err;
  return String(error?.message ?? error);
};

async function main() {
  for await (const line of require('node:readline').createInterface({ input: process.stdin })) {
    const { do: what, ...given } = JSON.parse(line);
    try {
      answer({ ok: await actions[what](given) });
    } catch (error) {
      answer({ error: innermost(error) });
    }
  }
  // They leave timers behind that would keep the process alive.
  process.exit(0);
}

main();
