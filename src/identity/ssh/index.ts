export { parseLoginName, type SshLoginName } from './login-name.js'
export { authorizedKeys, type AuthorizedKey, type AuthorizedKeys, type AuthorizedKeysEntry } from './authorized-keys.js'
export type { SshKeyOptions, SshPermissions } from './key-options.js'
export type { AddressTest } from './addresses.js'
export type { SshUserAuthority, TrustedAuthority } from './certificate-trust.js'
export { sshRevocations, type RevokedCertificates, type SshRevocationList, type SshRevocations } from './revocations.js'
export { decodeKrl } from './krl.js'
export { judgePublicKey, sshTrust, type SshKeyAttempt, type SshTrust, type SshTrustOptions } from './public-key.js'
export { attemptOfSsh2, type Ssh2KeyContext } from './ssh2-attempt.js'
export type {
  SshCertificateFacts,
  SshKeyFacts,
  SshKeyRefusal,
  SshKeyRefused,
  SshKeyVerdict,
} from './verdict.js'
export {
  createSshAuthentication,
  type SshAuthentication,
  type SshAuthenticationOptions,
  type SshAuthMethod,
  type SshAuthOutcome,
  type SshAuthRequest,
  type SshAuthStep,
} from './authentication.js'
export { createSshIdentity, type SshIdentityOptions } from './ssh-identity.js'
export { tokenPrompt, type TokenPromptOptions } from './token-prompt.js'
export {
  devicePrompt,
  type DeviceAuthorization,
  type DeviceFlow,
  type DevicePoll,
  type DevicePromptOptions,
  type DeviceRequest,
} from './device-prompt.js'
export type {
  SshAdmission,
  SshAnswer,
  SshAsk,
  SshAttempt,
  SshIdentity,
  SshInteractiveMethod,
  SshInteractiveRequest,
  SshLogin,
  SshLoginContext,
  SshPrompt,
  SshPromptRound,
} from './types.js'
