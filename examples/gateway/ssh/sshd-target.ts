import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Account } from './account.js'
import { writePrivate } from './keys.js'
import type { DemoTarget, PreparedTarget } from './types.js'

const SFTP_SERVERS = ['/usr/lib/openssh/sftp-server', '/usr/libexec/openssh/sftp-server', '/usr/libexec/sftp-server']
const SETPRIV = '/usr/bin/setpriv'
const START_TIMEOUT_MS = 10_000

/** OpenSSH's server on a free port of the loopback, as an ordinary user: it can let in nobody but that user. */
export async function startSshd(sshd: string, prepared: PreparedTarget): Promise<DemoTarget> {
  const { directory, account, home, own } = prepared
  const hostKey = join(directory, 'host_key')
  const authorizedKeys = join(directory, 'authorized_keys')
  await writePrivate(hostKey, prepared.hostKey)
  await own(hostKey)
  await writeFile(authorizedKeys, `${prepared.authorizedKey}\n`)
  const sftp = SFTP_SERVERS.find((file) => existsSync(file))
  const port = await freePort()
  const config = join(directory, 'sshd_config')
  // Everything starts in the demo's directory; the account's own files of profile and settings take no part.
  const begin = join(directory, 'begin')
  await writeFile(
    begin,
    `cd '${home}' || exit 1\n[ -n "$SSH_ORIGINAL_COMMAND" ] || exec bash --login -i\nexec bash -c "$SSH_ORIGINAL_COMMAND"\n`,
  )
  await writeFile(
    config,
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${authorizedKeys}`,
      `AllowUsers ${account.name}`,
      'PidFile none',
      'UsePAM no',
      'StrictModes no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'AllowTcpForwarding no',
      'AllowAgentForwarding no',
      'X11Forwarding no',
      'PermitUserRC no',
      'PrintMotd no',
      'AcceptEnv LANG LC_*',
      `SetEnv HOME=${home}`,
      `ForceCommand sh ${begin}`,
      ...(sftp === undefined ? [] : [`Subsystem sftp ${sftp} -d ${home}`]),
      '',
    ].join('\n'),
  )
  const args = ['-D', '-e', '-f', config]
  const prefix = asAccount(account)
  const server = spawn(prefix[0] ?? sshd, prefix.length === 0 ? args : [...prefix.slice(1), sshd, ...args], {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home },
    stdio: ['ignore', 'ignore', 'pipe'],
    // Ctrl-C is for the gateway: it tells its sessions first.
    detached: true,
    ...(prefix.length === 0 ? account.ids : {}),
  })
  await listening(server)
  const target = {
    kind: 'sshd',
    host: '127.0.0.1',
    port,
    user: account.name,
    home,
    hasSftp: sftp !== undefined,
  } as const
  return { ...target, stop: () => stop(server) }
}

/** In group `tty` besides, or on some systems it could not give terminals to the group they belong to. */
function asAccount({ ids }: Account): readonly string[] {
  if (ids === undefined || !existsSync(SETPRIV)) return []
  const tty = /^tty:[^:]*:(\d+):/m.exec(readFileSync('/etc/group', 'utf8'))?.[1]
  const groups = tty === undefined ? `${ids.gid}` : `${ids.gid},${tty}`
  return [SETPRIV, `--reuid=${ids.uid}`, `--regid=${ids.gid}`, `--groups=${groups}`]
}

function listening(server: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let log = ''
    const timer = setTimeout(() => {
      server.kill('SIGTERM')
      reject(new Error('it did not answer in time'))
    }, START_TIMEOUT_MS)
    server.stderr?.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-2_000)
      if (!log.includes('Server listening')) return
      clearTimeout(timer)
      resolve()
    })
    server.once('error', reject)
    server.once('exit', () => {
      clearTimeout(timer)
      reject(new Error(log))
    })
    process.once('exit', () => server.kill('SIGTERM'))
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
}

async function stop(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  await ended
}
