import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeKey, type SshdServer, startSshd } from '../test/support/sshd.js'
import { buildChildren } from './build-children.js'
import { Child } from './child.js'
import type { SshTargetConfig } from './children/ssh-proxy-config.js'
import { RULE_COUNT } from './world.js'

/** One way from a client to a target. */
export interface SshContender {
  readonly name: 'direct' | 'relay' | 'gateway'
  readonly port: number
  readonly user: string
  /** Of the process in between. Undefined: there is none. */
  readonly pid?: number
}

export interface SshProxy {
  readonly contender: SshContender
  readonly child: Child
}

/** Something to log in to. */
export interface SshTarget extends SshTargetConfig {
  readonly name: 'sshd' | 'null server'
}

/** Everything that is measured, up and running. */
export interface SshWorld {
  readonly sshd: SshdServer
  /** OpenSSH's. */
  readonly real: SshTarget
  /** Without programs behind it. */
  readonly empty: SshTarget
  /** A client in a process of its own. */
  readonly client: Child
  /** Private key that is let in everywhere. */
  readonly keyFile: string
  /** For files of the client's side. */
  readonly folder: string
  startRelay(target: SshTarget): Promise<SshProxy>
  /** A gateway with the full policy. */
  startGateway(target: SshTarget): Promise<SshProxy>
  stop(): Promise<void>
}

export async function createSshWorld(): Promise<SshWorld> {
  const files = await buildChildren()
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-ssh-'))
  const keyFile = join(folder, 'key')
  const hostKeyFile = join(folder, 'host_key')
  makeKey(keyFile, 'ed25519')
  makeKey(hostKeyFile, 'ed25519')
  const hostKey = readFileSync(hostKeyFile, 'utf8')
  const privateKey = readFileSync(keyFile, 'utf8')
  const publicKey = readFileSync(`${keyFile}.pub`, 'utf8').trim()
  const sshd = await startSshd({ authorizedKeys: [publicKey], settings: ['MaxStartups 1000'] })
  const children: Child[] = []
  const start = async (file: string, config: object, nodeOptions: readonly string[] = []) => {
    const started = await Child.start(file, config, nodeOptions)
    children.push(started.child)
    return started
  }
  const { child: client } = await start(files['ssh-client'], { privateKey })
  const { ready } = await start(files['ssh-null-server'], { hostKey })
  const proxy = (name: SshContender['name'], user: string, child: Child, port: number | undefined): SshProxy => ({
    contender: { name, user, port: port as number, pid: child.pid },
    child,
  })
  return {
    sshd,
    real: { name: 'sshd', port: sshd.port, user: sshd.user, hostKeyLine: sshd.hostKeyLine },
    empty: {
      name: 'null server',
      port: ready.port as number,
      user: 'bench',
      hostKeyLine: readFileSync(`${hostKeyFile}.pub`, 'utf8').trim(),
    },
    client,
    keyFile,
    folder,
    startRelay: async (target) => {
      const config = { target, hostKey, privateKey, publicKey }
      const { child, ready } = await start(files['ssh-relay'], config, ['--expose-gc', '--enable-source-maps'])
      return proxy('relay', target.user, child, ready.port)
    },
    startGateway: async (target) => {
      const recordings = join(folder, `recordings-${children.length}`)
      mkdirSync(recordings, { mode: 0o700 })
      const config = { target, hostKey, privateKey, publicKey, ruleCount: RULE_COUNT, recordings }
      const { child, ready } = await start(files['ssh-gateway'], config, ['--expose-gc', '--enable-source-maps'])
      return proxy('gateway', 'open', child, ready.port)
    },
    stop: async () => {
      for (const child of children) await child.stop()
      await sshd.stop()
      rmSync(folder, { recursive: true, force: true })
      rmSync(join(files['ssh-relay'], '..'), { recursive: true, force: true })
    },
  }
}

/** Straight to a target. */
export function directTo({ port, user }: SshTarget): SshContender {
  return { name: 'direct', port, user }
}
