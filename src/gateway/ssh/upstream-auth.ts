import { createPrivateKey } from 'node:crypto'
import type { AnyAuthMethod, ParsedKey } from 'ssh2'
import { SallyportError } from '../../core/index.js'
import {
  bareSignature,
  certificateLogin,
  mendCertificateRequest,
  type SshCredentials,
} from '../../credentials/ssh/index.js'
import type { Ssh2Module, Ssh2Protocol } from './ssh2.js'

/**
 * The one way in which the gateway logs in to a target. Whatever else a target asks for it does not get.
 *
 * @param protocol of the connection to the target
 * @throws SallyportError `upstream_authentication_failed` for a key that ssh2 cannot read
 */
export function authMethods(ssh2: Ssh2Module, credentials: SshCredentials, protocol: Ssh2Protocol): AnyAuthMethod[] {
  const { user: username } = credentials
  switch (credentials.method) {
    case 'password': {
      const { password } = credentials
      return [
        { type: 'password', username, password: password.expose() },
        {
          type: 'keyboard-interactive',
          username,
          prompt: (_name, _instructions, _lang, prompts, finish) => {
            // One hidden prompt is one for the password; any other question is not ours to answer.
            const isPassword = prompts.length === 1 && prompts[0]?.echo !== true
            finish(isPassword ? [password.expose()] : [])
          },
        },
      ]
    }
    case 'key':
      return [{ type: 'publickey', username, key: withoutSha1(parseKey(ssh2, credentials)) }]
    case 'certificate':
      return [{ type: 'publickey', username, key: certifiedKey(ssh2, credentials, protocol) }]
  }
}

function parseKey(
  ssh2: Ssh2Module,
  { privateKey, passphrase }: Exclude<SshCredentials, { readonly method: 'password' }>,
): ParsedKey {
  const parsed: ParsedKey | Error = ssh2.utils.parseKey(privateKey.expose(), passphrase?.expose())
  // ssh2's own error may quote what it read.
  if (!(parsed instanceof Error)) return Array.isArray(parsed) ? (parsed[0] as ParsedKey) : parsed
  throw new SallyportError('upstream_authentication_failed', 'the private key for the target cannot be read')
}

/** To a target that does not announce what it verifies, ssh2 would sign with SHA-1 (RFC 8332 section 3.3). */
function withoutSha1(parsed: ParsedKey): ParsedKey {
  if (parsed.type !== 'ssh-rsa') return parsed
  const replaced = { type: 'rsa-sha2-512', sign: (data: Buffer) => parsed.sign(data, 'sha512') }
  return Object.assign(Object.create(parsed) as ParsedKey, replaced)
}

/**
 * ssh2's key object with a certificate in the place of its public key. ssh2 names the request's algorithm before the signature,
 * which targets refuse for certificates, and sends the request in the turn in which it is signed: that message is mended.
 */
function certifiedKey(
  ssh2: Ssh2Module,
  credentials: Extract<SshCredentials, { readonly method: 'certificate' }>,
  protocol: Ssh2Protocol,
): ParsedKey {
  const login = certificateLogin(credentials.certificate)
  const parsed = parseKey(ssh2, credentials)
  // ssh2 has decrypted it, also from OpenSSH's own encrypted form.
  const key = createPrivateKey(parsed.getPrivatePEM())
  const replaced = {
    type: login.algorithm,
    getPublicSSH: () => Buffer.from(login.blob),
    sign: (data: Buffer) => {
      mendNextMessage(protocol)
      return Buffer.from(bareSignature(key, login, data))
    },
  }
  return Object.assign(Object.create(parsed) as ParsedKey, replaced)
}

/** Every exchange of keys brings a new writer, so only the one that is in use while a request is signed will do. */
function mendNextMessage(protocol: Ssh2Protocol): void {
  const { write } = protocol._packetRW
  const original = write.finalize
  write.finalize = (packet, isForced) => {
    write.finalize = original
    const padding = packet[4] ?? 0
    const end = write.allocStart + packet.readUInt32BE(0) - 1 - padding
    const mended = mendCertificateRequest(packet.subarray(write.allocStart, end))
    if (mended === undefined) return write.finalize(packet, isForced)
    const replaced = write.alloc(mended.length)
    replaced.set(mended, write.allocStart)
    return write.finalize(replaced, isForced)
  }
}
