import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fitsWildcards, SallyportError, Secret, sshPublicKeyOf, type Subject } from '../../core/index.js'
import { tokens, TokenStore } from '../index.js'
import { parseAddress, parseAddressBlock, showAddress } from './addresses.js'
import {
  authorizedKeys,
  createSshAuthentication,
  createSshIdentity,
  devicePrompt,
  parseLoginName,
  sshTrust,
  tokenPrompt,
  type DevicePoll,
  type SshAnswer,
  type SshAsk,
  type SshAuthOutcome,
  type SshAuthStep,
  type SshIdentityOptions,
} from './index.js'
import { NOW_UNIX_MS, query, signed } from './ssh.test-support.js'

const alice: Subject = { id: 'alice' }
const bob: Subject = { id: 'bob' }

describe('a login name', () => {
  it('has one reading', () => {
    const target = 'web-1'
    expect(parseLoginName('alice')).toEqual({ user: 'alice' })
    expect(parseLoginName('alice+web-1')).toEqual({ user: 'alice', target })
    expect(parseLoginName('alice%web-1')).toEqual({ user: 'alice', target })
    expect(parseLoginName('a.b-c_d@example.com+web-1')).toEqual({ user: 'a.b-c_d@example.com', target })
    expect(parseLoginName('alice+db.example.com')).toEqual({ user: 'alice', target: 'db.example.com' })
    const wrong = [
      '',
      '+',
      '+web',
      'alice+',
      'alice%',
      'a+b+c',
      'a+b%c',
      'a%%b',
      '-a',
      '.a',
      'a b',
      ' a',
      'a\n',
      'a\0',
      'é',
    ]
    for (const name of [
      ...wrong,
      'a+-b',
      'a+.b',
      'a+b:22',
      'a+b/c',
      'a+b@c',
      `${'a'.repeat(129)}`,
      `a+${'b'.repeat(254)}`,
    ]) {
      expect(parseLoginName(name)).toBeUndefined()
    }
  })

  it('is taken apart without loss, or not at all', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'aB0_.-@+%: \n'), maxLength: 12 }), (text) => {
        const name = parseLoginName(text)
        if (name === undefined) return
        const { user, target } = name
        const forms = target === undefined ? [user] : [`${user}+${target}`, `${user}%${target}`]
        expect(forms).toContain(text)
      }),
    )
  })
})

describe('an address', () => {
  it('is read and shown as it is written elsewhere', () => {
    const same = ['0.0.0.0', '255.255.255.255', '::', '::1', '2001:db8::1', 'fe80::1:0:0:1', '1:2:3:4:5:6:7:8']
    for (const text of same) expect(showAddress(parseAddress(text) ?? [])).toBe(text)
    expect(showAddress(parseAddress('2001:0DB8:0:0:0:0:0:1') ?? [])).toBe('2001:db8::1')
    expect(showAddress(parseAddress('::ffff:10.0.0.1') ?? [])).toBe('10.0.0.1')
    expect(showAddress(parseAddress('fe80::1%eth0') ?? [])).toBe('fe80::1')
    for (const wrong of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '256.1.1.1',
      '01.1.1.1',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '12345::',
      'g::',
      '1:2:3:4:5:6:7:8:9',
      '1.2.3.4::',
      '1::2:3:4:5:6:7:8',
    ]) {
      expect(parseAddress(wrong)).toBeUndefined()
    }
  })

  it('block has no bits behind its prefix', () => {
    expect(parseAddressBlock('10.0.0.0/8')).toEqual({ address: [10, 0, 0, 0], bits: 8 })
    expect(parseAddressBlock('0.0.0.0/0')?.bits).toBe(0)
    expect(parseAddressBlock('2001:db8::/33')?.bits).toBe(33)
    for (const wrong of [
      '10.0.0.1/8',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0.0/33',
      '::/129',
      '2001:db8:8000::/32',
      'x/8',
      '10.0.0.0/8/8',
    ]) {
      expect(parseAddressBlock(wrong)).toBeUndefined()
    }
  })

  it('pattern fits as a regular expression would', () => {
    const unit = fc.constantFrom(...'ab.*?')
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab.'), maxLength: 8 }),
        fc.string({ unit, maxLength: 6 }),
        (text, pattern) => {
          const source = pattern.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')
          expect(fitsWildcards(text, pattern)).toBe(new RegExp(`^${source}$`).test(text))
        },
      ),
    )
  })
})

