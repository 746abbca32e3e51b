// The real parts, started: the provider of op.mjs, Radicale, Django, Jupyter, an app of `websockets`.

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { Process, folder, freePort, here, python, write } from './support.mjs';

/** The provider for apps at these origins, with a certificate of `authority`. */
export async function provider(authority, origins) {
  const port = await freePort();
  const { cert, key } = authority.leaf(authority.dir, 'provider', ['localhost']);
  const secret = randomBytes(24).toString('base64url');
  const process = new Process('provider', globalThis.process.execPath, [join(here, 'op.mjs')], {
    env: { OP_PORT: port, OP_CERT: cert, OP_KEY: key, OP_APPS: origins.join(' '), OP_SECRET: secret },
    cwd: here,
  });
  await process.prints(/^ready:/m);
  return { issuer: `https://localhost:${port}`, secret, process, stop: () => process.stop() };
}

/** Radicale, which believes `X-Remote-User`. */
export async function radicale() {
  const port = await freePort();
  const dir = folder();
  const config = write(join(dir, 'config'), [
    '[server]', `hosts = 127.0.0.1:${port}`,
    '[auth]', 'type = http_x_remote_user',
    '[rights]', 'type = owner_only',
    '[storage]', `filesystem_folder = ${join(dir, 'collections')}`, '',
  ].join('\n'));
  const process = new Process('radicale', python, ['-m', 'radicale', '-C', config]);
  await process.listens(port);
  return { address: `http://127.0.0.1:${port}`, stop: () => process.stop() };
}

/** Django's admin pages, which believe `X-Forwarded-User`. */
export async function django(origins) {
  const port = await freePort();
  const process = new Process('django', python, [join(here, 'django_app.py'), String(port), folder()], {
    env: { APP_ORIGINS: origins.join(' ') },
  });
  await process.listens(port);
  return { address: `http://127.0.0.1:${port}`, stop: () => process.stop() };
}

/** An app that says back over a WebSocket what it is told. */
export async function websockets() {
  const port = await freePort();
  const process = new Process('websockets', python, [join(here, 'websocket_app.py'), String(port)]);
  await process.listens(port);
  return { address: `http://127.0.0.1:${port}`, stop: () => process.stop() };
}

/** A Jupyter server, which believes `X-Forwarded-User`. */
export async function jupyter(origin) {
  const port = await freePort();
  const dir = folder();
  const process = new Process('jupyter', python, ['-m', 'jupyter_server', '--config', join(here, 'jupyter_config.py')], {
    env: { APP_PORT: port, APP_FOLDER: dir, APP_ORIGIN: origin, JUPYTER_DATA_DIR: join(dir, 'data'), JUPYTER_RUNTIME_DIR: join(dir, 'run') },
  });
  await process.listens(port);
  return { address: `http://127.0.0.1:${port}`, stop: () => process.stop() };
}

/** The body of the request that asks a CalDAV server who it holds the visitor to be. */
export const whoAmI = '<d:propfind xmlns:d="DAV:"><d:prop><d:current-user-principal/></d:prop></d:propfind>';

/** Fills the provider's form. */
export async function signInAtProvider(page, login) {
  await page.getByLabel('User').fill(login);
  await page.getByLabel('Password').fill(`${login}-password`);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
