import {
  decodeSshPublicKey,
  isSshKeyType,
  readSshKeyLine,
  SallyportError,
  type SshPublicKey,
  type Subject,
} from '../../core/index.js'
import { readKeyOptions, splitKeyOptions, type SshKeyOptions } from './key-options.js'

/** A key somebody may log in with. */
export interface AuthorizedKey {
  readonly key: SshPublicKey
  readonly subject: Subject
  readonly options: SshKeyOptions
}

/** Somebody's keys. */
export interface AuthorizedKeysEntry {
  readonly subject: Subject
  /** The name given at log-in. Default: the subject's id. */
  readonly user?: string
  /** Text in the form of an `authorized_keys` file. */
  readonly keys: string
}

/** Keys by the name given at log-in. */
export interface AuthorizedKeys {
  of(user: string): readonly AuthorizedKey[]
}

const MAX_LINE_LENGTH = 16_384

/**
 * Reads who may log in with which keys. Options that are not understood are refused, and so are certificates, weak keys and
 * keys of SHA-1 times: a line that is skipped is a surprise, and one whose limits are skipped is a hole.
 *
 * @throws SallyportError `invalid_option`, naming the user and the line
 * @see sshd(8), AUTHORIZED_KEYS FILE FORMAT
 * @example
 * authorizedKeys([{ subject: { id: 'alice' }, keys: 'restrict,pty,from="10.0.0.0/8" ssh-ed25519 AAAA... alice@laptop' }])
 */
export function authorizedKeys(entries: readonly AuthorizedKeysEntry[]): AuthorizedKeys {
  const byUser = new Map<string, AuthorizedKey[]>()
  for (const { subject, user = subject.id, keys } of entries) {
    const list = byUser.get(user) ?? []
    for (const [index, line] of keys.split(/\r?\n/).entries()) {
      const text = line.trim()
      if (text === '' || text.startsWith('#')) continue
      try {
        list.push({ ...parseAuthorizedKeyLine(text), subject })
      } catch (cause) {
        if (!(cause instanceof SallyportError)) throw cause
        throw new SallyportError('invalid_option', `line ${index + 1} of the keys of \`${user}\`: ${cause.message}`, {
          cause,
        })
      }
    }
    byUser.set(user, list)
  }
  return { of: (user) => byUser.get(user) ?? [] }
}

/**
 * One line: options, type, base64, comment.
 *
 * @throws SallyportError `invalid_option`
 */
export function parseAuthorizedKeyLine(line: string): { readonly key: SshPublicKey; readonly options: SshKeyOptions } {
  if (line.length > MAX_LINE_LENGTH) {
    throw new SallyportError('invalid_option', `line of ${line.length} characters, more than ${MAX_LINE_LENGTH}`)
  }
  const text = line.trim()
  const first = text.split(/[ \t]/, 1)[0] ?? ''
  const split =
    isSshKeyType(first) || first.includes('-cert-v01@') ? { options: [], rest: text } : splitKeyOptions(text)
  if (split === undefined) throw new SallyportError('invalid_option', 'expected options, then a key')
  const options = readKeyOptions(split.options)
  if (typeof options === 'string') throw new SallyportError('invalid_option', options)
  return { key: decodeSshPublicKey(readSshKeyLine(split.rest).blob, 'invalid_option'), options }
}
