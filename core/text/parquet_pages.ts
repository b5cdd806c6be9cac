/**
 * The pages of a parquet file's columns, checked before they are decoded: checksums, sizes, and every count inside of them. hyparquet takes
 * what a page says of itself for true, and so loops for ever over some damaged ones, or fills memory, or passes over values in silence.
 * @module
 */

import { crc32 } from "node:zlib";
import type { ColumnMetaData, FileMetaData, PageHeader, SchemaTree } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { parquetSchema } from "hyparquet";
import { undoPage } from "./parquet_codecs.ts";
import { damage, PageReader, readDifferences, readRuns } from "./parquet_runs.ts";
import { checkTextBytes } from "./utf8.ts";

/** A page's values at most: so many nulls take no byte of the file. */
const MOST_VALUES = 2 ** 26;

/** A column of a row group, with what its pages must agree with. */
interface ColumnChunk {
  readonly begin: number;
  readonly end: number;
  readonly metadata: ColumnMetaData;
  /** The deepest levels of its values. */
  readonly repetition: number;
  readonly definition: number;
  /** Values of its dictionary; null before that was seen. */
  dictionary: number | null;
}

/** Checks the bytes of a file as they are read. */
export interface PageGuard {
  /**
   * Checks the pages in a range of the file; other ranges, such as those of its footer, pass.
   *
   * @param start The range's first byte.
   * @param bytes The range.
   * @throws {UserError} When a page is larger than a text may be.
   * @throws {Error} Saying what is wrong with a page.
   */
  check(start: number, bytes: Uint8Array): void;
}

/**
 * Makes a guard for a file.
 *
 * @internal Its footer is hyparquet's.
 * @param metadata The file's footer.
 * @param path The file, for messages.
 * @returns The guard.
 */
export function guardPages(metadata: FileMetaData, path: string): PageGuard {
  const chunks: ColumnChunk[] = [], indexes = new Set<number>(), schema = parquetSchema(metadata);
  const rows = metadata.row_groups.reduce((sum, { num_rows }) => sum + num_rows, 0n);
  if (rows !== metadata.num_rows) throw damage(`its groups have ${rows} rows, it is to have ${metadata.num_rows}`);
  for (const { columns, num_rows } of metadata.row_groups) {
    for (const { meta_data: metadata, offset_index_offset: index } of columns) {
      if (index !== undefined) indexes.add(Number(index));
      if (metadata === undefined) continue;
      const begin = Number(metadata.dictionary_page_offset || metadata.data_page_offset);
      const end = begin + Number(metadata.total_compressed_size), levels = levelsOf(schema, metadata.path_in_schema);
      if (levels.repetition === 0 && metadata.num_values !== num_rows) {
        throw damage(`a column has ${metadata.num_values} values in ${num_rows} rows`);
      }
      chunks.push({ begin, end, metadata, ...levels, dictionary: null });
    }
  }
  return {
    check(start, bytes) {
      const end = start + bytes.length;
      if (indexes.has(start)) return;
      // Neighbouring columns may be read at once, and pages of one column by themselves.
      const around = chunks.find((chunk) => chunk.begin <= start && end <= chunk.end);
      const within = chunks.filter((chunk) => start <= chunk.begin && chunk.end <= end);
      if (around) return checkPages(bytes, around, path);
      if (within.length === 0) throw damage(`its pages are said to lie at byte ${start}, where no column is`);
      for (const chunk of within) checkPages(bytes.subarray(chunk.begin - start, chunk.end - start), chunk, path);
    },
  };
}

function levelsOf(schema: SchemaTree, path: readonly string[]): Pick<ColumnChunk, "repetition" | "definition"> {
  let repetition = 0, definition = 0, node: SchemaTree | undefined = schema;
  for (const name of path) {
    node = node.children.find(({ element }) => element.name === name);
    if (node === undefined) throw damage(`it has no column ${path.join(".")}`);
    const { repetition_type: type } = node.element;
    if (type === "REPEATED") repetition++;
    if (type !== "REQUIRED") definition++;
  }
  return { repetition, definition };
}

function checkPages(bytes: Uint8Array, chunk: ColumnChunk, path: string): void {
  let values = 0;
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
  while (reader.offset < bytes.length) {
    const header = parquetHeader(reader), { compressed_page_size: size, uncompressed_page_size: undone } = header;
    if (!(size >= 0 && reader.offset + size <= bytes.length)) {
      throw damage(`a page of ${size} bytes is longer than its column`);
    }
    if (!(undone >= 0)) throw damage(`a page is to have ${undone} bytes`);
    checkTextBytes(undone, path);
    const page = bytes.subarray(reader.offset, reader.offset + size);
    if (header.crc !== undefined && crc32(page) !== header.crc >>> 0) {
      throw damage("a page's checksum does not fit its bytes");
    }
    values += checkPage(header, page, chunk);
    reader.offset += size;
  }
  const { begin, end, metadata: { num_values } } = chunk, isWhole = bytes.length === end - begin;
  if (isWhole && values !== Number(num_values)) {
    throw damage(`a column's pages have ${values} values, it is to have ${num_values}`);
  }
}

