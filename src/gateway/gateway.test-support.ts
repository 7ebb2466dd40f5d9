import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { Secret, type Command, type Denial, type SqlAnalyzer, type SqlFacts, unparsedFacts } from '../core/index.js'
import type { Judgement, Session, SessionOptions } from '../enforcement/types.js'
import { staticUsers } from '../identity/index.js'
import { makeScramVerifier } from '../protocols/postgres/index.js'
import type { SessionOpener } from '../streams/guarded-stream.js'
import { housekeepingSession } from '../streams/housekeeping.js'

const UNPARSED: SqlFacts = unparsedFacts('this analyzer knows no SQL')

/** Knows nothing of any statement. */
export const blindAnalyzer: SqlAnalyzer = { dialect: 'postgres', analyze: () => UNPARSED }

/** Permits all but what has `forbidden` in it; what has `approval` in it waits for `release`. */
export class StandInEnforcer implements SessionOpener {
  readonly seen: string[] = []
  readonly ended: string[] = []
  readonly withdrawn: number[] = []
  release: (isPermitted: boolean) => void = () => {}
  fail: (denial: Denial) => void = () => {}

  openSession({ subject, resource }: SessionOptions): Session {
    const base = housekeepingSession(resource, blindAnalyzer)
    return {
      ...base,
      subject,
      judge: (command, inform) => this.#judge(command, inform, base),
      withdraw: (commandId) => {
        this.withdrawn.push(commandId)
        this.release(false)
      },
      onFailure: (listener) => {
        this.fail = listener
      },
      end: (reason) => {
        this.ended.push(reason)
        return Promise.resolve()
      },
    }
  }

  #judge(command: Command, inform: (text: string) => void, base: Session): Judgement | Promise<Judgement> {
    this.seen.push(command.text)
    if (command.text.includes('forbidden')) {
      return { permitted: false, denial: { reason: 'rule', message: 'that is forbidden' } }
    }
    if (!command.text.includes('approval')) return base.judge(command, inform)
    inform('this waits for approval')
    return new Promise((resolve) => {
      this.release = (isPermitted) => {
        if (isPermitted) resolve(base.judge(command, inform))
        else resolve({ permitted: false, denial: { reason: 'withdrawn', message: 'withdrawn' } })
      }
    })
  }
}

export const agents = staticUsers({
  users: [
    {
      user: 'agent',
      subject: { id: 'agent-7' },
      verifier: makeScramVerifier(new Secret('agent-pass'), randomBytes(16), 4096),
    },
  ],
  random: (count) => randomBytes(count),
})

export interface Certificates {
  readonly ca: string
  readonly key: string
  readonly cert: string
  readonly clientKey: string
  readonly clientCert: string
  readonly dir: string
  remove(): void
}

/** A certificate authority, a server certificate for localhost and 127.0.0.1, and a client certificate for `agent`. */
export function makeCertificates(): Certificates {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-tls-'))
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=test ca')
  for (const [name, subject] of [
    ['server', '/CN=localhost'],
    ['client', '/CN=agent'],
  ] as const) {
    openssl(
      'req',
      ...key,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      subject,
      '-addext',
      'subjectAltName=DNS:localhost,IP:127.0.0.1',
    )
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-copy_extensions',
      'copy',
    )
  }
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8')
  return {
    ca: read('ca.crt'),
    key: read('server.key'),
    cert: read('server.crt'),
    clientKey: read('client.key'),
    clientCert: read('client.crt'),
    dir,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
}
