// WebSockets of libraries and apps that nobody here wrote: what they say to each other directly, they
// say through vestibule, over HTTP/1.1 and over HTTP/2.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { jupyter, provider, signInAtProvider, websockets } from './parts.mjs';
import { Authority, Process, browser, folder, freePort, here, operator, python, run, vestibule, write } from './support.mjs';

const started = [];
const keep = (part) => { started.unshift(part); return part; };
let authority;
let chromium;
let echo;
let neighbour;
let notebook;
let op;
let port;
let served;

before(async () => {
  port = await freePort();
  notebook = `https://notebook.localhost:${port}`;
  neighbour = `https://echo.notebook.localhost:${port}`;
  authority = new Authority(join(folder(), 'tls'));
  op = keep(await provider(authority, [notebook]));
  echo = keep(await websockets());
  const kernels = keep(await jupyter(notebook));
  const secret = write(join(authority.dir, 'client-secret'), `${op.secret}\n`, 0o600);
  const { config } = operator({
    authority,
    hosts: ['localhost', 'notebook.localhost', 'echo.notebook.localhost'],
    main: [
      '[listen]', `https = "127.0.0.1:${port}"`, 'grace = "1s"',
      '[idp.op]', `issuer = "${op.issuer}"`, 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, `ca_file = "${authority.file}"`, '',
    ].join('\n'),
    routes: {
      echo: [
        `from = "https://localhost:${port}"`, `to = "${echo.address}"`, 'allow = "signed-in"',
        '[[public]]', 'path = "/ws/*"', '',
      ].join('\n'),
      neighbour: [
        `from = "${neighbour}"`, `to = "${echo.address}"`, 'allow = "signed-in"',
        '[[public]]', 'path = "/open/*"', '',
      ].join('\n'),
      notebook: [
        `from = "${notebook}"`, `to = "${kernels.address}"`, 'allow = "signed-in"',
        '[identity]', 'user_claims = ["login"]', '',
      ].join('\n'),
    },
  });
  served = keep(new Process('tunnels', vestibule, ['serve', '--config', config]));
  await served.listens(port);
  chromium = await browser({ trust: authority.file });
});

after(async () => {
  await chromium?.close();
  for (const part of started) await part.stop();
});

/** What the raw client hears over one way, case by case. */
async function verdicts(way, address) {
  const client = [join(here, 'websocket_client.py'), way, address, authority.file];
  const { code, stdout, output } = await run(python, client, { name: `websocket-${way}` });
  assert.equal(code, 0, output);
  return JSON.parse(stdout);
}

test('every frame, good or bad, gets the same verdict directly and through vestibule', async (t) => {
  const direct = await verdicts('direct', echo.address.replace('http://', ''));
  // The table can fail: the app does see what is wrong.
  const closes = (name) => direct[name].filter(([kind]) => kind === 'close').map(([, code]) => code);
  assert.deepEqual(closes('reserved bit'), [1002]);
  assert.deepEqual(closes('no UTF-8'), [1007]);
  assert.deepEqual(closes('too large'), [1009]);
  assert.deepEqual(closes('app closes 4001'), [4001]);
  for (const way of ['http1', 'http2']) {
    await t.test(way, async () => {
      const through = await verdicts(way, `localhost:${port}`);
      assert.deepEqual(Object.keys(through), Object.keys(direct));
      for (const [name, verdict] of Object.entries(direct)) assert.deepEqual(through[name], verdict, `${way}: ${name}`);
    });
  }
});

/** A page of the notebook's origin, without a policy of its own, in a browser where alice is in. */
async function inside() {
  const page = await chromium.fresh();
  await page.goto(`${notebook}/api/me`);
  await signInAtProvider(page, 'alice');
  await page.waitForURL(`${notebook}/api/me`);
  assert.match(await page.textContent('body'), /"username": ?"alice"/);
  await page.goto(`${notebook}/nothing`);
  return page;
}

test('a notebook runs code over a WebSocket for the person who signed in, in a browser', async () => {
  const page = await inside();
  const said = await page.evaluate(async () => {
    const kernel = await (await fetch('/api/kernels', { method: 'POST', body: '{}' })).json();
    const socket = new WebSocket(`wss://${location.host}/api/kernels/${kernel.id}/channels`);
    const said = new Promise((resolve, reject) => {
      socket.onerror = () => reject(new Error('it did not open'));
      socket.onclose = (event) => reject(new Error(`closed: ${event.code}`));
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.msg_type === 'stream') resolve(message.content.text.trim());
      };
    });
    socket.onopen = () => socket.send(JSON.stringify({
      header: { msg_id: 'one', msg_type: 'execute_request', username: 'alice', session: 'one', version: '5.3', date: '' },
      parent_header: {},
      metadata: {},
      channel: 'shell',
      content: { code: 'print(6*7)', silent: false, store_history: false, user_expressions: {}, allow_stdin: false },
    }));
    const text = await said;
    socket.onclose = null;
    socket.close();
    await fetch(`/api/kernels/${kernel.id}`, { method: 'DELETE' });
    return text;
  });
  assert.equal(said, '42');
  // Chromium speaks HTTP/2 for it where it has such a connection.
  await served.prints(/"protocol":"h2"[^\n]*"path":"\/api\/kernels\/[^"]*\/channels"[^\n]*"status":200/);
});

test('a page of a neighbour opens no WebSocket with the cookies of the person', async () => {
  const page = await inside();
  await page.goto(`${neighbour}/open/page`);
  const opened = await page.evaluate((url) => new Promise((resolve) => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  }), `${notebook.replace('https', 'wss')}/api/kernels/x/channels`);
  assert.equal(opened, false);
  await served.prints(/"path":"\/api\/kernels\/x\/channels"[^\n]*"reason":"foreign_origin"/);
});
