// nginx in front, ending TLS: people sign in through it, and the app is told who and from where.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { get } from 'node:https';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { provider, signInAtProvider } from './parts.mjs';
import { Authority, Process, browser, eventually, folder, freePort, operator, vestibule, write } from './support.mjs';

const host = 'wiki.localhost';
const started = [];
const keep = (part) => { started.unshift(part); return part; };
const ports = {};
let app;
let authority;
let chromium;
let op;
let origin;
let served;

before(async () => {
  app = createServer((request, response) => response.end(JSON.stringify(request.headers))).listen(0, '127.0.0.1');
  await new Promise((listening) => app.once('listening', listening));
  for (const name of ['tcp', 'public', 'silent', 'ops']) ports[name] = await freePort();
  origin = `https://${host}:${ports.public}`;
  authority = new Authority(join(folder(), 'tls'));
  op = keep(await provider(authority, [origin]));
  const secret = write(join(authority.dir, 'client-secret'), `${op.secret}\n`, 0o600);
  // Without `https` nobody asks for a certificate.
  const { config } = operator({
    main: [
      '[listen]', `plain = "127.0.0.1:${ports.tcp}"`, 'trusted_proxies = ["127.0.0.1"]', 'grace = "1s"',
      '[ops]', `listen = "127.0.0.1:${ports.ops}"`,
      '[idp.op]', `issuer = "${op.issuer}"`, 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, `ca_file = "${authority.file}"`, '',
    ].join('\n'),
    routes: {
      wiki: [
        `from = "${origin}"`, `to = "http://127.0.0.1:${app.address().port}"`, 'allow = "signed-in"',
        '[[public]]', 'path = "/open/*"', '[identity]', 'user_claims = ["login"]', '',
      ].join('\n'),
    },
  });
  served = keep(new Process('nginx-vestibule', vestibule, ['serve', '--config', config]));
  await served.listens(ports.tcp);

  const { cert, key } = authority.leaf(authority.dir, 'nginx', [host]);
  const dir = folder();
  const said = [
    'proxy_http_version 1.1', 'proxy_set_header Host $http_host', 'proxy_set_header Connection ""',
    'proxy_set_header X-Forwarded-For $remote_addr', 'proxy_buffering off', 'proxy_request_buffering off',
  ];
  const server = (name, fields) => [
    'server {', `  listen 127.0.0.1:${ports[name]} ssl http2;`, '  location / {',
    ...[...said, ...fields, `proxy_pass http://127.0.0.1:${ports.tcp}`].map((line) => `    ${line};`), '  }', '}',
  ].join('\n');
  const settings = write(join(dir, 'nginx.conf'), [
    'daemon off;', `pid ${join(dir, 'pid')};`, 'error_log stderr;', 'events {}', 'http {', 'access_log off;',
    ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${join(dir, name)};`),
    `ssl_certificate ${cert};`, `ssl_certificate_key ${key};`,
    server('public', ['proxy_set_header X-Forwarded-Proto $scheme']),
    server('silent', ['proxy_set_header X-Forwarded-Proto ""']),
    '}', '',
  ].join('\n'));
  const nginx = keep(new Process('nginx', 'nginx', ['-c', settings, '-p', dir]));
  await nginx.listens(ports.public);
  chromium = await browser({ trust: authority.file });
});

after(async () => {
  await chromium?.close();
  for (const part of started) await part.stop();
  app?.closeAllConnections();
  app?.close();
});

/** What a client without a session gets at a port. */
function ask(port, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = get({
      host: '127.0.0.1', port, path, agent: false, servername: host, ca: readFileSync(authority.file),
      headers: { host: new URL(origin).host, ...headers },
    }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; });
      response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.once('error', reject);
  });
}

test('a person signs in through nginx, and the app is told who it is', async () => {
  const page = await chromium.fresh();
  await page.goto(`${origin}/page?x=1`);
  assert.ok(page.url().startsWith(op.issuer), `sent to ${page.url()}`);
  await signInAtProvider(page, 'alice');
  await page.waitForURL(`${origin}/page?x=1`);
  const seen = JSON.parse(await page.locator('body').innerText());
  assert.equal(seen['x-forwarded-user'], 'alice');
  assert.equal(seen['x-forwarded-proto'], 'https');
  assert.equal(seen['x-forwarded-host'], new URL(origin).host);
  assert.equal(seen['x-forwarded-for'], '127.0.0.1, 127.0.0.1');
  assert.equal(seen.cookie, undefined, 'our cookies stay with us');
});

test('what a client says of itself is replaced by nginx, and then believed', async () => {
  const headers = { 'x-forwarded-proto': 'http', 'x-forwarded-for': '192.0.2.1', 'x-forwarded-user': 'root' };
  const { status, text } = await ask(ports.public, '/open/page', headers);
  assert.equal(status, 200);
  const seen = JSON.parse(text);
  assert.equal(seen['x-forwarded-for'], '127.0.0.1, 127.0.0.1');
  assert.equal(seen['x-forwarded-user'], undefined);
});

test('a front that does not say https keeps everybody out, and the log says what to do', async () => {
  const { status, text } = await ask(ports.silent, '/open/page');
  assert.equal(status, 400);
  assert.equal(JSON.parse(text).reason, 'front_without_https');
  const remedy = /proxy_set_header X-Forwarded-Proto \$scheme/;
  await eventually('the log says what to do', () => remedy.test(served.output));
  const metrics = await (await fetch(`http://127.0.0.1:${ports.ops}/metrics`)).text();
  assert.match(metrics, /^vestibule_refusals_total\{reason="front_without_https"\} 1$/m);
});
