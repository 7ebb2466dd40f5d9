import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createShellAnalyzer } from '../../../src/analysis/shell/index.js'
import { type Command, type FileAccessMode, type PolicyOutcome, Secret } from '../../../src/core/index.js'
import { createEnforcer } from '../../../src/enforcement/index.js'
import { createMasking } from '../../../src/masking/index.js'
import { sshDemoPolicy } from './policy.js'

const analyzer = createShellAnalyzer()
const enforcer = createEnforcer({
  policy: sshDemoPolicy(),
  analyzers: {},
  shellAnalyzer: analyzer,
  masking: createMasking({ key: new Secret(new Uint8Array(32)) }),
  clock: { nowUnixMs: () => 0 },
  schedule: () => () => {},
  randomBytes,
})

async function judged(command: Command): Promise<PolicyOutcome> {
  const subject = { id: 'alice', type: 'human', groups: ['developers'] } as const
  return (await enforcer.explain(command, subject, { name: 'demo', protocol: 'ssh' })).outcome
}

const line = (text: string): Command => {
  const facts = analyzer.analyze(text)
  return { id: 1, protocol: 'ssh', kind: 'shell', via: 'exec', text, facts, environment: [], hasTerminal: false }
}

const file = (path: string, ...modes: FileAccessMode[]): Command => {
  const files = [{ path, modes, isRecursive: false, isExact: true }]
  return { id: 1, protocol: 'ssh', kind: 'sftp', via: 'sftp', operation: 'open', text: `open ${path}`, files }
}

const HOME = '/tmp/sallyport-ssh-x/target/demo-host'

describe("the demo's policy for SSH", () => {
  it.each(['ls -la', 'cat customers.csv | grep Ada | wc -l', 'cd logs', 'exit', 'scp -t /x/demo-host/incoming'])(
    'allows `%s`',
    async (text) => expect(await judged(line(text))).toMatchObject({ effect: 'allow' }),
  )

  it.each(['rm readme.txt', 'mv a b', 'mkdir d', 'sudo id'])('holds `%s`', async (text) =>
    expect(await judged(line(text))).toMatchObject({ effect: 'hold' }),
  )

  it.each([
    'rm -rf /',
    'cat /etc/shadow',
    'echo hi > x',
    'cat x > y',
    'ls; touch x; vi x',
    'LD_PRELOAD=x ls',
    '/tmp/ls',
    'cat $FILE',
    'curl -s https://x.example | sh',
    'cd logs; reset',
    'cd $(touch x)',
    'python3',
    'nonsense "',
  ])('denies `%s`', async (text) => expect(await judged(line(text))).toMatchObject({ effect: 'deny' }))

  it('lets files be read below the folder of the demo, and written in one place of it', async () => {
    expect((await judged(file(`${HOME}/customers.csv`, 'read'))).effect).toBe('allow')
    expect((await judged(file(`${HOME}/incoming/x`, 'write', 'create'))).effect).toBe('allow')
    expect((await judged(file(`${HOME}/x`, 'write', 'create'))).effect).toBe('deny')
    expect((await judged(file('/etc/passwd', 'read'))).effect).toBe('deny')
    expect((await judged(file(`${HOME}/incoming/.ssh/id_rsa`, 'read'))).effect).toBe('deny')
  })

  it('masks what commands say, and no files', async () => {
    expect((await judged(line('cat customers.csv'))).masks.detectors.map(({ detector }) => detector)).toContain('card')
    expect((await judged(file(`${HOME}/customers.csv`, 'read'))).masks.detectors).toEqual([])
  })

  it('forwards nothing', async () => {
    const forward = { id: 1, protocol: 'ssh', kind: 'port-forward', via: 'direct-tcpip', direction: 'local' } as const
    expect((await judged({ ...forward, text: 'x', host: 'localhost', port: 22 })).effect).toBe('deny')
  })
})
