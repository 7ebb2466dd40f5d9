import { type FileAccessMode, printableText, type SftpCommand } from '../../../core/index.js'
import type { ResolvedPath } from '../files/paths.js'
import type { ScpCommand } from './parse-command.js'
import type { ScpRecord } from './records.js'

/** Set-user-id, set-group-id and sticky: more than who may read. */
const SPECIAL_BITS = 0o7000

export type NamedRecord = Extract<ScpRecord, { readonly name: string }>

/** What a record asks for, as an operation on the target's files. */
export function describeRecord(
  record: NamedRecord,
  candidates: readonly ResolvedPath[],
  mode: ScpCommand['mode'],
): Pick<SftpCommand, 'operation' | 'files' | 'text'> {
  const isFile = record.type === 'file'
  const isSpecial = (record.mode & SPECIAL_BITS) !== 0 && mode === 'sink'
  const modes: FileAccessMode[] =
    mode === 'source' ? [isFile ? 'read' : 'list'] : isFile ? ['write', 'create'] : ['create']
  if (isSpecial) modes.push('metadata')
  const files = candidates.map(({ path, isExact }) => ({ path, modes, isRecursive: false, isExact }))
  const paths = candidates.map(({ path }) => printableText(path)).join(' or ')
  const special = isSpecial ? `mode ${record.mode.toString(8).padStart(4, '0')}` : ''
  if (mode === 'source') {
    return isFile
      ? { operation: 'open', files, text: `open ${paths} for reading` }
      : { operation: 'opendir', files, text: `opendir ${paths}` }
  }
  return isFile
    ? {
        operation: 'open',
        files,
        text: `open ${paths} for writing (${special === '' ? 'create' : `create, ${special}`})`,
      }
    : { operation: 'mkdir', files, text: `mkdir ${paths}${special === '' ? '' : ` (${special})`}` }
}
