// haproxy in front, passing TLS through: it says whose connection it is, and the app is told.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { get } from 'node:https';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Authority, Process, eventually, folder, freePort, operator, vestibule, write } from './support.mjs';

const host = 'wiki.localhost';
// haproxy speaks from 127.0.0.1; whoever comes from elsewhere on loopback is a client.
const client = '127.0.0.5';

// How haproxy speaks to vestibule, by the name of a front.
const fronts = {
  v1: 'send-proxy',
  v2: 'send-proxy-v2',
  checked: 'send-proxy-v2 proxy-v2-options crc32c,unique-id',
  silent: '',
};

const ports = {};
let app;
let served;
let haproxy;
let authority;

before(async () => {
  app = createServer((request, response) => response.end(request.headers['x-forwarded-for'])).listen(0, '127.0.0.1');
  await new Promise((listening) => app.once('listening', listening));
  for (const name of ['vestibule', ...Object.keys(fronts)]) ports[name] = await freePort();

  authority = new Authority(join(folder(), 'tls'));
  const secret = write(join(authority.dir, 'client-secret'), 'a secret\n', 0o600);
  const { config } = operator({
    authority,
    hosts: [host],
    main: [
      '[listen]', `https = "127.0.0.1:${ports.vestibule}"`, 'grace = "1s"',
      'trusted_proxies = ["127.0.0.1"]', 'proxy_protocol = true',
      '[ops]', `listen = "127.0.0.1:${ports.ops = await freePort()}"`,
      '[idp.nowhere]', 'issuer = "http://127.0.0.1:9"', 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, '',
    ].join('\n'),
    routes: {
      wiki: [
        `from = "https://${host}"`, `to = "http://127.0.0.1:${app.address().port}"`, 'allow = "signed-in"',
        '[[public]]', 'path = "/open/*"', '',
      ].join('\n'),
    },
  });
  served = new Process('proxy-protocol-vestibule', vestibule, ['serve', '--config', config]);
  await served.prints(/\bready\b/i);

  const sections = Object.entries(fronts).map(([name, how]) => [
    `listen ${name}`, `  bind 127.0.0.1:${ports[name]}`, `  bind [::1]:${ports[name]}`,
    '  unique-id-format %{+X}o%ci:%cp', `  server vestibule 127.0.0.1:${ports.vestibule} ${how}`,
  ].join('\n'));
  const settings = write(join(folder(), 'haproxy.cfg'), [
    'defaults', '  mode tcp', '  timeout connect 5s', '  timeout client 30s', '  timeout server 30s',
    ...sections, '',
  ].join('\n'));
  haproxy = new Process('haproxy', 'haproxy', ['-db', '-f', settings]);
  await haproxy.listens(ports.v1);
});

after(async () => {
  await haproxy?.stop();
  await served?.stop();
  app?.closeAllConnections();
  app?.close();
});

/** The status and the text that a fresh connection gets at a port. */
function ask(port, { address = '127.0.0.1', from = client, path = '/open/page', headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = get({
      host: address, port, path, localAddress: from, agent: false, servername: host,
      ca: readFileSync(authority.file), headers: { host, ...headers },
    }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.once('error', reject);
  });
}

for (const name of ['v1', 'v2', 'checked']) {
  test(`the app is told the client behind haproxy (${fronts[name]})`, async () => {
    assert.deepEqual(await ask(ports[name]), { status: 200, text: client });
    assert.deepEqual(await ask(ports[name], { address: '::1', from: '::1' }), { status: 200, text: '::1' });
  });

  test(`what the client says about itself is not believed (${fronts[name]})`, async () => {
    const headers = { 'x-forwarded-for': '10.0.0.1', forwarded: 'for=10.0.0.1' };
    assert.deepEqual(await ask(ports[name], { headers }), { status: 200, text: client });
  });
}

test('a front that says nothing is closed, and counted', async () => {
  await assert.rejects(ask(ports.silent));
  const metrics = await (await fetch(`http://127.0.0.1:${ports.ops}/metrics`)).text();
  assert.match(metrics, /^vestibule_connections_cut_total\{reason="proxy_header"\} [1-9]/m);
  await eventually('the log says what to do', () => /PROXY header/.test(served.output));
});

test('whoever is no front needs no header', async () => {
  assert.deepEqual(await ask(ports.vestibule), { status: 200, text: client });
  const { status } = await ask(ports.v2, { path: '/closed' });
  assert.equal(status, 401);
});
