export type { CredentialLease, CredentialProvider, CredentialRequest } from './types.js'
export { staticCredentials } from './static.js'
export { environmentCredentials } from './environment.js'