const key = generateKeyPairSync('ed25519').privateKey
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const line = (of: KeyObject): string => {
  const { type, blob } = sshPublicKeyOf(of)
  return `${type} ${Buffer.from(blob).toString('base64')}`
}

describe('authorised keys', () => {
  const read = (keys: string): string | undefined => {
    try {
      authorizedKeys([{ subject: alice, keys }])
      return undefined
    } catch (error) {
      if (error instanceof SallyportError) return `${error.code}: ${error.message}`
      throw error
    }
  }

  it('are read with the options that are understood, in their order', () => {
    const text = `# comment\n\n${line(key)} a comment\r\nrestrict,PTY,command="echo \\"a b\\" # \\\\x, y" ${line(key)}\n`
    const [first, second] = authorizedKeys([{ subject: alice, keys: text }]).of('alice')
    expect(first?.options.permissions).toMatchObject({ allowsPty: true, allowsPortForwarding: true })
    expect(second?.options.permissions).toEqual({
      allowsPty: true,
      allowsPortForwarding: false,
      allowsAgentForwarding: false,
      allowsX11Forwarding: false,
      allowsUserRc: false,
      forcedCommand: 'echo "a b" # \\\\x, y',
    })
    expect(authorizedKeys([{ subject: alice, user: 'al', keys: line(key) }]).of('alice')).toEqual([])
    expect(authorizedKeys([{ subject: alice, user: 'al', keys: line(key) }]).of('al')).toHaveLength(1)
    expect(authorizedKeys([]).of('__proto__')).toEqual([])
  })

  it('with options that are not understood are refused, by line', () => {
    const options = [
      'permitopen="*:22"',
      'environment="A=b"',
      'tunnel="0"',
      'no-such',
      'cert-authority',
      'principals="a"',
    ]
    const malformed = [
      'from',
      'pty="x"',
      'from="example.com"',
      'from="10.0.0.1/8"',
      'from="*.example.com"',
      'from=""',
      'command="a" b',
      'command="a',
      'from="1.1.1.1",from="1.1.1.1"',
      ',pty',
      'pty,',
    ]
    const times = ['20300101', '20301301Z', '20300230Z', '2030Z', '203001010000000Z', 'never']
    for (const option of [...options, ...malformed, ...times.map((time) => `expiry-time="${time}"`)]) {
      expect(read(`${line(key)}\n${option} ${line(key)}`)).toMatch(/^invalid_option: line 2 of the keys of `alice`: /)
    }
    for (const wrong of ['ssh-dss AAAA', 'x', 'ssh-ed25519', line(key).slice(0, -8)]) expect(read(wrong)).toBeDefined()
  })

  it('are read or refused, whatever is in the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab-=", \\\n#Z'), maxLength: 40 }), (text) => {
        read(`${text} ${line(key)}`)
        read(text)
      }),
    )
  })
})

