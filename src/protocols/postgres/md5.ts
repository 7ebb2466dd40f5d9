import { createHash } from 'node:crypto'
import type { Secret } from '../../core/index.js'

/**
 * The answer to AuthenticationMD5Password: `md5` and the hash of the salt behind the hash of password and user name.
 *
 * @param salt the four bytes the server sent
 * @see https://www.postgresql.org/docs/18/protocol-flow.html
 */
export function md5Response(user: string, password: Secret<string>, salt: Uint8Array): string {
  const inner = createHash('md5').update(password.expose(), 'utf8').update(user, 'utf8').digest('hex')
  return `md5${createHash('md5').update(inner, 'latin1').update(salt).digest('hex')}`
}
