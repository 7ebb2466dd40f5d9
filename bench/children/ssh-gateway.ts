import { createShellAnalyzer } from '../../src/analysis/shell/index.js'
import { Secret } from '../../src/core/index.js'
import { pinnedHostKeys, staticSshCredentials } from '../../src/credentials/ssh/index.js'
import { createEnforcer } from '../../src/enforcement/index.js'
import { openFileRecordStore, system } from '../../src/gateway/index.js'
import { createSshGateway } from '../../src/gateway/ssh/index.js'
import { authorizedKeys, createSshIdentity, sshTrust } from '../../src/identity/ssh/index.js'
import { createMasking } from '../../src/masking/index.js'
import { createPolicy } from '../../src/policy/index.js'
import { createRecorder } from '../../src/recording/index.js'
import { answerParent, memory, readConfig } from './answering.js'
import { profiling } from './profiling.js'
import type { SshProxyConfig } from './ssh-proxy-config.js'
import { SSH_USERS, sshPolicy } from './ssh-rules.js'

/** How the gateway under test is set up. */
export interface SshGatewayConfig extends SshProxyConfig {
  readonly ruleCount: number
  readonly recordings: string
}

const config = readConfig<SshGatewayConfig>()
const resource = { name: 'bench', protocol: 'ssh' } as const
const keys = authorizedKeys(
  Object.values(SSH_USERS).map((user) => ({
    user,
    subject: { id: user, type: 'agent' as const, groups: ['agents'] },
    keys: config.publicKey,
  })),
)
const recorder = createRecorder({
  ...system,
  store: await openFileRecordStore({ directory: config.recordings, clock: system.clock }),
  durability: 'batch',
})
const enforcer = createEnforcer({
  ...system,
  policy: createPolicy({ rules: sshPolicy(config.ruleCount) }),
  analyzers: {},
  shellAnalyzer: createShellAnalyzer(),
  masking: createMasking({ key: new Secret(system.randomBytes(32)) }),
  recorder,
})
const gateway = createSshGateway({
  listeners: [{ resource: resource.name, port: 0 }],
  resources: [
    {
      resource,
      target: { host: '127.0.0.1', port: config.target.port },
      credentials: staticSshCredentials({
        bench: { method: 'key', user: config.target.user, privateKey: new Secret(config.privateKey) },
      }),
      hostKeys: pinnedHostKeys([config.target.hostKeyLine]),
    },
  ],
  enforcer,
  identity: createSshIdentity({ trust: () => sshTrust({ authorizedKeys: keys }), clock: system.clock }),
  hostKeys: [new Secret(config.hostKey)],
  limits: { maxConnections: 10_000, maxConnectsPerSecond: 1_000_000 },
})
gateway.events.on('failed', (_info, error) => console.error('gateway:', error.code, error.message, error.cause ?? ''))
const [address] = await gateway.listen()

answerParent({ port: address?.port ?? 0 }, { memory, ...profiling() })
