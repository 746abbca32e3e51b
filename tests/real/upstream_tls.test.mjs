// Apps behind OpenSSL that let in nobody but vestibule: by a certificate, or at a socket of this machine.

import assert from 'node:assert/strict';
import { createServer as createPlain } from 'node:http';
import { createServer, get } from 'node:https';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Authority, Process, folder, freePort, operator, vestibule, write } from './support.mjs';

const hosts = ['tls12.localhost', 'tls13.localhost', 'bare.localhost', 'socket.localhost'];
const apps = [];
let port;
let served;
let authority;

/** Starts an app, and gives where it listens. */
async function listening(server, ...where) {
  apps.push(server);
  server.listen(...where);
  await new Promise((ready) => server.once('listening', ready));
  return server.address();
}

before(async () => {
  port = await freePort();
  authority = new Authority(join(folder(), 'tls'));
  const app = authority.leaf(authority.dir, 'app', ['erp.internal.example']);
  const own = authority.leaf(authority.dir, 'own', ['vestibule'], 'clientAuth');
  const side = {
    key: readFileSync(app.key), cert: readFileSync(app.cert), ca: readFileSync(authority.file),
    requestCert: true, rejectUnauthorized: true,
  };
  const answer = (request, response) => {
    const { CN } = request.socket.getPeerCertificate().subject;
    response.end(`${request.socket.getProtocol()} ${CN}`);
  };
  const only = (version) => ({ ...side, minVersion: version, maxVersion: version });
  const older = await listening(createServer(only('TLSv1.2'), answer), 0, '127.0.0.1');
  const newer = await listening(createServer(only('TLSv1.3'), answer), 0, '127.0.0.1');
  const socket = join(folder(), 'app.sock');
  await listening(createPlain((request, response) => response.end(request.headers.host)), socket);

  const secret = write(join(authority.dir, 'client-secret'), 'a secret\n', 0o600);
  const route = (host, to, upstream) => [
    `from = "https://${host}:${port}"`, `to = "${to}"`, 'allow = "signed-in"',
    '[[public]]', 'path = "/open"', '[upstream]', ...upstream, '',
  ].join('\n');
  const trusting = [`ca_file = "${authority.file}"`, 'server_name = "erp.internal.example"'];
  const shown = [`client_cert_file = "${own.cert}"`, `client_key_file = "${own.key}"`];
  const { config } = operator({
    authority,
    hosts,
    main: [
      '[listen]', `https = "127.0.0.1:${port}"`, 'grace = "1s"',
      '[idp.nowhere]', 'issuer = "http://127.0.0.1:9"', 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, '',
    ].join('\n'),
    routes: {
      tls12: route(hosts[0], `https://127.0.0.1:${older.port}`, [...trusting, ...shown]),
      tls13: route(hosts[1], `https://127.0.0.1:${newer.port}`, [...trusting, ...shown]),
      bare: route(hosts[2], `https://127.0.0.1:${newer.port}`, trusting),
      socket: route(hosts[3], `unix:${socket}`, ['host = "upstream"']),
    },
  });
  served = new Process('upstream-tls-vestibule', vestibule, ['serve', '--config', config]);
  await served.prints(/\bready\b/i);
});

after(async () => {
  await served?.stop();
  for (const app of apps) {
    app.closeAllConnections();
    app.close();
  }
});

/** The status and the text that a fresh connection gets of a host. */
function ask(host) {
  return new Promise((resolve, reject) => {
    const request = get({
      host: '127.0.0.1', port, path: '/open', agent: false, servername: host,
      ca: readFileSync(authority.file), headers: { host: `${host}:${port}` },
    }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.once('error', reject);
  });
}

for (const [host, spoken] of [[hosts[0], 'TLSv1.2'], [hosts[1], 'TLSv1.3']]) {
  test(`an app that asks who is there is told (${spoken})`, async () => {
    for (let time = 0; time < 3; time += 1) {
      assert.deepEqual(await ask(host), { status: 200, text: `${spoken} vestibule` });
    }
  });
}

test('whoever shows nothing is refused by the app, and the log says what to write', async () => {
  const { status } = await ask(hosts[2]);
  assert.equal(status, 502);
  // With TLS 1.3 the refusal comes behind the handshake, and the app may be gone before it is read.
  await served.prints(/route="bare".*(client_cert_file|before its answer began)/);
});

test('an app at a socket is asked', async () => {
  assert.deepEqual(await ask(hosts[3]), { status: 200, text: 'localhost' });
});
