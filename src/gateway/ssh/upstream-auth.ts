import type { AnyAuthMethod, ParsedKey } from 'ssh2'
import { SallyportError } from '../../core/index.js'
import {
  bareSignature,
  certificateLogin,
  mendCertificateRequest,
  readSshPrivateKey,
  type SshCredentials,
} from '../../credentials/ssh/index.js'
import type { Ssh2Module, Ssh2Protocol } from './ssh2.js'

/**
 * The one way in which the gateway logs in to a target. Whatever else a target asks for it does not get.
 *
 * @throws SallyportError `upstream_authentication_failed` for a key that ssh2 cannot read
 */
export function authMethods(ssh2: Ssh2Module, credentials: SshCredentials): AnyAuthMethod[] {
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
      return [{ type: 'publickey', username, key: parseKey(ssh2, credentials) }]
    case 'certificate':
      return [{ type: 'publickey', username, key: certifiedKey(ssh2, credentials) }]
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

/** ssh2's key object with a certificate in the place of its public key. */
function certifiedKey(
  ssh2: Ssh2Module,
  credentials: Extract<SshCredentials, { readonly method: 'certificate' }>,
): ParsedKey {
  const login = certificateLogin(credentials.certificate)
  const key = readSshPrivateKey(credentials)
  const replaced = {
    type: login.algorithm,
    getPublicSSH: () => Buffer.from(login.blob),
    sign: (data: Buffer) => Buffer.from(bareSignature(key, login, data)),
  }
  return Object.assign(Object.create(parseKey(ssh2, credentials)) as ParsedKey, replaced)
}

/**
 * ssh2 names the request's algorithm before the signature, which targets refuse for certificates: such requests are mended on
 * their way out, until the returned function is called.
 */
export function mendRequests(protocol: Ssh2Protocol): () => void {
  const { write } = protocol._packetRW
  const original = write.finalize
  write.finalize = (packet, isForced) => {
    const finalize = original.bind(write)
    const padding = packet[4] ?? 0
    const end = write.allocStart + packet.readUInt32BE(0) - 1 - padding
    const mended = mendCertificateRequest(packet.subarray(write.allocStart, end))
    if (mended === undefined) return finalize(packet, isForced)
    const replaced = write.alloc(mended.length)
    replaced.set(mended, write.allocStart)
    return finalize(replaced, isForced)
  }
  return () => {
    write.finalize = original
  }
}
