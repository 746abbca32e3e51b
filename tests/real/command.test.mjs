// The command itself: what it says, and with which exit code.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Authority, Process, folder, freePort, operator, run, vestibule, write } from './support.mjs';

const started = [];

after(async () => {
  for (const process of started) await process.stop('SIGKILL');
});

/** A folder that can be served on `port`; its provider is nowhere. */
function servable(port) {
  const authority = new Authority(join(folder(), 'tls'));
  const secret = write(join(authority.dir, 'client-secret'), 'a secret that is never printed\n', 0o600);
  return operator({
    authority,
    hosts: ['wiki.localhost'],
    main: [
      '[listen]', `https = "127.0.0.1:${port}"`, 'grace = "1s"',
      '[idp.nowhere]', 'issuer = "http://127.0.0.1:9"', 'client_id = "vestibule"',
      `client_secret_file = "${secret}"`, '',
    ].join('\n'),
    routes: {
      wiki: `from = "https://wiki.localhost:${port}"\nto = "http://127.0.0.1:8099"\nallow = "signed-in"\n`,
    },
  });
}

function serve(config, name) {
  const process = new Process(name, vestibule, ['serve', '--config', config]);
  started.push(process);
  return process;
}

test('check names six faults in one run, each with file and line', async () => {
  const faults = {
    'vestibule.toml': [
      '[listen]',
      'https = "127.0.0.1:8443"',
      'worker = 2                     # fault: no such key',
      'grace = "soon"                 # fault: no duration',
      '[session]',
      'max = "25h"                    # fault: above 24 hours',
      '[idp.op]',
      'issuer = "https://op.example"',
      'client_id = "vestibule"',
      'client_secret = "hunter2-hunter2"',
    ],
    'routes.d/wiki.toml': [
      'from = "https://wiki.localhost:8443"',
      'to = "ftp://127.0.0.1:8099"    # fault: no such scheme',
      'allow = "signed-in"',
    ],
    'routes.d/orders.toml': [
      'from = "https://orders.localhost:8443"',
      'to = "http://127.0.0.1:8098"',
      'alow = "signed-in"             # fault: no such key',
      'allow = "signed-in"',
    ],
    'routes.d/mail.toml': [
      'from = "https://mail.localhost:8443"',
      'to = "http://127.0.0.1:8097"',
      'allow = "signed-in"',
      'guests = "perhaps"             # fault: no such word',
    ],
  };
  const authority = new Authority(join(folder(), 'tls'));
  const hosts = ['wiki.localhost', 'orders.localhost', 'mail.localhost'];
  const { config } = operator({ main: '', authority, hosts });
  for (const [file, lines] of Object.entries(faults)) write(join(config, file), `${lines.join('\n')}\n`);

  const { code, output } = await run(vestibule, ['check', '--config', config], { name: 'check' });
  assert.equal(code, 1, output);
  let looked = 0;
  for (const [file, lines] of Object.entries(faults)) {
    lines.forEach((line, at) => {
      if (!line.includes('# fault')) return;
      looked += 1;
      assert.ok(output.includes(`${file}:${at + 1}:`), `${file}:${at + 1} is not named in:\n${output}`);
    });
  }
  assert.equal(looked, 6);
  assert.match(output, /workers/, 'the nearest known key is named');
  assert.doesNotMatch(output, /hunter2/);
});

test('check finds nothing wrong with what can be served', async () => {
  const { config } = servable(await freePort());
  const { code, output } = await run(vestibule, ['check', '--config', config], { name: 'check' });
  assert.equal(code, 0, output);
});

test('routes prints the table as it would be served', async () => {
  const port = await freePort();
  const { config } = servable(port);
  const { code, stdout, output } = await run(vestibule, ['routes', '--config', config], { name: 'routes' });
  assert.equal(code, 0, output);
  assert.match(stdout, new RegExp(`wiki\\.localhost:${port}`));
  assert.match(stdout, /127\.0\.0\.1:8099/);
});

test('version prints a version', async () => {
  const { code, stdout } = await run(vestibule, ['version'], { name: 'version' });
  assert.equal(code, 0);
  assert.match(stdout, /\b\d+\.\d+\.\d+\b/);
});

test('an unknown verb is a fault of usage', async () => {
  const { code, output } = await run(vestibule, ['sreve'], { name: 'usage' });
  assert.equal(code, 2);
  assert.match(output, /sreve/);
});

test('serve says when it is ready and ends well when told to', async () => {
  const { config } = servable(await freePort());
  for (const signal of ['SIGTERM', 'SIGINT']) {
    const process = serve(config, `serve-${signal}`);
    await process.prints(/\bready\b/i);
    assert.equal((await process.stop(signal)).code, 0, process.output);
    assert.doesNotMatch(process.output, /a secret that is never printed/);
  }
});

test('a taken address is an error, also when a vestibule has taken it', async () => {
  const port = await freePort();
  const { config } = servable(port);
  const first = serve(config, 'serve-first');
  await first.prints(/\bready\b/i);
  const second = serve(config, 'serve-second');
  const { code } = await second.ended;
  assert.notEqual(code, 0);
  assert.match(second.output, new RegExp(`127\\.0\\.0\\.1:${port}`));
  assert.equal(first.exit, undefined, 'the first one goes on');
  assert.equal((await first.stop()).code, 0);
});
