import type { Algorithms } from 'ssh2'

/**
 * What is offered to both sides, best first. No CBC, no SHA-1, no compression: a secret next to a guess of it in one
 * compressed stream can be told from the length. Strict key exchange is always on, and
 * `SshTransport` takes no peer without it where the ciphers need it.
 *
 * AES-GCM is first, and of 128 bits, as it decides most of the speed. Group 18 is not there: who may log in to nothing can ask
 * for it, and it takes as long as a hundred exchanges of curve25519.
 */
export const SSH_ALGORITHMS = {
  kex: [
    'curve25519-sha256',
    'curve25519-sha256@libssh.org',
    'ecdh-sha2-nistp256',
    'ecdh-sha2-nistp384',
    'ecdh-sha2-nistp521',
    'diffie-hellman-group16-sha512',
    'diffie-hellman-group14-sha256',
  ],
  serverHostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  cipher: [
    'aes128-gcm@openssh.com',
    'aes256-gcm@openssh.com',
    'chacha20-poly1305@openssh.com',
    'aes128-ctr',
    'aes192-ctr',
    'aes256-ctr',
  ],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
} as const satisfies Algorithms

/**
 * The same list as ssh2 takes it.
 *
 * @param hostKeys what is taken of host key algorithms; default all of the list
 */
export function sshAlgorithms(hostKeys: readonly string[] = SSH_ALGORITHMS.serverHostKey): Algorithms {
  return {
    kex: [...SSH_ALGORITHMS.kex],
    serverHostKey: SSH_ALGORITHMS.serverHostKey.filter((name) => hostKeys.includes(name)),
    cipher: [...SSH_ALGORITHMS.cipher],
    hmac: [...SSH_ALGORITHMS.hmac],
    compress: [...SSH_ALGORITHMS.compress],
  }
}