describe('the state of a log-in', () => {
  const proved = (subject: Subject, proof?: string): SshAuthOutcome => ({
    outcome: 'proved',
    subject,
    ...(proof === undefined ? {} : { proof }),
  })
  const request = (method: string, user = 'alice', service = 'ssh-connection') => ({ user, service, method })

  it('accepts after one method where one is enough', () => {
    const login = createSshAuthentication()
    expect(login.begin(request('none'))).toEqual({ step: 'reject', methodsLeft: ['publickey'] })
    expect(login.begin(request('publickey'))).toEqual({ step: 'judge', method: 'publickey' })
    expect(login.settle({ outcome: 'acceptable' })).toEqual({ step: 'acceptable' })
    login.begin(request('publickey'))
    expect(login.settle(proved(alice))).toEqual({ step: 'accept', subject: alice, methods: ['publickey'] })
    expect(login.begin(request('publickey')).step).toBe('end')
  })

  it('asks for every method of a chain, in order, and of one subject', () => {
    const chains = [['publickey', 'keyboard-interactive']] as const
    const login = createSshAuthentication({ chains })
    expect(login.begin(request('keyboard-interactive'))).toEqual({ step: 'reject', methodsLeft: ['publickey'] })
    login.begin(request('publickey'))
    expect(login.settle(proved(alice))).toEqual({ step: 'partial', methodsLeft: ['keyboard-interactive'] })
    expect(login.begin(request('publickey')).step).toBe('reject')
    login.begin(request('keyboard-interactive'))
    expect(login.settle(proved(bob))).toEqual({ step: 'reject', methodsLeft: ['keyboard-interactive'] })
    login.begin(request('keyboard-interactive'))
    expect(login.settle({ outcome: 'acceptable' }).step).toBe('reject')
    login.begin(request('keyboard-interactive'))
    expect(login.settle(proved(alice))).toMatchObject({
      step: 'accept',
      methods: ['publickey', 'keyboard-interactive'],
    })
  })

  it('takes a key only once where two are asked for', () => {
    const login = createSshAuthentication({ chains: [['publickey', 'publickey']] })
    login.begin(request('publickey'))
    expect(login.settle(proved(alice, 'a')).step).toBe('partial')
    login.begin(request('publickey'))
    expect(login.settle(proved(alice, 'a')).step).toBe('reject')
    login.begin(request('publickey'))
    expect(login.settle(proved(alice, 'b')).step).toBe('accept')
  })

  it('SSH-5 ends when the user name or the service changes', () => {
    for (const change of [
      request('publickey', 'bob'),
      request('publickey', 'alice', 'ssh-userauth'),
      request('none', 'Alice'),
    ]) {
      const login = createSshAuthentication({ chains: [['publickey', 'keyboard-interactive']] })
      login.begin(request('publickey'))
      login.settle(proved(alice))
      expect(login.begin(change).step).toBe('end')
      expect(login.begin(request('keyboard-interactive')).step).toBe('end')
    }
    expect(createSshAuthentication().begin(request('publickey', 'alice', 'x')).step).toBe('end')
  })

  it('ends after too many failures or requests', () => {
    const login = createSshAuthentication({ maxFailures: 3 })
    login.begin(request('none'))
    for (const method of ['none', 'password']) expect(login.begin(request(method)).step).toBe('reject')
    login.begin(request('publickey'))
    expect(login.settle({ outcome: 'refused' }).step).toBe('end')
    const asking = createSshAuthentication({ maxRequests: 5 })
    for (let i = 0; i < 5; i++) {
      asking.begin(request('publickey'))
      expect(asking.settle({ outcome: 'acceptable' }).step).toBe('acceptable')
    }
    expect(asking.begin(request('publickey')).step).toBe('end')
  })

  it('never accepts but by a completed chain of one subject', () => {
    const methods = ['publickey', 'keyboard-interactive', 'none', 'password'] as const
    const action = fc.oneof(
      fc.record({ method: fc.constantFrom(...methods), user: fc.constantFrom('alice', 'alice', 'alice', 'bob') }),
      fc.record({
        outcome: fc.constantFrom('refused' as const, 'acceptable' as const, 'proved' as const),
        subject: fc.constantFrom(alice, bob),
      }),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 30 }), (actions) => {
        const login = createSshAuthentication({ chains: [['publickey', 'keyboard-interactive']] })
        let begun: string | undefined
        let user: string | undefined
        const done: [string, string][] = []
        for (const each of actions) {
          let step: SshAuthStep
          if ('method' in each) {
            step = login.begin(request(each.method, each.user))
            begun = step.step === 'judge' ? each.method : undefined
            if (user !== undefined && user !== each.user) expect(step.step).toBe('end')
            user ??= each.user
          } else {
            if (begun === undefined) continue
            step = login.settle(each)
            if (step.step === 'accept' || step.step === 'partial') done.push([begun, each.subject.id])
            begun = undefined
          }
          if (step.step !== 'accept') continue
          expect(done.map(([method]) => method)).toEqual(['publickey', 'keyboard-interactive'])
          expect(new Set(done.map(([, id]) => id)).size).toBe(1)
          return
        }
      }),
    )
  })

  it('is not made of chains that nobody can pass', () => {
    expect(() => createSshAuthentication({ chains: [] })).toThrow(SallyportError)
    expect(() => createSshAuthentication({ chains: [[]] })).toThrow(SallyportError)
    expect(() => createSshAuthentication({ maxFailures: 0 })).toThrow(SallyportError)
    expect(() => createSshAuthentication().settle({ outcome: 'refused' })).toThrow(SallyportError)
  })
})

