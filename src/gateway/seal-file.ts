import { basename, dirname, resolve } from 'node:path'
import { SallyportError, type Clock } from '../core/index.js'
import { sealRecording, type SealResult } from '../recording/index.js'
import { directoryHolder } from './directory-lock.js'
import { FileRecordStore } from './file-store.js'

/**
 * Seals one recording file by hand.
 *
 * @throws SallyportError `recorder_unavailable` while a process records into its directory,
 * `recording_invalid` when more is wrong with it than a missing end
 */
export async function sealRecordingFile(path: string, clock: Clock): Promise<SealResult> {
  const directory = dirname(resolve(path))
  const holder = await directoryHolder(directory)
  if (holder !== undefined) {
    throw new SallyportError(
      'recorder_unavailable',
      `process ${holder} records into \`${directory}\` and may still write`,
    )
  }
  return sealRecording(new FileRecordStore(directory, async () => undefined), basename(path), clock.nowUnixMs())
}
