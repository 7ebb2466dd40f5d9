import type { ShellFacts } from '../../core/index.js'
import { parseScpCommand, type ScpCommand } from './scp/index.js'

/** A protocol of files, spoken where a command line runs its far end. */
export type FileProgram = { readonly kind: 'sftp' } | { readonly kind: 'scp'; readonly command: ScpCommand }

const SFTP_SERVERS: ReadonlySet<string> = new Set(['sftp-server', 'internal-sftp'])

/**
 * Whether a command line runs nothing but the far end of SFTP or scp, in plain sight. Whoever hides it has run a command like
 * any other: what rules say of command lines is what holds for it.
 */
export function fileProgram(facts: ShellFacts): FileProgram | undefined {
  const [command, ...others] = facts.commands
  if (command === undefined || others.length > 0 || facts.certainty === 'unparsed') return undefined
  if (command.wrappers.length > 0 || command.program === undefined || command.isRemote) return undefined
  if (SFTP_SERVERS.has(command.program)) return { kind: 'sftp' }
  if (command.program !== 'scp') return undefined
  const scp = parseScpCommand([command.program, ...command.arguments])
  return scp === undefined ? undefined : { kind: 'scp', command: scp }
}
