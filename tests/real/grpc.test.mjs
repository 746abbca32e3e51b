// gRPC by its own client and server (grpcio): calls of every kind through vestibule, and its refusals.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Authority, Process, folder, freePort, here, operator, python, run, vestibule, write } from './support.mjs';

const program = join(here, 'grpc_app.py');
const host = (name) => `${name}.localhost`;
const refusals = [403, 503, 504];
const names = ['echo', 'closed', 'down', ...refusals.map((status) => `says${status}`)];

let port;
let app;
let authority;
let served;
const refusing = [];

before(async () => {
  const ports = { echo: await freePort(), down: await freePort() };
  ports.closed = ports.echo;
  app = new Process('grpc-app', python, [program, 'serve', String(ports.echo)]);
  await app.prints(/^ready/m);
  // What is refused by whomever reaches a client of gRPC as a status of HTTP.
  for (const status of refusals) {
    const server = createServer((_, response) => response.writeHead(status).end()).listen(0, '127.0.0.1');
    await new Promise((listening) => server.once('listening', listening));
    refusing.push(server);
    ports[`says${status}`] = server.address().port;
  }
  port = await freePort();
  authority = new Authority(join(folder(), 'tls'));
  const secret = write(join(authority.dir, 'client-secret'), 'a secret\n', 0o600);
  const routes = names.map((name) => [name, [
    `from = "https://${host(name)}:${port}"`, `to = "http://127.0.0.1:${ports[name]}"`, 'allow = "signed-in"',
    ...(name === 'closed' ? [] : ['[[public]]', 'path = "/echo.Echo/*"']),
    '[upstream]', `protocol = "${name.startsWith('says') ? 'http1' : 'http2'}"`, '',
  ].join('\n')]);
  const { config } = operator({
    authority,
    hosts: names.map(host),
    main: [
      '[listen]', `https = "127.0.0.1:${port}"`, 'grace = "1s"',
      '[idp.nowhere]', 'issuer = "http://127.0.0.1:9"', 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, '',
    ].join('\n'),
    routes: Object.fromEntries(routes),
  });
  served = new Process('grpc-vestibule', vestibule, ['serve', '--config', config]);
  await served.prints(/\bready\b/i);
});

after(async () => {
  await served?.stop();
  await app?.stop();
  for (const server of refusing) server.close();
});

async function call(name, scenario) {
  const args = [program, 'call', `${host(name)}:${port}`, authority.file, scenario];
  const { code, stdout, output } = await run(python, args, { name: `grpc-${name}-${scenario}` });
  assert.equal(code, 0, output);
  return JSON.parse(stdout);
}

test('a call and its answer pass, with what is said before and behind them', async () => {
  const { length, initial, trailing } = await call('echo', 'unary');
  assert.equal(length, 100_000);
  assert.equal(initial, 'nobody');
  assert.deepEqual(trailing, { 'x-length': "'100000'", 'x-raw-bin': "b'\\x00\\x01\\xff'" });
});

test('a status that is an error passes with its words', async () => {
  const failed = await call('echo', 'status');
  assert.deepEqual(failed, { code: 'FAILED_PRECONDITION', details: "it is Zoë's", why: 'because' });
  assert.equal((await call('echo', 'unknown')).code, 'UNIMPLEMENTED');
});

test('messages stream either way', async () => {
  assert.deepEqual(await call('echo', 'streams'), { counted: 20, collected: 500_000 });
});

test('messages stream both ways at once', async () => {
  const heard = await call('echo', 'full_duplex');
  assert.deepEqual(heard, [0, 1, 2, 3, 4].map((number) => `you said ${number}`));
});

test('a deadline, and a call that is given up, end the call at the server', async () => {
  assert.deepEqual(await call('echo', 'ends'), { late: 'DEADLINE_EXCEEDED', gone: 2 });
});

test('hundreds of calls at once pass', async () => {
  assert.equal(await call('echo', 'many'), true);
});

test('what is refused is told as clients of gRPC tell it', async () => {
  for (const [name, code] of [
    ['closed', 'UNAUTHENTICATED'],
    ['down', 'UNAVAILABLE'],
    ['says403', 'PERMISSION_DENIED'],
    ['says503', 'UNAVAILABLE'],
    ['says504', 'UNAVAILABLE'],
  ]) assert.equal((await call(name, 'say')).code, code, name);
});
