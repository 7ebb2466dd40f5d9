import { link, readFile, rename, unlink, writeFile } from 'node:fs/promises'
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
      let isMine = true
      return async () => {
        if (!isMine) return
        isMine = false
        await unlink(path)
      }
    }
    const holder = await directoryHolder(directory)
    if (holder !== undefined) {
      throw new SallyportError('recorder_unavailable', `process ${holder} records into \`${directory}\` already`)
    }
    await removeStale(path)
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
  return isHeld(holder) ? holder.pid : undefined
}

/** Linked into place, so that a lock is never seen without what it says. */
async function tryCreate(path: string, text: string): Promise<boolean> {
  const own = `${path}.${process.pid}`
  await writeFile(own, text, { mode: 0o600 })
  try {
    await link(own, path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    await unlink(own)
  }
}

/** Moved away rather than removed: what another process put there in the meantime is noticed and put back. */
async function removeStale(path: string): Promise<void> {
  const moved = `${path}.${process.pid}.stale`
  try {
    await rename(path, moved)
    if (isHeld(parseHolder(await readFile(moved, 'utf8')))) await link(moved, path)
    await unlink(moved)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

function isHeld(holder: Holder | undefined): holder is Holder {
  if (holder === undefined) return false
  return holder.pid === process.pid
    ? holder.startedAtUnixMs === Math.trunc(performance.timeOrigin)
    : isAlive(holder.pid)
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
