import { chmod, rm, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { type Secret, sshPublicKeyOf } from '../../../src/core/index.js'
import { ed25519KeyFrom, writeOpenSshKey } from '../../../src/credentials/ssh/index.js'

/** A new Ed25519 key, as OpenSSH's files have it. */
export interface DemoKey {
  readonly privateKey: Secret<string>
  /** Type and base64, without a comment. */
  readonly publicKey: string
}

export function makeDemoKey(): DemoKey {
  const key = ed25519KeyFrom(randomBytes(32))
  const { type, blob } = sshPublicKeyOf(key)
  return { privateKey: writeOpenSshKey(key), publicKey: `${type} ${Buffer.from(blob).toString('base64')}` }
}

/** A file that only its owner may read, new at every start. */
export async function writePrivate(file: string, text: string): Promise<void> {
  await rm(file, { force: true })
  await writeFile(file, text, { mode: 0o600 })
  await chmod(file, 0o600)
}