/** Returns the values that a page holds of its column. */
function checkPage(header: PageHeader, page: Uint8Array, chunk: ColumnChunk): number {
  const { metadata: { codec }, repetition, definition } = chunk, { uncompressed_page_size: size } = header;
  const { dictionary_page_header: dictionary, data_page_header: one, data_page_header_v2: two } = header;
  if (header.type === "DICTIONARY_PAGE" && dictionary) {
    const count = requireCount(dictionary.num_values);
    checkPlain(new PageReader(undoPage(page, codec, size)), count, chunk);
    chunk.dictionary = count;
    return 0;
  }
  if (header.type === "DATA_PAGE" && one) {
    const count = requireCount(one.num_values), reader = new PageReader(undoPage(page, codec, size));
    if (repetition > 0) readLevels(reader.part(reader.u32()), repetition, count);
    const nulls = definition > 0 ? readLevels(reader.part(reader.u32()), definition, count) : 0;
    checkValues(reader, one.encoding, count - nulls, chunk);
    return count;
  }
  if (header.type === "DATA_PAGE_V2" && two) {
    const { repetition_levels_byte_length: repeated, definition_levels_byte_length: defined } = two;
    const count = requireCount(two.num_values), levels = repeated + defined;
    if (repetition > 0) readLevels(new PageReader(page, 0, repeated), repetition, count);
    const nulls = definition > 0 ? readLevels(new PageReader(page, repeated, defined), definition, count) : 0;
    if (nulls !== two.num_nulls) throw damage(`a page has ${nulls} nulls, its header says ${two.num_nulls}`);
    const rest = page.subarray(levels), isCompressed = two.is_compressed !== false;
    const values = isCompressed ? undoPage(rest, codec, size - levels) : rest;
    checkValues(new PageReader(values), two.encoding, count - nulls, chunk);
    return count;
  }
  throw damage(`a page is of the type ${header.type}`);
}

function requireCount(count: number): number {
  if (count >= 0 && count <= MOST_VALUES) return count;
  throw damage(`a page is to have ${count} values`);
}

/** Reads levels; returns how many are below the deepest. */
function readLevels(reader: PageReader, deepest: number, count: number): number {
  let below = 0;
  readRuns(reader, 32 - Math.clz32(deepest), count, (level, times) => {
    if (level > deepest) throw damage(`a level is ${level} where ${deepest} is the deepest`);
    if (level < deepest) below += times;
  });
  return below;
}

function checkValues(reader: PageReader, encoding: string, count: number, chunk: ColumnChunk): void {
  // Of other types only the columns of text are read.
  if (chunk.metadata.type !== "BYTE_ARRAY") return;
  switch (encoding) {
    case "PLAIN":
      return checkPlain(reader, count, chunk);
    case "PLAIN_DICTIONARY":
    case "RLE_DICTIONARY":
      return checkIndices(reader, count, chunk);
    case "DELTA_LENGTH_BYTE_ARRAY":
      return skipAll(reader, readDifferences(reader, count));
    case "DELTA_BYTE_ARRAY":
      return checkFrontCoded(reader, count);
    default:
      throw damage(`text is encoded as ${encoding}`);
  }
}

function checkPlain(reader: PageReader, count: number, { metadata: { type } }: ColumnChunk): void {
  if (type !== "BYTE_ARRAY") return;
  for (let i = 0; i < count; i++) reader.skip(reader.u32());
}

function checkIndices(reader: PageReader, count: number, { dictionary }: ColumnChunk): void {
  if (dictionary === null) throw damage("a page needs a dictionary that is not there");
  const width = reader.byte(),
    beyond = (index: number) => {
      if (index >= dictionary) throw damage(`a value is number ${index} of a dictionary of ${dictionary}`);
    };
  // Without bits, all are the first.
  if (width > 0) readRuns(reader, width, count, beyond);
  else if (count > 0) beyond(0);
}

function skipAll(reader: PageReader, lengths: Float64Array): void {
  for (const length of lengths) reader.skip(length);
}

/** Each value is the beginning of the one before it, and what follows; so a small page may hold much text. */
function checkFrontCoded(reader: PageReader, count: number): void {
  const kept = readDifferences(reader, count), more = readDifferences(reader, count);
  let before = 0, all = 0;
  for (let i = 0; i < count; i++) {
    if (!(kept[i] >= 0 && kept[i] <= before)) throw damage(`a value begins with ${kept[i]} of ${before} bytes`);
    reader.skip(more[i]);
    before = kept[i] + more[i];
    checkTextBytes(all += before, "a page of a parquet file");
  }
}
