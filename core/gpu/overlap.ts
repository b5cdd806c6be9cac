/**
 * Keeping the GPU and the host busy at once.
 * @module
 */

/** What happens to each piece of work. */
export interface Stages<Piece, Result> {
  /** Sends a piece's work to the GPU; it may overwrite what the piece before left there. */
  submit(piece: Piece): void;
  /** Waits for a piece's work and fetches what it left. */
  read(piece: Piece): Promise<Result>;
  /** Takes in what was fetched, on the host. */
  take(piece: Piece, result: Result): void;
}

/**
 * Works through pieces so that each one's results are taken in, and the piece after the next is prepared, while the GPU works on the
 * next. Waiting blocks the thread, so a piece is sent as soon as the one before has been read, and not earlier.
 *
 * @param pieces The work, prepared in its order; preparing a piece may upload what only its own work reads.
 * @param stages Each called once per piece, in the order of the pieces.
 */
export async function overlapped<Piece, Result>(
  pieces: AsyncIterable<Piece>,
  { submit, read, take }: Stages<Piece, Result>,
): Promise<void> {
  let running: { readonly piece: Piece } | null = null;
  for await (const piece of pieces) {
    const done: { readonly piece: Piece; readonly result: Result } | null = running &&
      { piece: running.piece, result: await read(running.piece) };
    submit(piece);
    running = { piece };
    if (done) take(done.piece, done.result);
  }
  if (running) take(running.piece, await read(running.piece));
}
