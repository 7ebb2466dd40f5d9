import type { FileAccess, FileAccessMode } from '../core/index.js'
import { plain } from './plain.js'

const VERBS: Readonly<Record<FileAccessMode, string>> = {
  read: 'reads',
  write: 'writes',
  create: 'creates',
  delete: 'deletes',
  execute: 'runs',
  metadata: 'changes owner, mode or times of',
  list: 'lists',
}

/** Modes from harmful to harmless: the most harmful is what an approver has to see first. */
const ORDER: readonly FileAccessMode[] = ['delete', 'write', 'create', 'metadata', 'execute', 'read', 'list']

/** One line per file, the harmful ones first: `deletes /etc recursively`. */
export function describeFiles(files: readonly FileAccess[]): string[] {
  const sorted = [...files].sort((left, right) => harmOf(left) - harmOf(right))
  return sorted.map((file) => {
    const verbs = ORDER.filter((mode) => file.modes.includes(mode)).map((mode) => VERBS[mode])
    const below = file.isRecursive ? ' recursively' : ''
    const about = file.isExact ? '' : ', or other files: only running it would tell'
    return `${verbs.join(', ')} ${plain(file.path)}${below}${about}`
  })
}

function harmOf(file: FileAccess): number {
  const places = file.modes.map((mode) => ORDER.indexOf(mode))
  return places.length === 0 ? ORDER.length : Math.min(...places)
}
