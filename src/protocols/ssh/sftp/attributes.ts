import type { SshReader } from '../../../core/index.js'
import * as p from './packet-types.js'

/** What of ATTRS a rule or a person may want to know. */
export interface Attributes {
  readonly hasSize: boolean
  readonly permissions?: number
  /** For people: `size`, `owner 0:0`, `mode 0644`, `times`. */
  readonly words: readonly string[]
  /** Flags nobody here knows: what they do is not known either. */
  readonly isKnown: boolean
}

/** Set-user-id, set-group-id and sticky: more than who may read. */
const SPECIAL_BITS = 0o7000

/**
 * ATTRS: uint32 flags; uint64 size where SIZE; uint32 uid, uint32 gid where UIDGID; uint32 permissions where PERMISSIONS;
 * uint32 atime, uint32 mtime where ACMODTIME. Extended attributes are not taken.
 *
 * @see draft-ietf-secsh-filexfer-02 section 5
 */
export function readAttributes(reader: SshReader): Attributes {
  const flags = reader.uint32()
  const words: string[] = []
  if ((flags & ~p.ATTRS_KNOWN) !== 0) {
    reader.rest()
    return { hasSize: true, words, isKnown: false }
  }
  let permissions: number | undefined
  if ((flags & p.ATTR_SIZE) !== 0) words.push(`size ${reader.uint64()}`)
  if ((flags & p.ATTR_UIDGID) !== 0) words.push(`owner ${reader.uint32()}:${reader.uint32()}`)
  if ((flags & p.ATTR_PERMISSIONS) !== 0) {
    permissions = reader.uint32() & 0o7777
    words.push(`mode ${modeText(permissions)}`)
  }
  if ((flags & p.ATTR_TIMES) !== 0) {
    reader.bytes(8)
    words.push('times')
  }
  return {
    hasSize: (flags & p.ATTR_SIZE) !== 0,
    ...(permissions === undefined ? {} : { permissions }),
    words,
    isKnown: true,
  }
}

export function hasSpecialBits(permissions: number | undefined): boolean {
  return permissions !== undefined && (permissions & SPECIAL_BITS) !== 0
}

/** Such as `0644`. */
export function modeText(permissions: number): string {
  return permissions.toString(8).padStart(4, '0')
}
