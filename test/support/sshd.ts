import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'

/** How a test wants its server. Everything has a default. */
export interface SshdOptions {
  /** Lines of `sshd_config`, put before the defaults, so that they count. */
  readonly settings?: readonly string[]
  /** Public keys let in besides the one that is made. */
  readonly authorizedKeys?: readonly string[]
  /** Lines of `environment`-like variables sshd may be sent. Default: `AcceptEnv LANG LC_* TEST_*`. */
  readonly acceptEnv?: string
  /** Lets the user in by this password too. Needs a compiler. */
  readonly password?: string
}

export interface SshdServer {
  readonly host: string
  readonly port: number
  /** Who may log in: an unprivileged user whom sshd itself runs as. */
  readonly user: string
  /** A private key that lets them in, in OpenSSH's format, and the file it is in. */
  readonly privateKey: string
  readonly privateKeyFile: string
  /** Of the server: base64 of the blob, as in known_hosts. */
  readonly hostKey: Buffer
  readonly hostKeyLine: string
  /** A folder of that user's, for files. */
  readonly home: string
  log(): string
  /** Ends the server and removes its files. Idempotent. */
  stop(): Promise<void>
}

const SSHD = '/usr/sbin/sshd'
const SFTP_SERVER = '/usr/lib/openssh/sftp-server'
const START_TIMEOUT_MS = 20_000

/**
 * Starts an OpenSSH server of its own on a free port, as an unprivileged user where we are root.
 *
 * @throws where it is not installed: a test that needs a server fails without one
 */
export async function startSshd(options: SshdOptions = {}): Promise<SshdServer> {
  if (!existsSync(SSHD)) throw new Error(`no ${SSHD}: install openssh-server`)
  const runAs = unprivilegedUser()
  const root = mkdtempSync('/tmp/sallyport-sshd-')
  const own = (path: string): void => {
    if (runAs !== undefined) chownSync(path, runAs.uid, runAs.gid)
  }
  chmodSync(root, 0o755)
  own(root)
  const home = join(root, 'home')
  mkdirSync(home)
  own(home)
  const hostKeyFile = join(root, 'host_key')
  makeKey(hostKeyFile, 'ed25519')
  own(hostKeyFile)
  const privateKeyFile = join(root, 'client_key')
  makeKey(privateKeyFile, 'ed25519')
  const authorized = join(root, 'authorized_keys')
  const keys = [readFileSync(`${privateKeyFile}.pub`, 'utf8').trim(), ...(options.authorizedKeys ?? [])]
  writeFileSync(authorized, `${keys.join('\n')}\n`)
  own(authorized)
  const port = await freePort()
  const config = join(root, 'sshd_config')
  writeFileSync(
    config,
    [
      ...(options.settings ?? []),
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKeyFile}`,
      `AuthorizedKeysFile ${authorized}`,
      'PidFile none',
      'UsePAM no',
      'PermitUserRC no',
      'StrictModes no',
      `PasswordAuthentication ${options.password === undefined ? 'no' : 'yes'}`,
      'KbdInteractiveAuthentication no',
      'MaxSessions 100',
      'MaxStartups 100',
      'AllowTcpForwarding yes',
      'AllowStreamLocalForwarding yes',
      'AllowAgentForwarding yes',
      'GatewayPorts clientspecified',
      'X11Forwarding yes',
      'PrintMotd no',
      options.acceptEnv ?? 'AcceptEnv LANG LC_* TEST_*',
      `Subsystem sftp ${SFTP_SERVER}`,
      '',
    ].join('\n'),
  )
  let log = ''
  const sshd = ['-D', '-e', '-f', config]
  const child = spawn(
    runAs === undefined ? SSHD : 'setpriv',
    runAs === undefined ? sshd : [...asUser(runAs), SSHD, ...sshd],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: home,
      env: {
        PATH: process.env['PATH'],
        HOME: home,
        ...preloaded(root, [
          ...(options.password === undefined ? [] : [passwordSource(options.password)]),
          ...(canGiveTerminals() ? [] : [NO_TTY_GROUP_SOURCE]),
        ]),
      },
    },
  )
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString()
  })
  const stop = makeStop(child, root)
  try {
    await listening(child, () => log)
  } catch (error) {
    await stop()
    throw error
  }
  const hostKeyLine = readFileSync(`${hostKeyFile}.pub`, 'utf8').trim()
  return {
    host: '127.0.0.1',
    port,
    user: runAs?.name ?? userInfo().username,
    privateKey: readFileSync(privateKeyFile, 'utf8'),
    privateKeyFile,
    hostKey: Buffer.from(hostKeyLine.split(' ')[1] ?? '', 'base64'),
    hostKeyLine,
    home,
    log: () => log,
    stop,
  }
}

/**
 * Only root may read passwords, and nobody's is known to a test: the server is lent a `getspnam` that answers with this one
 * for everybody. What checks it is still the server's own code.
 */
function passwordSource(password: string): string {
  const { stdout } = spawnSync('openssl', ['passwd', '-6', '-stdin'], { input: password, encoding: 'utf8' })
  return `#include <shadow.h>
static struct spwd entry = { "", "${stdout.trim()}", 20000, 0, 99999, 7, -1, -1, 0 };
struct spwd *getspnam(const char *name) { entry.sp_namp = (char *)name; return &entry; }
`
}

/**
 * Terminals belong to group \`tty\`, which the server gives them to where the kernel does not: nobody but root or a member may.
 * Without such a group it leaves them as they are.
 */
const NO_TTY_GROUP_SOURCE = `#include <grp.h>
struct group *getgrnam(const char *name) { return 0; }
`

function canGiveTerminals(): boolean {
  const tty = /^tty:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))?.[1]
  if (tty === undefined || process.getuid?.() === 0 || process.getgroups?.().includes(Number(tty))) return true
  return new RegExp(`^\\S+ /dev/pts devpts \\S*\\bgid=${tty}\\b`, 'm').test(readFileSync('/proc/mounts', 'utf8'))
}

/** What a server that is not root is lent in place of parts of the C library. Needs a compiler where that is anything. */
function preloaded(folder: string, sources: readonly string[]): NodeJS.ProcessEnv {
  if (sources.length === 0) return {}
  const source = join(folder, 'lent.c')
  writeFileSync(source, sources.join(''))
  const library = join(folder, 'lent.so')
  const args = ['-x', 'c', '-shared', '-fPIC', '-o', library, source]
  const { status, stderr } = spawnSync('g++', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`g++: ${stderr}`)
  chmodSync(library, 0o755)
  return { LD_PRELOAD: library }
}

/** Makes a key pair in `file` and `file.pub`. */
export function makeKey(file: string, type: 'ed25519' | 'ecdsa' | 'rsa', ...more: readonly string[]): void {
  runKeygen('-q', '-N', '', '-t', type, '-f', file, ...more)
}

/** @throws with what ssh-keygen says */
export function runKeygen(...args: readonly string[]): void {
  const { status, stderr } = spawnSync('ssh-keygen', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ssh-keygen ${args.join(' ')}: ${stderr}`)
}

