import { type AddressTest, parseFromPatterns } from './addresses.js'

/** What whoever logged in with a key or certificate may do, for the gateway to apply on top of its policy. */
export interface SshPermissions {
  readonly allowsPty: boolean
  readonly allowsPortForwarding: boolean
  readonly allowsAgentForwarding: boolean
  readonly allowsX11Forwarding: boolean
  readonly allowsUserRc: boolean
  /** Runs in place of whatever is asked for. */
  readonly forcedCommand?: string
}

/** No limits of its own: what may be done is for the policy to say. */
export const ALL_PERMISSIONS: SshPermissions = {
  allowsPty: true,
  allowsPortForwarding: true,
  allowsAgentForwarding: true,
  allowsX11Forwarding: true,
  allowsUserRc: true,
}

const NO_PERMISSIONS: SshPermissions = {
  allowsPty: false,
  allowsPortForwarding: false,
  allowsAgentForwarding: false,
  allowsX11Forwarding: false,
  allowsUserRc: false,
}

/** The options of one line of authorised keys. */
export interface SshKeyOptions {
  readonly permissions: SshPermissions
  /** Missing: from anywhere. */
  readonly isFrom?: AddressTest
  /** First moment at which the key is no longer good. */
  readonly expiresAtUnixMs?: number
  /** Security keys need not be touched. */
  readonly needsNoTouch: boolean
  /** Security keys have to ask for a PIN or a finger. */
  readonly needsVerification: boolean
}

type PermissionFlag = Exclude<keyof SshPermissions, 'forcedCommand'>

const FLAGS: Readonly<Record<string, readonly [PermissionFlag, boolean]>> = {
  pty: ['allowsPty', true],
  'no-pty': ['allowsPty', false],
  'port-forwarding': ['allowsPortForwarding', true],
  'no-port-forwarding': ['allowsPortForwarding', false],
  'agent-forwarding': ['allowsAgentForwarding', true],
  'no-agent-forwarding': ['allowsAgentForwarding', false],
  'x11-forwarding': ['allowsX11Forwarding', true],
  'no-x11-forwarding': ['allowsX11Forwarding', false],
  'user-rc': ['allowsUserRc', true],
  'no-user-rc': ['allowsUserRc', false],
}

/** An option as it is written. */
export interface WrittenOption {
  /** Lower case. */
  readonly name: string
  readonly value?: string
}

/**
 * Takes the options in front of a key apart, such as `restrict,command="echo \"x\""`.
 *
 * @returns the options and what follows them; undefined when a quotation mark does not end
 * @see sshd(8), AUTHORIZED_KEYS FILE FORMAT
 */
export function splitKeyOptions(text: string): { options: readonly WrittenOption[]; rest: string } | undefined {
  const options: WrittenOption[] = []
  let at = 0
  for (;;) {
    const match = /^([A-Za-z0-9-]+)(?:="((?:[^"\\]|\\.)*)")?(?=[, \t])/.exec(text.slice(at))
    if (match === null) return undefined
    const [whole, name = '', value] = match
    // Only the quotation mark is escaped; any other backslash stands for itself.
    options.push({
      name: name.toLowerCase(),
      ...(value === undefined ? {} : { value: value.replaceAll('\\"', '"') }),
    })
    at += whole.length
    if (text[at] !== ',') return { options, rest: text.slice(at).trimStart() }
    at++
  }
}

/**
 * What a line's options mean. Order counts for flags, as in OpenSSH: `restrict,pty` is a terminal and nothing else.
 *
 * @returns a text that says what is wrong, for an option that is not understood: it may forbid something
 */
export function readKeyOptions(written: readonly WrittenOption[]): SshKeyOptions | string {
  let permissions = ALL_PERMISSIONS
  let isFrom: AddressTest | undefined
  let expiresAtUnixMs: number | undefined
  let needsNoTouch = false
  let needsVerification = false
  for (const { name, value } of written) {
    const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined
    const hasValue = name === 'from' || name === 'expiry-time' || name === 'command'
    if (hasValue !== (value !== undefined)) return `option \`${name}\` ${hasValue ? 'needs' : 'takes no'} value`
    if (flag !== undefined) {
      permissions = { ...permissions, [flag[0]]: flag[1] }
    } else if (name === 'restrict') {
      const { forcedCommand } = permissions
      permissions = { ...NO_PERMISSIONS, ...(forcedCommand === undefined ? {} : { forcedCommand }) }
    } else if (name === 'no-touch-required') {
      needsNoTouch = true
    } else if (name === 'verify-required') {
      needsVerification = true
    } else if (name === 'command' && value !== undefined) {
      if (permissions.forcedCommand !== undefined) return 'option `command` is given twice'
      permissions = { ...permissions, forcedCommand: value }
    } else if (name === 'from' && value !== undefined) {
      if (isFrom !== undefined) return 'option `from` is given twice'
      isFrom = parseFromPatterns(value)
      if (isFrom === undefined) return 'option `from` takes addresses, blocks and patterns of addresses only'
    } else if (name === 'expiry-time' && value !== undefined) {
      const expires = parseExpiryTime(value)
      if (expires === undefined) return 'option `expiry-time` takes `YYYYMMDDZ` or `YYYYMMDDHHMM[SS]Z`, in UTC'
      expiresAtUnixMs = Math.min(expires, expiresAtUnixMs ?? Number.POSITIVE_INFINITY)
    } else if (name === 'cert-authority') {
      return 'certificate authorities are not trusted by a line of keys, but by an option of their own'
    } else {
      return `option \`${name}\` is not understood`
    }
  }
  return {
    permissions,
    ...(isFrom === undefined ? {} : { isFrom }),
    ...(expiresAtUnixMs === undefined ? {} : { expiresAtUnixMs }),
    needsNoTouch,
    needsVerification,
  }
}

/** A time without `Z` would be of a time zone that nobody knows here. */
function parseExpiryTime(text: string): number | undefined {
  const match = /^(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?Z$/i.exec(text)
  if (match === null) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map((part) => Number((part as string | undefined) ?? 0))
  const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  const isReal =
    time.getUTCFullYear() === year &&
    time.getUTCMonth() === month - 1 &&
    time.getUTCDate() === day &&
    time.getUTCHours() === hour &&
    time.getUTCMinutes() === minute &&
    time.getUTCSeconds() === second
  return isReal ? time.getTime() : undefined
}
