import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import ssh2, {
  type AuthContext,
  type Connection,
  type ParsedKey,
  type PseudoTtyInfo,
  type ServerChannel,
  type Session,
} from 'ssh2'
import type { DemoTarget, PreparedTarget } from './types.js'

const SFTP_SERVER = '/usr/lib/openssh/sftp-server'
/** Gives a program a terminal; every Debian has it. */
const SCRIPT = '/usr/bin/script'

/**
 * A demo target: lets the gateway in by its key and runs what it is asked to with bash. It is for trying the gateway where no SSH
 * server is installed, and nothing to build on: it has no limits and isolates nothing.
 */
export async function startBuiltInTarget(prepared: PreparedTarget): Promise<DemoTarget> {
  const children = new Set<ChildProcess>()
  const clients = new Set<Connection>()
  const allowed = readKey(prepared.authorizedKey)
  const server = new ssh2.Server({ hostKeys: [prepared.hostKey], ident: 'sallyport-demo-target' }, (client) => {
    clients.add(client)
    client.on('authentication', (context) => authenticate(context, prepared.account.name, allowed))
    client.on('session', (accept) => serve(accept(), prepared, children))
    client.on('error', () => undefined)
    client.on('close', () => clients.delete(client))
  })
  const stop = async (): Promise<void> => {
    for (const child of children) signal(child, 'SIGHUP')
    for (const client of clients) client.end()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  process.once('exit', () => {
    for (const child of children) signal(child, 'SIGHUP')
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
  const { account, home } = prepared
  return { kind: 'built-in', host: '127.0.0.1', port, user: account.name, home, hasSftp: existsSync(SFTP_SERVER), stop }
}

function authenticate(context: AuthContext, user: string, allowed: ParsedKey): void {
  if (context.method !== 'publickey' || context.username !== user) return context.reject(['publickey'])
  if (!allowed.getPublicSSH().equals(context.key.data)) return context.reject(['publickey'])
  const { signature, blob, hashAlgo } = context
  // Without a signature it is only asked whether this key would do.
  if (signature === undefined || blob === undefined) return context.accept()
  if (allowed.verify(blob, signature, hashAlgo) === true) context.accept()
  else context.reject(['publickey'])
}

function serve(session: Session, prepared: PreparedTarget, children: Set<ChildProcess>): void {
  const environment: Record<string, string> = {}
  let terminal: DemoTerminal | undefined
  let child: ChildProcess | undefined
  const run = (channel: ServerChannel, command: string): void => {
    child = start(prepared, command, terminal, environment)
    children.add(child)
    child.once('close', () => child !== undefined && children.delete(child))
    join(channel, child)
  }
  session.on('env', (accept, _reject, { key, val }) => {
    if (/^(?:LANG|LC_\w+)$/.test(key)) environment[key] = val
    accept?.()
  })
  session.on('pty', (accept, reject, info) => {
    if (!existsSync(SCRIPT)) return reject?.()
    terminal = readTerminal(info)
    accept?.()
  })
  session.on('window-change', (accept) => accept?.())
  session.on('signal', (accept, _reject, { name }) => {
    if (child !== undefined) signal(child, `SIG${name}`)
    accept?.()
  })
  session.on('exec', (accept, _reject, { command }) => run(accept(), command))
  session.on('shell', (accept) => run(accept(), 'exec bash --login -i'))
  session.on('subsystem', (accept, reject, { name }) => {
    if (name === 'sftp' && existsSync(SFTP_SERVER)) run(accept(), `exec ${SFTP_SERVER}`)
    else reject()
  })
}

function start(
  { home, account }: PreparedTarget,
  command: string,
  terminal: DemoTerminal | undefined,
  environment: Readonly<Record<string, string>>,
): ChildProcess {
  const [program, args] = terminal === undefined ? ['bash', ['-c', command]] : withTerminal(command, terminal)
  return spawn(program, args, {
    cwd: home,
    env: {
      ...environment,
      PATH: '/usr/local/bin:/usr/bin:/bin',
      HOME: home,
      USER: account.name,
      LOGNAME: account.name,
      SHELL: '/bin/bash',
      ...(terminal === undefined ? {} : { TERM: terminal.term }),
    },
    detached: true,
    ...account.ids,
  })
}

/** Of what its client asked for. ssh2 reads no more of a terminal than this, and not always that. */
interface DemoTerminal {
  readonly term: string
  readonly rows: number
  readonly columns: number
}

function readTerminal(info: Partial<PseudoTtyInfo> | undefined): DemoTerminal {
  return { term: info?.term || 'dumb', rows: info?.rows || 24, columns: info?.cols || 80 }
}

/** Without echo: the gateway shows what is typed where it edits the lines itself, and the demo lets in no other shells. */
function withTerminal(command: string, { rows, columns }: DemoTerminal): [string, string[]] {
  const sized = `stty rows ${rows} cols ${columns} -echo 2>/dev/null; ${command}`
  return [SCRIPT, ['--quiet', '--flush', '--return', '--command', sized, '/dev/null']]
}

function join(channel: ServerChannel, child: ChildProcess): void {
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) return
  stdin.on('error', () => undefined)
  channel.pipe(stdin)
  stdout.pipe(channel, { end: false })
  stderr.pipe(channel.stderr, { end: false })
  channel.on('error', () => undefined)
  channel.on('close', () => signal(child, 'SIGHUP'))
  const end = (code: number | null, name: NodeJS.Signals | null): void => {
    if (name !== null) channel.exit(name.slice('SIG'.length))
    else channel.exit(code ?? 127)
    channel.end()
  }
  child.once('error', () => end(127, null))
  child.once('close', end)
}

/** To the program and all that it has started. */
function signal(child: ChildProcess, name: string): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, name)
  } catch {
    // It has ended by itself.
  }
}

function readKey(text: string): ParsedKey {
  const parsed: ParsedKey | Error = ssh2.utils.parseKey(text)
  if (parsed instanceof Error) throw parsed
  return Array.isArray(parsed) ? (parsed[0] as ParsedKey) : parsed
}
