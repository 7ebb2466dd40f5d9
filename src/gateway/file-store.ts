import { constants, type PathLike } from 'node:fs'
import { lstat, mkdir, open, readdir, type FileHandle } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join, resolve } from 'node:path'
import { SallyportError, type Clock } from '../core/index.js'
import {
  CLOSING_TAIL_BYTES,
  looksClosed,
  sealRecording,
  type RecordStore,
  type SegmentWriter,
} from '../recording/index.js'
import { takeDirectoryLock } from './directory-lock.js'

/** Letters, digits and few others; no separator, no leading dot. What `segmentName` makes always fits. */
const NAME = /^[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,250}$/
const SUFFIX = '.jsonl'

const { O_APPEND, O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR, O_WRONLY } = constants

export interface FileRecordStoreOptions {
  /** Made when it is missing, for its owner alone. One gateway process per directory. */
  readonly directory: string
  readonly clock: Clock
}

/** A recording that a crash left open, found at start. */
export interface LeftOpen {
  readonly name: string
  readonly tornBytes: number
  /** Set when it could not be sealed because more is wrong with it: somebody should look at it. */
  readonly error?: SallyportError
}

/**
 * Recordings as files: one directory, one process, files that are only appended to, readable by their owner alone.
 *
 * Opening it takes the directory for this process and seals what a crash of an earlier one left open.
 *
 * @throws SallyportError `recorder_unavailable` when another process records there, `invalid_option` when others may read or write there
 */
export async function openFileRecordStore(options: FileRecordStoreOptions): Promise<FileRecordStore> {
  const directory = resolve(options.directory)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await checkDirectory(directory)
  const release = await takeDirectoryLock(directory)
  try {
    const store = new FileRecordStore(directory, release)
    store.leftOpen = await sealLeftOpen(store, options.clock)
    return store
  } catch (error) {
    await release()
    throw error
  }
}

/** See {@link openFileRecordStore}. */
export class FileRecordStore implements RecordStore {
  readonly directory: string
  /** What was found open at start. */
  leftOpen: readonly LeftOpen[] = []
  readonly #release: () => Promise<void>

  constructor(directory: string, release: () => Promise<void>) {
    this.directory = directory
    this.#release = release
  }

  async openSegment(name: string): Promise<SegmentWriter> {
    // O_EXCL: an existing file is never continued or replaced, and a planted link is not followed.
    const file = await open(this.#path(name), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    return new FileSegment(file, this.directory)
  }

  async *read(name: string): AsyncIterable<Uint8Array> {
    yield* createReadStream(this.#path(name), { highWaterMark: 262_144 })
  }

  async list(): Promise<readonly string[]> {
    const names = await readdir(this.directory)
    return names.filter((name) => name.endsWith(SUFFIX) && NAME.test(name)).sort()
  }

  async replaceTail(name: string, keepBytes: number, bytes: Uint8Array): Promise<void> {
    const file = await open(this.#path(name), O_RDWR | O_NOFOLLOW)
    try {
      // First the new bytes over the old, then the cut: a crash in between leaves a torn tail again, never less than was good.
      await writeAll(file, bytes, keepBytes)
      await file.truncate(keepBytes + bytes.length)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  /** The last bytes of a segment, `count` at most. */
  async readTail(name: string, count: number): Promise<Uint8Array> {
    const file = await open(this.#path(name), O_RDONLY | O_NOFOLLOW)
    try {
      const { size } = await file.stat()
      const start = Math.max(0, size - count)
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }

  /** Gives the directory back. Close all sessions first. */
  close(): Promise<void> {
    return this.#release()
  }

  #path(name: string): string {
    if (NAME.test(name) && name.endsWith(SUFFIX)) return join(this.directory, name)
    throw new SallyportError('misuse', `\`${name.slice(0, 100)}\` cannot be the name of a recording`)
  }
}

class FileSegment implements SegmentWriter {
  readonly #file: FileHandle
  readonly #directory: string
  #isNameSafe = false
  #isClosed = false

  constructor(file: FileHandle, directory: string) {
    this.#file = file
    this.#directory = directory
  }

  write(bytes: Uint8Array): Promise<void> {
    return writeAll(this.#file, bytes, null)
  }

  async sync(): Promise<void> {
    await this.#file.datasync()
    if (this.#isNameSafe) return
    // A new file survives a power cut only when its directory was synced too.
    await syncDirectory(this.#directory)
    this.#isNameSafe = true
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#file.close()
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number | null): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at)
    // Fails closed: a file system that takes nothing without an error would make this loop for ever.
    if (bytesWritten === 0) throw new SallyportError('recorder_unavailable', 'the file system took no bytes')
    done += bytesWritten
  }
}

async function syncDirectory(directory: PathLike): Promise<void> {
  // Windows cannot open directories; its file systems do not need it.
  if (process.platform === 'win32') return
  const handle = await open(directory, O_RDONLY | O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function checkDirectory(directory: string): Promise<void> {
  const stat = await lstat(directory)
  if (!stat.isDirectory()) throw new SallyportError('invalid_option', `\`${directory}\` is not a directory`)
  if (process.platform === 'win32' || (stat.mode & 0o077) === 0) return
  const mode = (stat.mode & 0o777).toString(8)
  // Fails closed: who may write here can replace evidence, who may read here sees every statement.
  throw new SallyportError('invalid_option', `expected \`${directory}\` to have mode 700, got ${mode}`)
}

async function sealLeftOpen(store: FileRecordStore, clock: Clock): Promise<readonly LeftOpen[]> {
  const found: LeftOpen[] = []
  for (const name of await store.list()) {
    if (looksClosed(await store.readTail(name, CLOSING_TAIL_BYTES))) continue
    try {
      const { sealed, tornBytes } = await sealRecording(store, name, clock.nowUnixMs())
      if (sealed) found.push({ name, tornBytes })
    } catch (error) {
      if (!(error instanceof SallyportError) || error.code !== 'recording_invalid') throw error
      found.push({ name, tornBytes: 0, error })
    }
  }
  return found
}
