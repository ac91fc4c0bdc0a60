import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { TlsValues } from './command.js';
import { UsageError } from './usage.error.js';

/** A setting, and the option or the variable that gave it. */
interface Setting {
  readonly from: string;
  readonly value: string;
}

/**
 * Reads the TLS settings of the command line, and for those that are missing there
 * of the environment. No error shows a value: a variable may hold the key itself.
 *
 * @returns settings for `tls.connect()`, empty without any
 * @throws UsageError that names the wrong option or variable.
 * @internal
 */
export function tlsFrom(
  values: TlsValues,
  env: NodeJS.ProcessEnv,
  protocol: string,
): ConnectionOptions {
  const ca = settingOf('--ca', values.ca, env);
  const cert = settingOf('--cert', values.cert, env);
  const key = settingOf('--key', values.key, env);
  const serverName = settingOf('--server-name', values.serverName, env);
  const first = ca ?? cert ?? key ?? serverName;
  if (first !== undefined && protocol !== 'rediss:') {
    throw new UsageError(
      `${first.from} is for TLS, and the URL of Redis is without TLS.`,
      'Give a rediss: URL, or no TLS settings.',
    );
  }
  return {
    ...(ca && { ca: pemOf(ca, readCertificate) }),
    ...identityFrom(cert, key),
    ...(serverName && { servername: nameOf(serverName) }),
  };
}

/** The variable of `--server-name` is `CACHE_INVALIDATION_TLS_SERVER_NAME`. */
function settingOf(
  option: string,
  value: string | undefined,
  env: NodeJS.ProcessEnv,
): Setting | undefined {
  if (value !== undefined) return { from: option, value };
  const name = option.slice(2).toUpperCase().replace('-', '_');
  const variable = `CACHE_INVALIDATION_TLS_${name}`;
  const text = env[variable];
  return text ? { from: variable, value: text } : undefined;
}

/** The client's certificate and its key: both or neither. */
function identityFrom(
  cert: Setting | undefined,
  key: Setting | undefined,
): Pick<ConnectionOptions, 'cert' | 'key'> {
  if (cert === undefined && key === undefined) return {};
  if (cert === undefined || key === undefined) {
    const [given, missing] = cert
      ? [cert.from, '--key']
      : [key!.from, '--cert'];
    throw new UsageError(
      `${given} is given without ${missing}.`,
      'Give both, or neither.',
    );
  }
  const pem = {
    cert: pemOf(cert, readCertificate),
    key: pemOf(key, createPrivateKey),
  };
  const privateKey = createPrivateKey(pem.key);
  if (!readCertificate(pem.cert).checkPrivateKey(privateKey)) {
    throw new UsageError(
      `${key.from} is not the key of ${cert.from}.`,
      'Give a certificate and its own key.',
    );
  }
  return pem;
}

/**
 * The text of a PEM file.
 *
 * @param check throws if the text is not what is needed
 */
function pemOf({ from, value }: Setting, check: (pem: string) => void): string {
  let pem: string;
  try {
    pem = readFileSync(value, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(
      `The file of ${from} cannot be read (${code}).`,
      'Give the path of a PEM file that this user may read.',
    );
  }
  try {
    check(pem);
    return pem;
  } catch {
    throw new UsageError(
      `The file of ${from} cannot be used.`,
      'It must be PEM: a certificate for --ca and --cert, a private key without a passphrase for --key.',
    );
  }
}

function readCertificate(pem: string): X509Certificate {
  return new X509Certificate(pem);
}

function nameOf({ from, value }: Setting): string {
  if (value.trim() !== '' && isIP(value) === 0) return value;
  throw new UsageError(
    `${from} is not the name of a host.`,
    'Give the name in the certificate of Redis; an address is verified without this setting.',
  );
}
