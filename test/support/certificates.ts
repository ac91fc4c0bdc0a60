import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Paths of a certificate and of its key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority and what it has signed, as files. */
export interface Certificates {
  readonly folder: string;
  readonly ca: string;
  /** For the address 127.0.0.1. */
  readonly server: Certificate;
  /** For the name `redis.test` only. */
  readonly named: Certificate;
  readonly client: Certificate;
  remove(): Promise<void>;
}

const runFile = promisify(execFile);

/** @param paths of files, which may have spaces */
async function openssl(
  words: string,
  paths: Readonly<Record<string, string>>,
): Promise<void> {
  await runFile('openssl', [
    ...words.split(' '),
    ...Object.entries(paths).flat(),
  ]);
}

const NEW_KEY = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';

/**
 * Makes a private authority, with certificates of servers and of a client.
 *
 * @example
 * const files = await makeCertificates();
 * onTestFinished(() => files.remove());
 */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'certificates-'));
  const own = pathsOf(folder, 'ca');
  await openssl(`req -x509 ${NEW_KEY} -days 2 -subj /CN=authority`, {
    '-keyout': own.key,
    '-out': own.cert,
  });
  return {
    folder,
    ca: own.cert,
    server: await signed(folder, 'server', 'IP:127.0.0.1'),
    named: await signed(folder, 'named', 'DNS:redis.test'),
    client: await signed(folder, 'client', 'DNS:client'),
    remove: () => rm(folder, { recursive: true }),
  };
}

async function signed(
  folder: string,
  name: string,
  subject: string,
): Promise<Certificate> {
  const ca = pathsOf(folder, 'ca');
  const { cert, key } = pathsOf(folder, name);
  const request = join(folder, `${name}.csr`);
  const extensions = join(folder, `${name}.ext`);
  await writeFile(extensions, `subjectAltName=${subject}\n`);
  await openssl(`req ${NEW_KEY} -subj /CN=${name}`, {
    '-keyout': key,
    '-out': request,
  });
  await openssl('x509 -req -days 2 -CAcreateserial', {
    '-in': request,
    '-CA': ca.cert,
    '-CAkey': ca.key,
    '-extfile': extensions,
    '-out': cert,
  });
  return { cert, key };
}

function pathsOf(folder: string, name: string): Certificate {
  return {
    cert: join(folder, `${name}.crt`),
    key: join(folder, `${name}.key`),
  };
}