describe('an SSH identity', () => {
  const clock = { nowUnixMs: () => NOW_UNIX_MS }
  const trust = () => sshTrust({ authorizedKeys: authorizedKeys([{ subject: alice, keys: line(key) }]) })
  const resource = { name: 'web-1', protocol: 'ssh' }
  const open = (more: Partial<SshIdentityOptions> = {}) =>
    createSshIdentity({ trust, clock, ...more }).open({ resource: () => resource, clientAddress: '10.0.0.1' })
  const both = [['publickey', 'keyboard-interactive']] as const
  const user = 'alice+web-1'
  const service = 'ssh-connection'
  const asking = (ask: SshAsk) => ({ method: 'keyboard-interactive' as const, user, service, ask })
  const answering =
    (text: string): SshAsk =>
    async () => [new Secret(text)]
  const store = new TokenStore()
  store.issue(new Secret('right'), { subject: alice, expiresAtUnixMs: NOW_UNIX_MS + 1, user: 'alice' })
  store.issue(new Secret('of bob'), { subject: bob, expiresAtUnixMs: NOW_UNIX_MS + 1 })
  const token = tokenPrompt(tokens({ find: store.find, clock }))

  it('lets in by key, and says where they want to go', async () => {
    const login = open()
    expect(await login.attempt({ method: 'other', name: 'none', user, service })).toMatchObject({ answer: 'reject' })
    expect(await login.attempt({ method: 'publickey', ...query(key) })).toEqual({ answer: 'acceptable' })
    expect(await login.attempt({ method: 'publickey', ...signed(other) })).toMatchObject({
      answer: 'reject',
      methodsLeft: ['publickey'],
      refusal: { reason: 'unknown-key' },
    })
    expect(await login.attempt({ method: 'publickey', ...signed(key) })).toMatchObject({
      answer: 'accept',
      admission: {
        subject: alice,
        user: 'alice',
        target: 'web-1',
        methods: ['publickey'],
        keys: [{ keyType: 'ssh-ed25519' }],
      },
    })
  })

  it('asks for a token behind the key, which has to be of the same subject', async () => {
    const login = open({ chains: both, interactive: token })
    expect(await login.attempt(asking(answering('right')))).toMatchObject({ answer: 'reject', isPartial: false })
    expect(await login.attempt({ method: 'publickey', ...signed(key) })).toMatchObject({
      answer: 'reject',
      isPartial: true,
      methodsLeft: ['keyboard-interactive'],
    })
    expect(await login.attempt(asking(answering('wrong')))).toMatchObject({ answer: 'reject', isPartial: false })
    expect(await login.attempt(asking(answering('of bob')))).toMatchObject({ answer: 'reject' })
    expect(await login.attempt(asking(async () => []))).toMatchObject({ answer: 'reject' })
    expect(await login.attempt(asking(async () => Promise.reject(new Error('gone'))))).toMatchObject({
      answer: 'reject',
    })
    const late = open({ chains: [['keyboard-interactive']], interactive: token })
    expect(await late.attempt(asking(answering('right')))).toMatchObject({ answer: 'accept', admission: { keys: [] } })
  })

  it('refuses when what it asks fails, and everybody without an interactive method', async () => {
    const failing = open({ trust: () => Promise.reject(new Error('down')) })
    expect(await failing.attempt({ method: 'publickey', ...signed(key) })).toMatchObject({ answer: 'reject' })
    const none = open({ chains: [['keyboard-interactive']] })
    expect(await none.attempt(asking(answering('right')))).toMatchObject({ answer: 'reject' })
    const malformed = open({ chains: [['keyboard-interactive']], interactive: token })
    expect(await malformed.attempt({ ...asking(answering('right')), user: 'alice+a+b' })).toMatchObject({
      answer: 'reject',
    })
  })

  it('forgets a request whose place a newer one took', async () => {
    const login = open({ chains: [['keyboard-interactive'], ['publickey']], interactive: token })
    let answer: (answers: readonly Secret<string>[]) => void = () => {}
    const first = login.attempt(asking(() => new Promise((resolve) => (answer = resolve))))
    const second = login.attempt({ method: 'publickey', ...query(key) })
    answer([new Secret('right')])
    expect(await first).toEqual({ answer: 'superseded' })
    expect(await second).toEqual({ answer: 'acceptable' })
  })

  describe('with a device flow', () => {
    /** A world where waiting takes no time but the clock's. */
    const world = (polls: readonly DevicePoll['state'][], more: { expiresInMs?: number; subject?: Subject } = {}) => {
      let now = 0
      let cancelled = 0
      const shown: string[] = []
      const waits: number[] = []
      const left = [...polls]
      const interactive = devicePrompt(
        {
          start: async ({ user: who, clientAddress }) => ({
            verificationUri: `https://idp.example/${who}/${clientAddress}\u001b[2J`,
            userCode: 'ABCD-EFGH',
            ...(more.expiresInMs === undefined ? {} : { expiresInMs: more.expiresInMs }),
            poll: async () => {
              const state = left.shift() ?? 'pending'
              return state === 'granted' ? { state, subject: more.subject ?? alice } : { state }
            },
            cancel: () => cancelled++,
          }),
        },
        {
          clock: { nowUnixMs: () => now },
          schedule: (delayMs, callback) => {
            // The round that shows the code answers first.
            const timer = setImmediate(() => {
              now += delayMs
              waits.push(delayMs)
              callback()
            })
            return () => clearImmediate(timer)
          },
        },
      )
      const ask: SshAsk = async ({ instructions }) => {
        shown.push(instructions)
        return []
      }
      const login = open({ chains: [['keyboard-interactive']], interactive })
      return { login, ask, shown, waits, cancelled: () => cancelled }
    }
    const outcome = async (run: ReturnType<typeof world>): Promise<SshAnswer['answer']> =>
      (await run.login.attempt(asking(run.ask))).answer

    it('shows where to go, waits as long as it is told to, and lets in who approved', async () => {
      const run = world(['pending', 'slow-down', 'granted'])
      expect(await outcome(run)).toBe('accept')
      expect(run.shown.join('')).toContain('https://idp.example/alice/10.0.0.1\\u{1b}[2J')
      expect(run.shown.join('')).toContain('ABCD-EFGH')
      expect(run.waits).toEqual([5_000, 5_000, 10_000])
      expect(run.cancelled()).toBe(1)
    })

    it('refuses what is denied, has expired, or takes too long', async () => {
      expect(await outcome(world(['denied']))).toBe('reject')
      expect(await outcome(world(['expired']))).toBe('reject')
      const run = world([])
      expect(await outcome(run)).toBe('reject')
      expect(run.waits.reduce((sum, wait) => sum + wait, 0)).toBe(120_000)
      const short = world([], { expiresInMs: 7_000 })
      expect(await outcome(short)).toBe('reject')
      expect(short.waits).toEqual([5_000, 2_000])
    })

    it('stops waiting when the client does not answer or gives up', async () => {
      const mute = world(['granted'])
      expect((await mute.login.attempt(asking(() => new Promise(() => {})))).answer).toBe('reject')
      const gone = world(['pending', 'pending', 'granted'])
      const abort = new AbortController()
      const attempt = gone.login.attempt({ ...asking(gone.ask), signal: abort.signal })
      setImmediate(() => abort.abort())
      expect((await attempt).answer).toBe('reject')
      expect(gone.cancelled()).toBe(1)
    })
  })
})
