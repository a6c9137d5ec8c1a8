/** What the user can set about TLS to one server; goes into the message. */
export interface TlsKeys {
  /** Key that names the file of the authority. */
  readonly ca: string
  /** What to set when the server speaks no TLS. */
  readonly plain: string
  /** Keys of the client certificate, where there are any. */
  readonly client?: string
}

type TlsFault = 'untrusted' | 'expired' | 'not-yet' | 'other-host' | 'no-tls' | 'client-refused'

/** Node's and OpenSSL's codes (X509_V_ERR_…, without that). */
const FAULT_OF_CODE: Readonly<Record<string, TlsFault>> = {
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'other-host',
  CERT_SIGNATURE_FAILURE: 'untrusted',
  CERT_UNTRUSTED: 'untrusted',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'untrusted',
  INVALID_CA: 'untrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'untrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'untrusted',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no-tls',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'no-tls',
  ERR_SSL_HTTP_REQUEST: 'no-tls',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'client-refused',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'client-refused',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'client-refused',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'client-refused',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'client-refused',
}

/**
 * Why TLS to a server failed and what to try, or `undefined` when the error says nothing of TLS. Looks through the causes of the error.
 * The text ends without a full stop.
 */
export function tlsFault(error: unknown, keys: TlsKeys): string | undefined {
  let current: unknown = error
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth++) {
    const { code, message, cause } = current as { code?: unknown; message?: unknown; cause?: unknown }
    const fault = faultOf(String(code ?? ''), String(message ?? ''))
    if (fault !== undefined) return describe(fault, keys)
    current = cause
  }
  return undefined
}

function faultOf(code: string, message: string): TlsFault | undefined {
  const known = Object.hasOwn(FAULT_OF_CODE, code) ? FAULT_OF_CODE[code] : undefined
  if (known !== undefined) return known
  // Node gives no code of its own to a server that hangs up in the handshake.
  if (/before secure TLS connection was established/.test(message)) return 'no-tls'
  return undefined
}

function describe(fault: TlsFault, { ca, plain, client }: TlsKeys): string {
  switch (fault) {
    case 'untrusted':
      return `its certificate is not signed by an authority that is trusted here: set ${ca} to the PEM file of the authority that signed it`
    case 'expired':
      return 'its certificate has expired: renew it there, and check the clock of this machine'
    case 'not-yet':
      return 'its certificate is not valid yet: check the clock of this machine'
    case 'other-host':
      return 'its certificate is for another host: use a host name that the certificate holds, or have it issued for this one'
    case 'no-tls':
      return `it does not speak TLS on this port: use the port that does, or ${plain}`
    case 'client-refused':
      return `it refuses the client certificate, or misses one: ${client === undefined ? 'allow clients without one' : `set ${client} to one that it trusts`}`
  }
}
