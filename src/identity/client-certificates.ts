import type { Subject } from '../core/index.js'
import { loginRefused, type Identity } from './types.js'

export interface ClientCertificatesOptions {
  /**
   * Who the owner of a verified certificate is, when they log in as `user`. Undefined: nobody.
   *
   * @param peerName the certificate's common name
   */
  subject(peerName: string, user: string): Subject | undefined | Promise<Subject | undefined>
}

/** Log-in by a TLS client certificate that the listener has verified. */
export function clientCertificates(options: ClientCertificatesOptions): Identity {
  return {
    challenge: () => ({ method: 'certificate' }),
    async authenticate(proof, { user, peerName }) {
      // The name of the handshake is what counts; the proof has to speak of the same one.
      if (proof.method !== 'certificate' || peerName === undefined || proof.peerName !== peerName)
        return loginRefused(user)
      const subject = await options.subject(peerName, user)
      return subject === undefined ? loginRefused(user) : { isAdmitted: true, subject }
    },
  }
}
