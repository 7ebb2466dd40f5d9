import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { Secret, type IdentityProof, type ScramVerifier } from '../core/index.js'
import {
  clientCertificates,
  createToken,
  inProcess,
  staticUsers,
  tokens,
  TokenStore,
  type IdentityRequest,
} from './index.js'

const resource = { name: 'shop', protocol: 'postgres' }
const request = (user: string, more: Partial<IdentityRequest> = {}): IdentityRequest => ({
  user,
  resource,
  isEncrypted: true,
  ...more,
})
const verifier: ScramVerifier = {
  iterations: 10_000,
  salt: randomBytes(12),
  storedKey: randomBytes(32),
  serverKey: randomBytes(32),
}

describe('static users', () => {
  const identity = staticUsers({
    users: [{ user: 'agent', subject: { id: 'agent-7' }, verifier }],
    random: (count) => randomBytes(count),
  })

  it('challenges a known user with the verifier issued to them, and names their subject', async () => {
    expect(await identity.challenge(request('agent'))).toEqual({ method: 'scram-sha-256', verifier })
    expect(await identity.authenticate({ method: 'scram-sha-256', user: 'agent' }, request('agent'))).toEqual({
      isAdmitted: true,
      subject: { id: 'agent-7' },
    })
  })

  it('challenges an unknown user the same way, with the same salt every time', async () => {
    const first = await identity.challenge(request('ghost'))
    const second = await identity.challenge(request('ghost'))
    const other = await identity.challenge(request('spectre'))
    expect(first).toEqual(second)
    expect(first).not.toEqual(other)
    expect(first.method === 'scram-sha-256' && first.verifier.iterations).toBe(10_000)
    expect(first.method === 'scram-sha-256' && first.verifier.salt.length).toBe(12)
  })

  it('refuses unknown users and proofs of another kind or for another name', async () => {
    const proofs: [IdentityProof, string][] = [
      [{ method: 'scram-sha-256', user: 'ghost' }, 'ghost'],
      [{ method: 'none', user: 'agent' }, 'agent'],
      [{ method: 'password', user: 'agent', password: new Secret('x') }, 'agent'],
      [{ method: 'scram-sha-256', user: 'other' }, 'agent'],
    ]
    for (const [proof, user] of proofs) {
      expect((await identity.authenticate(proof, request(user))).isAdmitted).toBe(false)
    }
  })

  it('does not take a user twice', () => {
    const user = { user: 'a', subject: { id: 'a' }, verifier }
    expect(() => staticUsers({ users: [user, user], random: (count) => randomBytes(count) })).toThrow('twice')
  })
})

describe('tokens', () => {
  const store = new TokenStore()
  let now = 1_000
  const identity = tokens({ find: store.find, clock: { nowUnixMs: () => now } })
  const token = createToken((count) => randomBytes(count))
  store.issue(new Secret(token), { subject: { id: 'agent-7' }, expiresAtUnixMs: 2_000, user: 'agent' })
  const attempt = (password: string, user = 'agent') =>
    identity.authenticate({ method: 'password', user, password: new Secret(password) }, request(user))

  it('let in whoever has one, as the name it was issued for, until it expires', async () => {
    expect(await attempt(token)).toEqual({ isAdmitted: true, subject: { id: 'agent-7' } })
    expect((await attempt(token, 'root')).isAdmitted).toBe(false)
    now = 2_000
    expect((await attempt(token)).isAdmitted).toBe(false)
    now = 1_000
  })

  it('do not let in anything else', async () => {
    for (const wrong of ['', 'x', `${token}x`, token.slice(1), 'y'.repeat(5_000)]) {
      expect((await attempt(wrong)).isAdmitted).toBe(false)
    }
  })

  it('are told apart by all bytes of their digest, whatever a store returns', async () => {
    const careless = tokens({
      find: () => ({ digest: randomBytes(32), subject: { id: 'x' }, expiresAtUnixMs: 9e15 }),
      clock: { nowUnixMs: () => 0 },
    })
    const proof: IdentityProof = { method: 'password', user: 'agent', password: new Secret('guess') }
    expect((await careless.authenticate(proof, request('agent'))).isAdmitted).toBe(false)
  })
})

describe('client certificates', () => {
  const identity = clientCertificates({
    subject: (peerName, user) => (peerName === 'agent.example' && user === 'agent' ? { id: 'agent-7' } : undefined),
  })

  it('count by the name that the handshake verified', async () => {
    const proof: IdentityProof = { method: 'certificate', user: 'agent', peerName: 'agent.example' }
    expect((await identity.authenticate(proof, request('agent', { peerName: 'agent.example' }))).isAdmitted).toBe(true)
    expect((await identity.authenticate(proof, request('agent'))).isAdmitted).toBe(false)
    expect((await identity.authenticate(proof, request('agent', { peerName: 'other' }))).isAdmitted).toBe(false)
    expect((await identity.authenticate(proof, request('root', { peerName: 'agent.example' }))).isAdmitted).toBe(false)
  })
})

describe('in-process', () => {
  it('names the subject it was made with', async () => {
    const identity = inProcess({ id: 'agent-7' })
    expect(await identity.authenticate({ method: 'none', user: 'x' }, request('x'))).toMatchObject({ isAdmitted: true })
  })
})
