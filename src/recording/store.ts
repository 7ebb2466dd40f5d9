/** One file, or whatever stands for one, that can only grow. Calls do not overlap except `close`. */
export interface SegmentWriter {
  /** Resolves when all bytes were handed over, in order. They may be reused after that. */
  write(bytes: Uint8Array): Promise<void>
  /** Resolves when everything written so far, and the segment's name, survive a power cut. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Where recordings live. Implemented over files in `gateway`, in memory here, over anything by you. */
export interface RecordStore {
  /** Creates a new segment. Must reject when the name exists: nothing is ever written over. */
  openSegment(name: string): Promise<SegmentWriter>
  read(name: string): AsyncIterable<Uint8Array>
  list(): Promise<readonly string[]>
  /**
   * Replaces everything after the first `keepBytes` of a segment that nobody writes to any more, durably.
   * Only sealing after a crash calls this; done again after a second crash it must still succeed.
   */
  replaceTail(name: string, keepBytes: number, bytes: Uint8Array): Promise<void>
}
