/**
 * What an executable asks of a system, read from the executable itself.
 * @module
 */

/** Says what of the file is not as it should be. */
function fail(what: string): never {
  throw new Error(`Cannot read the executable: ${what}`);
}

/**
 * Finds the newest glibc that a Linux executable asks for: the highest `GLIBC_x.y` among the versions of its symbols (ELF's
 * section .gnu.version_r).
 *
 * @param bytes The executable, 64-bit and little-endian.
 * @returns Major and minor number.
 */
export function glibcFloor(bytes: Uint8Array): readonly [major: number, minor: number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) {
    fail("it is no 64-bit little-endian ELF file");
  }
  const sections = Number(view.getBigUint64(0x28, true)),
    size = view.getUint16(0x3a, true),
    count = view.getUint16(0x3c, true);
  const section = (i: number) => {
    const at = sections + i * size;
    return {
      type: view.getUint32(at + 4, true),
      offset: Number(view.getBigUint64(at + 0x18, true)),
      link: view.getUint32(at + 0x28, true),
      entries: view.getUint32(at + 0x2c, true),
    };
  };
  const VERSIONS_NEEDED = 0x6ffffffe;
  const needed = Array.from({ length: count }, (_, i) => section(i)).find(({ type }) => type === VERSIONS_NEEDED) ??
    fail("it has no section of needed versions");
  const strings = section(needed.link).offset;
  const text = (offset: number) => {
    const end = bytes.indexOf(0, strings + offset);
    return new TextDecoder().decode(bytes.subarray(strings + offset, end));
  };
  const versions: [number, number][] = [];
  // Libraries are a list of offsets, each with a list of its versions.
  for (let library = needed.offset, i = 0; i < needed.entries; i++) {
    let version = library + view.getUint32(library + 8, true);
    for (let j = 0; j < view.getUint16(library + 2, true); j++) {
      const found = /^GLIBC_(\d+)\.(\d+)/.exec(text(view.getUint32(version + 8, true)));
      if (found) versions.push([Number(found[1]), Number(found[2])]);
      version += view.getUint32(version + 12, true);
    }
    library += view.getUint32(library + 12, true);
  }
  return versions.sort(([a, b], [c, d]) => a - c || b - d).at(-1) ?? fail("it asks for no glibc");
}

/**
 * Finds the oldest macOS that an executable says it runs on (Mach-O's LC_BUILD_VERSION, or LC_VERSION_MIN_MACOSX).
 *
 * @param bytes The executable, 64-bit and little-endian, of one architecture.
 * @returns Major and minor number.
 */
export function macosFloor(bytes: Uint8Array): readonly [major: number, minor: number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== 0xfeedfacf) fail("it is no 64-bit Mach-O file");
  const BUILD_VERSION = 0x32, VERSION_MIN = 0x24;
  for (let at = 32, i = 0; i < view.getUint32(16, true); i++) {
    const command = view.getUint32(at, true);
    if (command === BUILD_VERSION || command === VERSION_MIN) {
      const version = view.getUint32(at + (command === BUILD_VERSION ? 12 : 8), true);
      return [version >> 16, version >> 8 & 0xff];
    }
    at += view.getUint32(at + 4, true);
  }
  return fail("it names no macOS");
}
