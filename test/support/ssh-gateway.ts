import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryBroker } from '../../src/approval/index.js'
import { type Resource, Secret, type Subject } from '../../src/core/index.js'
import { createShellAnalyzer } from '../../src/analysis/shell/index.js'
import {
  type HostKeys,
  pinnedHostKeys,
  type SshCredentialProvider,
  staticSshCredentials,
} from '../../src/credentials/ssh/index.js'
import { createEnforcer, type Enforcer, type EnforcerOptions } from '../../src/enforcement/index.js'
import { system } from '../../src/gateway/index.js'
import { createSshGateway, type SshGateway, type SshGatewayLimits } from '../../src/gateway/ssh/index.js'
import { authorizedKeys, createSshIdentity, type SshIdentity, sshTrust } from '../../src/identity/ssh/index.js'
import { createMasking } from '../../src/masking/index.js'
import { createPolicy, type Rule } from '../../src/policy/index.js'
import { createRecorder, type Durability, MemoryRecordStore, type RecordStore } from '../../src/recording/index.js'
import { makeKey, type SshdServer } from './sshd.js'

/** The one user whom {@link startSshGateway} lets in by default. */
export const ALICE: Subject = { id: 'alice', type: 'agent', groups: ['agents'] }

export interface TestSshGatewayOptions {
  readonly server: SshdServer
  /** Default: everything is allowed, nothing masked. */
  readonly rules?: readonly Rule[]
  readonly identity?: SshIdentity
  readonly credentials?: SshCredentialProvider
  readonly hostKeys?: HostKeys
  readonly limits?: SshGatewayLimits
  readonly store?: RecordStore
  readonly durability?: Durability
  readonly isRecording?: boolean
  readonly enforcer?: Partial<EnforcerOptions>
  /** The listener leads to the one target, whatever the user name says. Default: the user name has to say. */
  readonly isBound?: boolean
}

export interface TestSshGateway {
  readonly port: number
  readonly gateway: SshGateway
  readonly enforcer: Enforcer
  readonly broker: ReturnType<typeof createMemoryBroker>
  readonly store: RecordStore
  /** Private key of {@link ALICE}. */
  readonly keyFile: string
  /** A folder for a test's files. */
  readonly folder: string
  /** What every OpenSSH program needs to reach the gateway as `alice+web`, as `-o` options. */
  readonly sshOptions: readonly string[]
  /** Arguments and environment of `ssh` through the gateway. */
  sshArgs(args: readonly string[], options?: SshRun): string[]
  readonly env: NodeJS.ProcessEnv
  /** `ssh` through the gateway; `args` follow the host. */
  ssh(args: readonly string[], options?: SshRun): Promise<SshResult>
  /** The same, still running. */
  spawnSsh(args: readonly string[], options?: SshRun): ChildProcessWithoutNullStreams
  /** The same command on the same server, without the gateway between. */
  direct(args: readonly string[], options?: SshRun): Promise<SshResult>
  directArgs(args: readonly string[], options?: SshRun): string[]
  stop(): Promise<void>
}

export interface SshRun {
  readonly input?: string | Buffer
  /** Options before the host; of two values the first counts, so these do. */
  readonly options?: readonly string[]
  /** Default `alice+web`. */
  readonly login?: string
  readonly env?: NodeJS.ProcessEnv
}

export interface SshResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** The same without a reading of it. */
  readonly bytes: { readonly stdout: Buffer; readonly stderr: Buffer }
}

export const ALLOW_ALL: Rule = { id: 'allow-all', effect: 'allow', evenIfUnparsed: true }

