import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Subject } from '../../../src/core/index.js'
import { pinnedHostKeys, staticSshCredentials } from '../../../src/credentials/ssh/index.js'
import type { Enforcer } from '../../../src/enforcement/index.js'
import { system } from '../../../src/gateway/index.js'
import { createSshGateway, type SshGateway } from '../../../src/gateway/ssh/index.js'
import { authorizedKeys, createSshIdentity, sshTrust } from '../../../src/identity/ssh/index.js'
import { makeDemoKey, writePrivate } from './keys.js'
import { startDemoTarget } from './target.js'
import type { DemoTarget, TargetKind } from './types.js'

export interface SshDemoOptions {
  readonly enforcer: Enforcer
  /** Who may log in, under their own id. */
  readonly subject: Subject
  readonly port: number
  readonly targetKind: TargetKind | undefined
  /** Undefined: a temporary folder. */
  readonly dataDir: string | undefined
  readonly isKept: boolean
  print(text: string): void
}

export interface SshDemo {
  readonly gateway: SshGateway
  readonly target: DemoTarget
  /** The commands to try, one a line. */
  readonly lines: string
  /** Behind the gateway's own end. */
  stop(): Promise<void>
}

const RESOURCE = 'demo'

/** A listener for SSH before a small host of the demo's own, with keys that are new at every start. */
export async function startSshDemo(options: SshDemoOptions): Promise<SshDemo> {
  const { enforcer, subject, dataDir } = options
  const directory = dataDir === undefined ? await temporaryFolder() : resolve(dataDir, 'ssh')
  await mkdir(directory, { recursive: true })
  const userKey = makeDemoKey()
  const gatewayKey = makeDemoKey()
  const targetKey = makeDemoKey()
  const loginKey = makeDemoKey()
  const target = await startDemoTarget(
    {
      directory: join(directory, 'target'),
      hostKey: targetKey.privateKey.expose(),
      authorizedKey: loginKey.publicKey,
    },
    options.targetKind,
    options.print,
  )
  const trust = sshTrust({ authorizedKeys: authorizedKeys([{ subject, keys: userKey.publicKey }]) })
  const gateway = createSshGateway({
    enforcer,
    listeners: [{ port: options.port }],
    resources: [
      {
        resource: { name: RESOURCE, protocol: 'ssh', tags: { environment: 'demo' } },
        target: { host: target.host, port: target.port },
        credentials: staticSshCredentials({
          [RESOURCE]: { method: 'key', user: target.user, privateKey: loginKey.privateKey },
        }),
        hostKeys: pinnedHostKeys([targetKey.publicKey]),
      },
    ],
    identity: createSshIdentity({ trust: () => trust, clock: system.clock }),
    hostKeys: [gatewayKey.privateKey],
  })
  const [address] = await gateway.listen()
  const port = address?.port ?? options.port
  const login = `${subject.id}+${RESOURCE}`
  const keyFile = join(directory, 'id')
  const knownHosts = join(directory, 'known_hosts')
  const config = join(directory, 'config')
  await writePrivate(keyFile, userKey.privateKey.expose())
  await writeFile(knownHosts, `[127.0.0.1]:${port} ${gatewayKey.publicKey}\n`)
  await writeFile(
    config,
    [
      `Host ${RESOURCE}`,
      '  HostName 127.0.0.1',
      `  Port ${port}`,
      `  User ${login}`,
      `  IdentityFile ${keyFile}`,
      '  IdentitiesOnly yes',
      `  UserKnownHostsFile ${knownHosts}`,
      '  StrictHostKeyChecking yes',
      '',
    ].join('\n'),
  )
  return {
    gateway,
    target,
    lines: describe({ port, login, keyFile, knownHosts, config, target }),
    stop: async () => {
      await target.stop()
      if (dataDir === undefined && !options.isKept) await rm(directory, { recursive: true, force: true })
    },
  }
}

function describe(at: {
  readonly port: number
  readonly login: string
  readonly keyFile: string
  readonly knownHosts: string
  readonly config: string
  readonly target: DemoTarget
}): string {
  const { home, hasSftp } = at.target
  const scp = `scp ${hasSftp ? '' : '-O '}-F ${at.config}`
  // Of the older protocol's relative paths it is not known what they name, and what is not known is refused.
  const remote = `${RESOURCE}:${hasSftp ? '' : `${home}/`}`
  return [
    `  ssh -i ${at.keyFile} -o UserKnownHostsFile=${at.knownHosts} -p ${at.port} ${at.login}@127.0.0.1 'ls'`,
    '',
    'The same with a file of settings:',
    `  ssh -F ${at.config} ${RESOURCE} 'cat customers.csv'         # masked`,
    `  ssh -F ${at.config} ${RESOURCE} 'rm -rf /'                  # refused`,
    `  ssh -F ${at.config} ${RESOURCE} 'rm readme.txt'             # held until somebody approves`,
    `  ssh -F ${at.config} ${RESOURCE}                             # a guarded shell: each line is judged`,
    `  ${scp} ${remote}logs/app.log /tmp           # a file that may be read`,
    `  ${scp} package.json ${remote}incoming/      # and one to a place that may be written to`,
    `  ssh -F ${at.config} -N -o ExitOnForwardFailure=yes -R 0:localhost:22 ${RESOURCE}   # refused`,
  ].join('\n')
}

/** Only its owner may read it, but the target's user must be able to enter. */
async function temporaryFolder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-ssh-'))
  await chmod(directory, 0o711)
  return directory
}
