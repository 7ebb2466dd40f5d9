export { createSshGateway, SshGateway } from './gateway.js'
export type {
  SshConnectionInfo,
  SshCredentialLease,
  SshCredentialProvider,
  SshGatewayEvents,
  SshGatewayLimits,
  SshGatewayOptions,
  SshHostKeyCheck,
  SshListenerAddress,
  SshListenerOptions,
  SshResourceOptions,
  SshTarget,
  SshUpstreamCredentials,
} from './types.js'
