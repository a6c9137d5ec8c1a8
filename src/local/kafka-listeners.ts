/** A further door of a local broker, for tests of what a client may meet in production: TLS, with or without SASL. */
export interface KafkaListener {
  /** Lower-case letters, digits and `_`. */
  readonly name: string
  readonly protocol: 'SSL' | 'SASL_SSL'
  /** PEM file: the key (PKCS #8), then the certificate and those between it and its authority. */
  readonly keyStorePath: string
  /** PEM file of the authority that signs clients; with it a client needs a certificate. */
  readonly clientCaPath?: string
  /** After so long a client with SASL must say again who it is, on the connection that it has. Default: never. */
  readonly reauthenticateMs?: number
}

export interface KafkaUser {
  readonly name: string
  readonly password: string
}

/** What `server.properties` needs for listeners beside the plain one. Each user may use PLAIN; SCRAM users are made with the storage. */
export function listenerProperties(
  listeners: readonly KafkaListener[],
  users: readonly KafkaUser[],
): string[] {
  const plainUsers = users.map(({ name, password }) => `user_${name}=${quoted(password)}`).join(' ')
  return listeners.flatMap(({ name, protocol, keyStorePath, clientCaPath, reauthenticateMs = 0 }) => {
    const prefix = `listener.name.${name}`
    const lines = [`${prefix}.ssl.keystore.type=PEM`, `${prefix}.ssl.keystore.location=${keyStorePath}`]
    if (clientCaPath !== undefined) {
      lines.push(
        `${prefix}.ssl.truststore.type=PEM`,
        `${prefix}.ssl.truststore.location=${clientCaPath}`,
        `${prefix}.ssl.client.auth=required`,
      )
    }
    if (protocol === 'SASL_SSL') {
      const security = 'org.apache.kafka.common.security'
      lines.push(
        `${prefix}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512`,
        `${prefix}.connections.max.reauth.ms=${reauthenticateMs}`,
        `${prefix}.plain.sasl.jaas.config=${security}.plain.PlainLoginModule required ${plainUsers};`,
        `${prefix}.scram-sha-256.sasl.jaas.config=${security}.scram.ScramLoginModule required;`,
        `${prefix}.scram-sha-512.sasl.jaas.config=${security}.scram.ScramLoginModule required;`,
      )
    }
    return lines
  })
}

/** `listener.security.protocol.map`, once there are names of our own. */
export function protocolMap(listeners: readonly KafkaListener[]): string {
  const own = listeners.map(({ name, protocol }) => `${name.toUpperCase()}:${protocol}`)
  return `listener.security.protocol.map=${['CONTROLLER:PLAINTEXT', 'PLAINTEXT:PLAINTEXT', ...own].join(',')}`
}

/** Arguments of `StorageTool format` that make the users known to both kinds of SCRAM. */
export function scramArguments(users: readonly KafkaUser[]): string[] {
  return users.flatMap(({ name, password }) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
      '--add-scram',
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  )
}

/** A JAAS string inside a properties file: each of the two takes one backslash away. */
function quoted(text: string): string {
  const jaas = text.replace(/["\\]/g, '\\$&')
  return `"${jaas.replaceAll('\\', '\\\\')}"`
}
