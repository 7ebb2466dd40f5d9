export type {
  HostKeyRefusal,
  HostKeys,
  HostKeyVerdict,
  ShownHostKey,
  SshCredentialLease,
  SshCredentialProvider,
  SshCredentialRequest,
  SshCredentials,
  SshPrivateKey,
} from './types.js'
export { hostKeyError, pinnedHostKeys } from './host-keys.js'
export { knownHosts } from './known-hosts.js'
export { ed25519KeyFrom, readSshPrivateKey, writeOpenSshKey } from './private-key.js'
export {
  issueUserCertificate,
  type IssuedUserCertificate,
  type SshCertificatePermission,
  type UserCertificateOptions,
} from './issue-certificate.js'
export { issuedSshCertificates, staticSshCredentials, type IssuedSshCertificatesOptions } from './providers.js'
export { bareSignature, certificateLogin, mendCertificateRequest, type CertificateLogin } from './certificate-login.js'
