/** A user name as given to the SSH gateway, taken apart. */
export interface SshLoginName {
  /** Who says they log in; the part before the separator. */
  readonly user: string
  /** Where they want to go; undefined when the name does not say and the listener has to. */
  readonly target?: string
}

/** Longest user name in it; as long as Linux, LDAP and OpenSSH principals get in practice. */
const MAX_USER_LENGTH = 128
/** As long as a host name. */
const MAX_TARGET_LENGTH = 253

const USER = /^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/
const TARGET = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/

/**
 * Takes a user name apart: `alice+web-1` and `alice%web-1` are user `alice` who wants to go to target `web-1`.
 *
 *     login-name = user [ ( "+" / "%" ) target ]
 *     user       = ( ALPHA / DIGIT / "_" ) *127( ALPHA / DIGIT / "_" / "." / "-" / "@" )
 *     target     = ( ALPHA / DIGIT ) *252( ALPHA / DIGIT / "_" / "." / "-" )
 *
 * The grammar has one reading for every name: neither part may hold a separator, nothing is decoded, trimmed or folded, and
 * upper and lower case differ. A `@` in the user is possible since a client splits at the last one:
 * `ssh alice@example.com+web-1@gateway`.
 *
 * @returns undefined for a name outside of the grammar: nobody is called that
 * @example parseLoginName('alice+web-1') // { user: 'alice', target: 'web-1' }
 */
export function parseLoginName(name: string): SshLoginName | undefined {
  if (name.length > MAX_USER_LENGTH + 1 + MAX_TARGET_LENGTH) return undefined
  const separator = name.search(/[+%]/)
  const user = separator < 0 ? name : name.slice(0, separator)
  if (user.length > MAX_USER_LENGTH || !USER.test(user)) return undefined
  if (separator < 0) return { user }
  const target = name.slice(separator + 1)
  return target.length > MAX_TARGET_LENGTH || !TARGET.test(target) ? undefined : { user, target }
}