interface User {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** A user with a shell, to log in as; undefined where we are one ourselves. */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name = '', , uid, gid, , , shell = ''] = line.split(':')
    if (Number(uid) > 0 && /\/(ba|da)?sh$/.test(shell)) return { name, uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('there is no unprivileged user with a shell')
}

/** In group `tty` besides, or it could not give terminals to the group they belong to. */
function asUser(user: User): string[] {
  const tty = /^tty:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))?.[1]
  return [`--reuid=${user.uid}`, `--regid=${user.gid}`, `--groups=${user.gid}${tty === undefined ? '' : `,${tty}`}`]
}

/** A port that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'))
        else resolve(address.port)
      })
    })
  })
}

function listening(child: ChildProcess, log: () => string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`sshd did not start: ${log()}`)), START_TIMEOUT_MS)
    child.once('exit', () => {
      clearTimeout(timer)
      reject(new Error(`sshd has ended: ${log()}`))
    })
    child.stderr?.on('data', () => {
      if (!log().includes('Server listening')) return
      clearTimeout(timer)
      resolve()
    })
  })
}

function makeStop(child: ChildProcess, root: string): () => Promise<void> {
  let stopped: Promise<void> | undefined
  return () => {
    stopped ??= new Promise((resolve) => {
      const done = (): void => {
        rmSync(root, { recursive: true, force: true })
        resolve()
      }
      if (child.exitCode !== null || child.signalCode !== null) return done()
      child.once('exit', done)
      child.kill('SIGTERM')
    })
    return stopped
  }
}