/** The whole stack in front of a real server, on a free port of the loopback. */
export async function startSshGateway(options: TestSshGatewayOptions): Promise<TestSshGateway> {
  const { server } = options
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-ssh-'))
  const keyFile = join(folder, 'alice')
  makeKey(keyFile, 'ed25519')
  makeKey(join(folder, 'host'), 'ed25519')
  const resource: Resource = { name: 'web', protocol: 'ssh', tags: { environment: 'test' } }
  const store = options.store ?? new MemoryRecordStore()
  const broker = createMemoryBroker(system)
  const enforcer = createEnforcer({
    ...system,
    policy: createPolicy({ rules: options.rules ?? [ALLOW_ALL] }),
    masking: createMasking({ key: new Secret(new Uint8Array(32).fill(7)) }),
    broker,
    analyzers: {},
    shellAnalyzer: createShellAnalyzer(),
    ...(options.isRecording === false
      ? {}
      : { recorder: createRecorder({ ...system, store, durability: options.durability ?? 'batch' }) }),
    ...options.enforcer,
  })
  const gateway = createSshGateway({
    listeners: [{ port: 0, ...(options.isBound === true ? { resource: 'web' } : {}) }],
    resources: [
      {
        resource,
        target: { host: server.host, port: server.port },
        credentials:
          options.credentials ??
          staticSshCredentials({
            web: { method: 'key', user: server.user, privateKey: new Secret(server.privateKey) },
          }),
        hostKeys: options.hostKeys ?? pinnedHostKeys([server.hostKeyLine]),
      },
    ],
    enforcer,
    identity: options.identity ?? keysOf(keyFile),
    hostKeys: [new Secret(readFileSync(join(folder, 'host'), 'utf8'))],
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  const [address] = await gateway.listen()
  if (address === undefined) throw new Error('the gateway has no listener')
  const hostKey = readFileSync(join(folder, 'host.pub'), 'utf8').trim()
  const knownHosts = join(folder, 'known_hosts')
  const ofServer = server.hostKeyLine.split(' ').slice(0, 2).join(' ')
  writeFileSync(knownHosts, `[127.0.0.1]:${address.port} ${hostKey}\n[127.0.0.1]:${server.port} ${ofServer}\n`)
  const sshOptions = [
    ['-F', '/dev/null'],
    ['-o', `UserKnownHostsFile=${knownHosts}`],
    ['-o', 'GlobalKnownHostsFile=/dev/null'],
    ['-o', 'StrictHostKeyChecking=yes'],
    ['-o', 'IdentitiesOnly=yes'],
    ['-o', 'IdentityAgent=none'],
    ['-o', `IdentityFile=${keyFile}`],
    ['-o', 'BatchMode=yes'],
    ['-o', 'LogLevel=ERROR'],
  ].flat()
  const env = { PATH: process.env['PATH'], HOME: folder, TERM: 'xterm' }
  const sshArgs = (args: readonly string[], run: SshRun = {}): string[] => [
    ...(run.options ?? []),
    ...sshOptions,
    ...['-p', String(address.port), `${run.login ?? 'alice+web'}@127.0.0.1`],
    ...args,
  ]
  const directArgs = (args: readonly string[], run: SshRun = {}): string[] => [
    ...(run.options ?? []),
    // Of two values the first counts; of two identity files both do.
    ...sshOptions.map((option) =>
      option === `IdentityFile=${keyFile}` ? `IdentityFile=${server.privateKeyFile}` : option,
    ),
    ...['-p', String(server.port), `${run.login ?? server.user}@127.0.0.1`],
    ...args,
  ]
  const start = (args: readonly string[], run: SshRun): ChildProcessWithoutNullStreams =>
    spawn('ssh', args, { env: { ...env, ...run.env }, stdio: 'pipe' })
  return {
    port: address.port,
    gateway,
    enforcer,
    broker,
    store,
    keyFile,
    folder,
    sshOptions,
    env,
    sshArgs,
    spawnSsh: (args, run = {}) => start(sshArgs(args, run), run),
    ssh: (args, run = {}) => finished(start(sshArgs(args, run), run), run.input),
    directArgs,
    direct: (args, run = {}) => finished(start(directArgs(args, run), run), run.input),
    stop: async () => {
      await gateway.drain(500)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Waits for a program's end. */
export async function finished(child: ChildProcessWithoutNullStreams, input?: string | Buffer): Promise<SshResult> {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      const bytes = { stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) }
      resolve({ code, signal, stdout: bytes.stdout.toString(), stderr: bytes.stderr.toString(), bytes })
    })
  })
}

function keysOf(keyFile: string): SshIdentity {
  const keys = authorizedKeys([{ user: 'alice', subject: ALICE, keys: readFileSync(`${keyFile}.pub`, 'utf8') }])
  return createSshIdentity({ trust: () => sshTrust({ authorizedKeys: keys }), clock: system.clock })
}
