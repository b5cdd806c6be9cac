import assert from "node:assert/strict";
import { encodeEvents, eventFileName, eventFileStart, eventFileTime } from "../../core/files/tensorboard.ts";
import { readEvents } from "./event_reader.ts";

Deno.test("events come back from a reader of its own: versions, sessions, steps, scalars, checksums", () => {
  const events = [
    { wallTime: 1764280800.25, step: 1, scalars: [{ tag: "loss", value: 0.5 }] },
    {
      wallTime: 1764280801,
      step: 300,
      scalars: [{ tag: "fvu/prefix_128", value: 1 / 3 }, { tag: "größe", value: NaN }],
    },
    { wallTime: 1764280802, step: 2 ** 40, scalars: [] },
  ];
  const bytes = new Uint8Array([...eventFileStart(7.5), ...encodeEvents(events)]);
  const [version, session, ...read] = readEvents(bytes);
  assert.deepEqual([version.wallTime, version.fileVersion], [7.5, "brain.Event:2"]);
  assert.deepEqual([session.sessionStatus, session.step], [1, 0]);
  assert.deepEqual(
    read,
    events.map(({ scalars, ...event }) => ({
      ...event,
      scalars: Object.fromEntries(scalars.map(({ tag, value }) => [tag, Math.fround(value)])),
    })),
  );
  for (const at of [3, 9, 20, bytes.length - 1]) {
    const damaged = bytes.slice();
    damaged[at] ^= 1;
    assert.throws(() => readEvents(damaged));
  }
});

Deno.test("the bytes of a scalar are TensorFlow's", () => {
  // What tensorboard 2.21.0's RecordWriter makes of the same Event.
  const hex = Array.from(
    encodeEvents([{ wallTime: 1.5, step: 3, scalars: [{ tag: "a", value: 2 }] }]),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
  assert.equal(hex, "1700000000000000e7cef81e09000000000000f83f10032a0a0a080a01611500000040e81c3a9d");
});

Deno.test("names of event files sort by their times", () => {
  const names = [5, 999, 1764280800000, 9999999999999].map(eventFileName);
  assert.deepEqual(names.toSorted(), names);
  assert.deepEqual(names.map(eventFileTime), [5, 999, 1764280800000, 9999999999999]);
  for (const name of ["metrics.csv", "events.out.tfevents.1764280800.host.1.0", `.${names[0]}.x.tmp`]) {
    assert.equal(eventFileTime(name), null);
  }
});
