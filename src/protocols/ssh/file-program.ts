import type { ShellFacts, ShellSimpleCommand } from '../../core/index.js'
import { parseScpCommand, type ScpCommand } from './scp/index.js'

/** A protocol of files, spoken where a command line runs its far end. */
export type FileProgram = { readonly kind: 'sftp' } | { readonly kind: 'scp'; readonly command: ScpCommand }

const SFTP_SERVERS: ReadonlySet<string> = new Set(['sftp-server', 'internal-sftp'])

/** Redirections could feed it something else than what the client sends. */
const REDIRECTION = /[<>]/

/**
 * Whether a command line runs nothing but the far end of SFTP or scp, in plain sight, so that what the client sends is read by
 * it and by nobody else.
 */
export function fileProgram(text: string, facts: ShellFacts): FileProgram | undefined {
  const [command, ...others] = facts.commands
  if (command === undefined || others.length > 0 || facts.certainty === 'unparsed' || REDIRECTION.test(text))
    return undefined
  if (command.wrappers.length > 0 || command.isRemote) return undefined
  return programOf(command)
}

/** Whether it runs one in another way: then what is done with files passes as bytes that nobody here reads. */
export function hidesFileProgram(facts: ShellFacts): boolean {
  return facts.commands.some((command) => !command.isRemote && programOf(command) !== undefined)
}

function programOf({ program, arguments: words }: ShellSimpleCommand): FileProgram | undefined {
  if (program === undefined) return undefined
  if (SFTP_SERVERS.has(program)) return { kind: 'sftp' }
  if (program !== 'scp') return undefined
  const scp = parseScpCommand([program, ...words])
  return scp === undefined ? undefined : { kind: 'scp', command: scp }
}
