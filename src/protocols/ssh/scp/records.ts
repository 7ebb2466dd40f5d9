import { decodePath } from '../files/paths.js'

/** What a sender says before content, or in its place. */
export type ScpRecord =
  | {
      readonly type: 'file' | 'directory'
      readonly mode: number
      readonly size: number
      readonly name: string
      readonly isUtf8: boolean
      /** Why nobody may make a file of that name. */
      readonly problem?: string
    }
  | { readonly type: 'directory-end' }
  | { readonly type: 'times' }
  | { readonly type: 'error'; readonly isFatal: boolean }

const FILE = /^([CD])([0-7]{4}) (\d{1,16}) (.*)$/s
const TIMES = /^T\d{1,19} \d{1,6} \d{1,19} \d{1,6}$/
const CONTROL = /\p{Cc}/u

/**
 * One line of a sender, without its newline:
 * `C0644 12 name`, `D0755 0 name`, `E`, `T1700000000 0 1700000000 0`, or 0x01 or 0x02 and a text.
 *
 * @returns undefined for anything else
 */
export function parseScpRecord(line: Buffer): ScpRecord | undefined {
  const first = line[0]
  if (first === 0x01 || first === 0x02) return { type: 'error', isFatal: first === 0x02 }
  const decoded = decodePath(line)
  if (decoded === undefined) return undefined
  const { text, isUtf8 } = decoded
  if (text === 'E') return { type: 'directory-end' }
  if (TIMES.test(text)) return { type: 'times' }
  const [, letter, mode = '', size = '', name = ''] = FILE.exec(text) ?? []
  const bytes = Number(size)
  if (letter === undefined || !Number.isSafeInteger(bytes)) return undefined
  const problem = nameProblem(name)
  return {
    type: letter === 'C' ? 'file' : 'directory',
    mode: Number.parseInt(mode, 8),
    size: bytes,
    name,
    isUtf8,
    ...(problem === undefined ? {} : { problem }),
  }
}

/** A name is one part of a path: anything else would leave the directory it is meant for. */
function nameProblem(name: string): string | undefined {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) return 'the name of a file is a path'
  if (CONTROL.test(name)) return 'the name of a file has control characters'
  return undefined
}
