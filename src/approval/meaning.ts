import type {
  EnvironmentVariable,
  FileAccess,
  PortForwardCommand,
  SftpCommand,
  ShellCommand,
  SqlCommand,
  SshRequestCommand,
  TerminalCommand,
} from '../core/index.js'

// Field by field, so that a command may be a class instance with lazily computed facts. Facts are left out everywhere: they
// follow from the rest.

export function sqlMeaning(command: SqlCommand): unknown {
  return {
    kind: command.kind,
    protocol: command.protocol,
    dialect: command.dialect,
    phase: command.phase,
    via: command.via,
    text: command.text,
    parameters: command.parameters.map((value) => ({
      type: value.type,
      format: value.format,
      // NULL is an absent field, an empty value is a present one of length 0.
      bytes: value.bytes,
    })),
    standardConformingStrings: command.state.standardConformingStrings,
    clientEncoding: command.state.clientEncoding,
    serverVersion: command.state.serverVersion,
    searchPath: command.state.searchPath,
    role: command.state.role,
    transaction: command.transaction,
    transactionSerial: command.transactionSerial,
  }
}

/** A command line or an interactive shell: the environment and a terminal change what a line does. */
export function shellMeaning(command: ShellCommand | TerminalCommand): unknown {
  return {
    ...common(command),
    environment: command.environment.map(({ name, value }: EnvironmentVariable) => ({ name, value })),
    hasTerminal: command.hasTerminal,
  }
}

export function sftpMeaning(command: SftpCommand): unknown {
  return {
    ...common(command),
    operation: command.operation,
    extension: command.extension,
    files: command.files.map(({ path, modes, isRecursive, isExact }: FileAccess) => ({
      path,
      modes,
      isRecursive,
      isExact,
    })),
  }
}

export function forwardMeaning(command: PortForwardCommand): unknown {
  const { direction, host, port, socketPath } = command
  return { ...common(command), direction, host, port, socketPath }
}

export function requestMeaning(command: SshRequestCommand): unknown {
  return { ...common(command), name: command.name }
}

function common(command: {
  readonly kind: string
  readonly protocol: string
  readonly channelId?: number
  readonly via: string
  readonly text: string
}): Readonly<Record<string, unknown>> {
  const { kind, protocol, channelId, via, text } = command
  return { kind, protocol, channelId, via, text }
}
