import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A directory of keys and certificates made by the real `ssh-keygen`. */
export class KeyForge {
  readonly directory = mkdtempSync(join(tmpdir(), 'sallyport-keys-'))

  keygen(...args: string[]): string {
    return execFileSync('ssh-keygen', args, {
      cwd: this.directory,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** The same with something on standard input. */
  verify(input: Uint8Array, ...args: string[]): string {
    return execFileSync('ssh-keygen', args, {
      cwd: this.directory,
      encoding: 'utf8',
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  }

  /** A key pair; returns its public line. */
  key(name: string, type: string, bits?: number, passphrase = ''): string {
    const size = bits === undefined ? [] : ['-b', String(bits)]
    this.keygen('-q', '-t', type, ...size, '-N', passphrase, '-C', name, '-f', name)
    return this.read(`${name}.pub`)
  }

  /** Has `authority` certify the public key of `name`; returns the certificate's line. */
  certify(authority: string, name: string, ...options: string[]): string {
    this.keygen('-q', '-s', authority, ...options, `${name}.pub`)
    return this.read(`${name}-cert.pub`)
  }

  read(name: string): string {
    return readFileSync(join(this.directory, name), 'utf8').trim()
  }

  script(name: string, text: string): void {
    writeFileSync(this.path(name), text, { mode: 0o700 })
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}
