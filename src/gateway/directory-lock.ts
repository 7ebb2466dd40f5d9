import { open, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { SallyportError } from '../core/index.js'

export const LOCK_FILE = '.lock'

interface Holder {
  readonly pid: number
  /** When the process began: tells a restarted process that got the same number (usual in containers) from its predecessor. */
  readonly startedAtUnixMs: number
}

/**
 * Takes a directory for this process. The lock of a process that is gone is taken over.
 *
 * @returns gives it back; idempotent
 * @throws SallyportError `recorder_unavailable` while another process, or this one, holds it
 */
export async function takeDirectoryLock(directory: string): Promise<() => Promise<void>> {
  const path = join(directory, LOCK_FILE)
  const mine: Holder = { pid: process.pid, startedAtUnixMs: Math.trunc(performance.timeOrigin) }
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await tryCreate(path, JSON.stringify(mine))) {
      let isHeld = true
      return async () => {
        if (!isHeld) return
        isHeld = false
        await unlink(path)
      }
    }
    const holder = await directoryHolder(directory)
    if (holder !== undefined) {
      throw new SallyportError('recorder_unavailable', `process ${holder} records into \`${directory}\` already`)
    }
    // Moved away rather than removed: of two processes that find the same stale lock, one moves it and the other starts over.
    const stale = `${path}.${process.pid}.stale`
    try {
      await rename(path, stale)
      await unlink(stale)
    } catch (error) {
      if (!isMissing(error)) throw error
    }
  }
  throw new SallyportError('recorder_unavailable', `the lock of \`${directory}\` cannot be taken`)
}

/** The number of the living process that records into a directory, if one does. */
export async function directoryHolder(directory: string): Promise<number | undefined> {
  let text: string
  try {
    text = await readFile(join(directory, LOCK_FILE), 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const holder = parseHolder(text)
  // A lock cut short by a crash was never held.
  if (holder === undefined) return undefined
  if (holder.pid === process.pid) {
    return holder.startedAtUnixMs === Math.trunc(performance.timeOrigin) ? holder.pid : undefined
  }
  return isAlive(holder.pid) ? holder.pid : undefined
}

async function tryCreate(path: string, text: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600)
    await file.writeFile(text)
    await file.close()
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startedAtUnixMs' in value))
      return undefined
    const { pid, startedAtUnixMs } = value
    return Number.isSafeInteger(pid) && typeof pid === 'number' && pid > 0 && typeof startedAtUnixMs === 'number'
      ? { pid, startedAtUnixMs }
      : undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, under another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
